"""Every generated file of the checkout: its path, the text it must have, and whether it has it.

`__main__` and the contract tests call it. It writes nowhere but under the root that it is given.
"""

from collections.abc import Mapping
from pathlib import Path

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


def stale(root: Path) -> dict[str, str]:
    """The outputs whose file under `root` is missing or has another text."""
    return {path: text for path, text in outputs().items() if not _has_text(root / path, text)}


def write(root: Path, texts: Mapping[str, str]) -> None:
    """Write each text to its path under `root`."""
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def _has_text(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
