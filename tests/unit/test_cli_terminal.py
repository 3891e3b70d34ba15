"""What a stream and the environment let the commands show."""

import io

import pytest

from aimodel_operator.cli.terminal import Colour, Terminal, Tint, detect


class Screen(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def a_screen(encoding: str = "utf-8") -> Screen:
    return Screen(io.BytesIO(), encoding=encoding)


@pytest.mark.parametrize(
    ("environment", "colour"),
    [
        ({"TERM": "xterm-256color"}, Colour.PALETTE),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, Colour.TRUE),
        ({"TERM": "xterm", "NO_COLOR": "1"}, Colour.NONE),
        ({"TERM": "xterm", "NO_COLOR": ""}, Colour.PALETTE),
        ({"TERM": "dumb"}, Colour.NONE),
        ({}, Colour.NONE),
    ],
)
def test_colour_is_what_the_terminal_has_unless_refused(environment: dict[str, str], colour: Colour) -> None:
    assert detect(a_screen(), environment).colour is colour


def test_a_pipe_gets_80_columns_and_no_colour() -> None:
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    environment = {"TERM": "xterm", "COLORTERM": "truecolor", "COLUMNS": "200"}
    assert detect(pipe, environment) == Terminal(width=80, colour=Colour.NONE, unicode=True, interactive=False)


def test_an_encoding_without_the_symbols_gets_ascii() -> None:
    assert not detect(a_screen("ascii"), {}).unicode
    assert not detect(a_screen("latin-1"), {}).unicode


def test_paint_leaves_text_alone_without_colour() -> None:
    assert Terminal().paint("x", Tint.BAD) == "x"
    assert Terminal(colour=Colour.PALETTE).paint("x", Tint.BAD, Tint.BOLD) == "\x1b[31;1mx\x1b[0m"


def test_shorten_keeps_the_beginning_and_the_end() -> None:
    assert Terminal().shorten("registry.test/digits@sha256:0123456789", 20) == "registry.tes…3456789"
    assert Terminal(unicode=False).shorten("registry.test/digits@sha256:0123456789", 20) == "registry.te...456789"
    assert Terminal().shorten("short", 20) == "short"


def test_wrap_lines_up_behind_a_label_and_leaves_long_words_whole() -> None:
    lines = Terminal(width=20).wrap("one two three aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "  ", "next  ")
    assert lines == ["  next  one two", "        three", "        aaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
