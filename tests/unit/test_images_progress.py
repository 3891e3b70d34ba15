"""How durations, sizes and bars read, and that a step ends with the right mark."""

import io

import pytest

from hack.progress import bar, duration, size, step


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (60, "1 min 00 s"), (185.2, "3 min 05 s")],
)
def test_durations(seconds: float, text: str):
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(700, "1 kB"), (62_149_031, "62.1 MB"), (999_000, "999 kB")])
def test_sizes(count: int, text: str):
    assert size(count) == text


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [(0, 4, "····"), (2, 4, "██··"), (4, 4, "████"), (9, 4, "████"), (1, 8, "▌···"), (1, 0, "····")],
)
def test_bars(done: float, total: float, text: str):
    assert bar(done, total, width=4) == text


def test_a_step_says_when_it_starts_and_how_it_ended():
    out = io.StringIO()
    with step("image operator", out) as running:
        running.note("62.1 MB compressed")
    first, last = out.getvalue().splitlines()
    assert first == "• image operator"
    assert last.startswith("✓ image operator ")
    assert last.endswith("62.1 MB compressed")


def test_a_failed_step_is_marked_and_its_exception_goes_on():
    out = io.StringIO()
    with pytest.raises(ValueError, match="broken"), step("image operator", out):
        raise ValueError("broken")
    assert out.getvalue().splitlines()[-1].startswith("✗ image operator")
