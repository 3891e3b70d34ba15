"""Turns a tensor that holds a picture into lines of terminal characters.

Called by `answer_view`. With colour a character cell shows two pixels, one above the other, by a half block;
without it shows their mean as a shade. Black is the smallest value, white the largest: what is drawn is what
the model gets, whatever its range.
"""

from dataclasses import dataclass

import numpy as np

from aimodel_operator.cli.image import Layout, layout_of
from aimodel_operator.cli.tensors import Array
from aimodel_operator.cli.terminal import Colour, Terminal

SHADES = " ░▒▓█"
ASCII_SHADES = " .:-=+*#%@"
SMALL = 32
# The grey ramp of the 256-colour palette, and its 6x6x6 colour cube.
GREY_BASE, GREY_STEPS = 232, 24
CUBE_BASE, CUBE_SIDE = 16, 6
RESET = "\x1b[0m"

MIN_FLAT_PIXELS = 64
MAX_ASPECT = 3


@dataclass(frozen=True, slots=True)
class Drawing:
    """Lines that each show `columns` characters, however many bytes of colour they hold."""

    lines: tuple[str, ...]
    columns: int


def pixels_of(values: Array, *, is_certain: bool) -> Array | None:
    """The picture in a tensor of one row as H x W x C, 0 to 255 from its smallest to its largest value.

    None when there is more than one row, or when the values look like something else and `is_certain` does
    not say that they are a picture.
    """
    layout = layout_of(values.shape)
    if layout is None or values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        return None
    row = (values[0] if values.shape[0] == 1 else values).astype(np.float64)
    if not is_certain and not _looks_like_one(row, layout):
        return None
    pixels = row.transpose(1, 2, 0) if layout.channels_first else row
    pixels = pixels.reshape(layout.height, layout.width, layout.channels)
    low, high = pixels.min(), pixels.max()
    result: Array = (pixels - low) / (high - low or 1.0) * 255
    return result


def draw(pixels: Array, terminal: Terminal, columns: int) -> Drawing:
    """The picture in at most so many columns."""
    pixels = _sized(pixels, columns)
    if pixels.shape[0] % 2:
        pixels = np.concatenate([pixels, np.zeros_like(pixels[:1])])
    upper, lower = pixels[0::2], pixels[1::2]
    if terminal.colour is Colour.NONE or not terminal.unicode:
        lines = _shaded((upper + lower).mean(axis=2) / 2, SHADES if terminal.unicode else ASCII_SHADES)
    else:
        lines = [
            "".join(_cell(top, bottom, terminal.colour) for top, bottom in zip(tops, bottoms, strict=True)) + RESET
            for tops, bottoms in zip(upper, lower, strict=True)
        ]
    return Drawing(tuple(lines), pixels.shape[1])


def _looks_like_one(row: Array, layout: Layout) -> bool:
    """Flat squares are as often features: they must be many, none negative, and not all alike."""
    if layout.is_flat:
        return row.size >= MIN_FLAT_PIXELS and bool(row.min() >= 0) and bool(row.max() > row.min())
    return max(layout.height, layout.width) <= MAX_ASPECT * min(layout.height, layout.width)


def _sized(pixels: Array, columns: int) -> Array:
    """Shrunk by averaging whole blocks until it fits, or each pixel repeated when the picture is tiny."""
    height, width, channels = pixels.shape
    factor = -(-width // columns)
    if factor > 1:
        pixels = pixels[: height // factor * factor or height, : width // factor * factor]
        blocks = pixels.reshape(-1, min(factor, height), width // factor, factor, channels)
        shrunk: Array = blocks.mean(axis=(1, 3))
        return shrunk
    repeat = min(SMALL, columns) // max(width, height)
    if repeat > 1:
        repeat -= repeat % 2  # a cell holds two pixels, one above the other: an odd number would smear the edges
        return pixels.repeat(repeat, axis=0).repeat(repeat, axis=1)
    return pixels


def _shaded(brightness: Array, shades: str) -> list[str]:
    steps = np.minimum((brightness / 256 * len(shades)).astype(int), len(shades) - 1)
    return ["".join(shades[step] for step in line) for line in steps]


def _cell(top: Array, bottom: Array, colour: Colour) -> str:
    return f"\x1b[38;{_code(top, colour)};48;{_code(bottom, colour)}m▀"


def _code(pixel: Array, colour: Colour) -> str:
    red, green, blue = (round(float(value)) for value in (pixel if len(pixel) == 3 else pixel.repeat(3)))
    if colour is Colour.TRUE:
        return f"2;{red};{green};{blue}"
    if red == green == blue:
        return f"5;{GREY_BASE + red * (GREY_STEPS - 1) // 255}"
    steps = [value * (CUBE_SIDE - 1) // 255 for value in (red, green, blue)]
    return f"5;{CUBE_BASE + (steps[0] * CUBE_SIDE + steps[1]) * CUBE_SIDE + steps[2]}"
