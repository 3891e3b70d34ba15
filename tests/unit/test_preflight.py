"""What a machine lacks is named all at once, each thing with the way to get it, before anything starts."""

from pathlib import Path

import pytest

from hack import preflight, test
from hack.errors import HackError


def lacking(what: str) -> preflight.Need:
    return lambda environment: f"{what}: get it"


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(preflight.MissingError) as error:
        preflight.check([lacking("a tape"), lambda environment: None, lacking("a disk")])
    assert str(error.value) == "this machine lacks:\n  - a tape: get it\n  - a disk: get it"


def test_a_need_of_several_levels_is_looked_at_once() -> None:
    looked: list[str] = []

    def tape(environment: preflight.Environment) -> None:
        looked.append(environment["PATH"])

    preflight.check([tape, tape], {"PATH": "/nowhere"})
    assert looked == ["/nowhere"]


@pytest.mark.parametrize(
    ("need", "says"),
    [
        (preflight.rust, r"cargo or rustc is missing; install Rust 1\.\d+ or newer"),
        (preflight.rust_linters, "rustfmt and cargo-clippy missing: rustup component add rustfmt clippy"),
        (preflight.c_compiler, "cc and strip missing: apt-get install gcc"),
    ],
)
def test_an_empty_path_lacks_the_compilers(need: preflight.Need, says: str, tmp_path: Path) -> None:
    with pytest.raises(HackError, match=says):
        preflight.check([need], {"PATH": str(tmp_path)})


def test_a_compiler_that_is_too_old_is_named_with_its_version(tmp_path: Path) -> None:
    for name in ("rustc", "cargo"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'rustc 1.2.0 (old)'\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(HackError, match=r"rustc is rustc 1\.2\.0 \(old\); install Rust"):
        preflight.check([preflight.rust], {"PATH": str(tmp_path)})


@pytest.mark.parametrize("part", test.PARTS)
def test_every_level_that_calls_cargo_asks_for_rust_first(part: str) -> None:
    for level in test.PARTS[part]:
        if any(command[0] == "cargo" for command in level.commands):
            assert preflight.rust in level.needs
