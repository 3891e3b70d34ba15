"""Every generated file of the checkout: its path, the text it must have, and whether it has it.

`__main__` and the contract tests call it. It writes nowhere but under the root that it is given.
"""

from collections.abc import Mapping
from pathlib import Path

from hack.generate import crd, pages, rbac, stubs

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
        **{f"{stubs.FOLDER}/{name}": text for name, text in stubs.stubs().items()},
    }


def stale(root: Path) -> dict[str, str | None]:
    """The outputs whose file under `root` is missing or has another text; None for a file that is to go."""
    wanted = outputs()
    present = [str(path.relative_to(root)) for path in sorted((root / stubs.FOLDER).glob(stubs.PATTERN))]
    surplus: dict[str, str | None] = {path: None for path in present if path not in wanted}
    return {path: text for path, text in wanted.items() if not _has_text(root / path, text)} | surplus


def write(root: Path, texts: Mapping[str, str | None]) -> None:
    """Write each text to its path under `root`; None removes the file."""
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            (root / path).unlink()
        else:
            (root / path).write_text(text, encoding="utf-8")


def _has_text(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
