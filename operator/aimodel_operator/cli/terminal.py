"""Turns a stream and the environment into what its terminal can show, and text into lines for it.

Every verb draws through a `Terminal` value, so that a test can fix width, colour and character set. Colour
is used on a terminal only, never when NO_COLOR is set (https://no-color.org), and nothing depends on it.
Must never print.
"""

import shutil
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TextIO

FALLBACK_WIDTH = 80
MAX_WIDTH = 120


class Colour(Enum):
    """How many colours the terminal shows."""

    NONE = "none"
    PALETTE = "256 colours"
    TRUE = "24 bit"


class Tint(Enum):
    """The roles of coloured text, as the parameters of an ANSI SGR sequence."""

    BOLD = "1"
    DIM = "2"
    GOOD = "32"
    WARN = "33"
    BAD = "31"
    ACCENT = "36"


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the output can show: columns, colours, and whether characters outside ASCII are safe."""

    width: int = FALLBACK_WIDTH
    colour: Colour = Colour.NONE
    unicode: bool = True
    interactive: bool = False

    def paint(self, text: str, *tints: Tint) -> str:
        """The text in these tints, or as it is where there is no colour."""
        if self.colour is Colour.NONE or not tints or not text:
            return text
        return f"\x1b[{';'.join(tint.value for tint in tints)}m{text}\x1b[0m"

    def pick(self, symbol: str, plain: str) -> str:
        """The symbol, or its ASCII form where the stream's encoding has no other."""
        return symbol if self.unicode else plain

    def wrap(self, text: str, indent: str, label: str = "", *, break_long_words: bool = False) -> list[str]:
        """The text in lines of at most the width; the first begins with the label, the others line up.

        A word longer than the line stands out, unless it may be broken: addresses and digests are copied.
        """
        lines = textwrap.wrap(
            " ".join(text.split()),
            self.width,
            initial_indent=indent + label,
            subsequent_indent=indent + " " * len(label),
            break_long_words=break_long_words,
            break_on_hyphens=False,
        )
        return lines or [(indent + label).rstrip()]

    def shorten(self, text: str, width: int) -> str:
        """The text cut in its middle to the width: references keep their name and the end of their digest."""
        if len(text) <= width:
            return text
        dots = self.pick("…", "...")
        head = (width - len(dots)) * 2 // 3
        tail = max(0, width - len(dots) - head)
        return text[:head] + dots + text[len(text) - tail :]


def detect(stream: TextIO, environment: Mapping[str, str]) -> Terminal:
    """The terminal behind a stream; anything that is not one gets 80 columns and no colour."""
    interactive = stream.isatty()
    return Terminal(
        width=_width() if interactive else FALLBACK_WIDTH,
        colour=_colour(environment) if interactive else Colour.NONE,
        unicode=_takes_unicode(stream),
        interactive=interactive,
    )


def _width() -> int:
    return max(40, min(MAX_WIDTH, shutil.get_terminal_size((FALLBACK_WIDTH, 24)).columns))


def _colour(environment: Mapping[str, str]) -> Colour:
    if environment.get("NO_COLOR") or environment.get("TERM", "") in {"", "dumb"}:
        return Colour.NONE
    return Colour.TRUE if environment.get("COLORTERM") in {"truecolor", "24bit"} else Colour.PALETTE


def _takes_unicode(stream: TextIO) -> bool:
    try:
        "✔▀█░".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
