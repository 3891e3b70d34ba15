"""Which server the tests and benches run: the one that the image carries, or the one that is named."""

from pathlib import Path

import pytest

from hack import serving_program
from hack.errors import HackError


def test_the_program_of_the_image_is_taken(tmp_path: Path) -> None:
    (tmp_path / "aimodel-serving").touch()
    assert serving_program.binary({}, tmp_path) == tmp_path / "aimodel-serving"


def test_a_named_program_is_preferred(tmp_path: Path) -> None:
    for name in ("aimodel-serving", "mine"):
        (tmp_path / name).touch()
    assert serving_program.binary({"AIMODEL_SERVING_BINARY": str(tmp_path / "mine")}, tmp_path) == tmp_path / "mine"


@pytest.mark.parametrize("named", [{}, {"AIMODEL_SERVING_BINARY": "/nowhere/serving"}])
def test_a_missing_program_is_said_with_the_command_that_makes_it(tmp_path: Path, named: dict[str, str]) -> None:
    with pytest.raises(HackError, match=r"is missing: run `python -m hack\.images --binary-only`"):
        serving_program.binary(named, tmp_path)
