"""Every generated file of the checkout: its path and the text it must have.

`__main__` writes or compares them; the contract tests compare them too.
"""

from hack.generate import crd, pages, rbac

CHART_TEMPLATE = "charts/aimodel-operator/templates/crd.yaml"


def outputs() -> dict[str, str]:
    """The text of each generated file by its path from the root of the checkout."""
    definition = crd.definition()
    return {
        f"crds/{crd.CRD_NAME}.yaml": crd.HEADER + crd.as_yaml(definition),
        CHART_TEMPLATE: crd.HEADER + crd.as_chart_template(definition),
        rbac.PATH: rbac.rules_file(),
        "docs/api.md": pages.api_page(crd.schema()),
        "docs/reasons.md": pages.reasons_page(),
    }
