"""Turns an image file into the tensor that a model wants, told from the shape of its input.

Called by `inputs`; `answer_view` asks it for the layout to draw a tensor back. An image is resized to the
model's height and width without keeping its proportions, becomes grey when the model has one channel, and
its brightness 0 to 255 becomes LOW to HIGH. Transparent parts count as white.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from aimodel_operator.cli.errors import UsageError
from aimodel_operator.cli.tensors import Array, Shape, Tensor, TensorSpec, dtype_of

FORMATS = ("PNG", "JPEG")
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
MIN_SIDE = 4


@dataclass(frozen=True, slots=True)
class Scale:
    """What black and white become; LOW above HIGH inverts the picture."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Layout:
    """How a picture lies in one row of a tensor; a height or width of -1 is the image's own."""

    height: int
    width: int
    channels: int
    channels_first: bool = False
    is_flat: bool = False


def is_image(content: bytes) -> bool:
    """Whether a file's content begins like an image that can be read here."""
    return content.startswith(SIGNATURES)


def layout_of(shape: Shape) -> Layout | None:
    """The layout of a picture in a tensor of this shape; None when it has no place for one.

    A first dimension of -1 or 1 counts rows. Known: [H, W], [H, W, C], [C, H, W] with 1 or 3 channels,
    and a flat square [H*W].
    """
    row = shape[1:] if shape and shape[0] in (-1, 1) else shape
    match row:
        case (int(size),):
            side = math.isqrt(size) if size > 0 else 0
            layout = Layout(side, side, 1, is_flat=True) if side * side == size else None
        case (int(height), int(width)):
            layout = Layout(height, width, 1)
        case (int(height), int(width), 1 | 3 as channels):
            layout = Layout(height, width, channels)
        case (1 | 3 as channels, int(height), int(width)):
            layout = Layout(height, width, channels, channels_first=True)
        case _:
            layout = None
    if layout is None or any(0 <= side < MIN_SIDE for side in (layout.height, layout.width)):
        return None
    return layout


def default_scale(datatype: str) -> Scale:
    """0 to 1 for floating point, 0 to 255 for whole numbers."""
    return Scale(0, 1) if dtype_of(datatype).kind == "f" else Scale(0, 255)


def read_image(content: bytes, spec: TensorSpec, scale: Scale | None, what: str) -> Tensor:
    """One row with the picture in it; raises UsageError when the model's input is no picture."""
    layout = layout_of(spec.shape)
    if layout is None or spec.datatype == "BYTES":
        raise UsageError(
            f"{what} is an image, but the model wants {spec}, which is none",
            "give a CSV or JSON file; an image fits [H, W], [H, W, C], [C, H, W] or a flat square",
        )
    pixels = _pixels(content, layout, what)
    values = _scaled(pixels, spec.datatype, scale or default_scale(spec.datatype))
    if layout.channels_first:
        values = values.transpose(2, 0, 1)
    if layout.is_flat:
        values = values.reshape(-1)
    is_batched = bool(spec.shape) and spec.shape[0] in (-1, 1)
    rank = len(spec.shape) - is_batched
    row = values.reshape(values.shape[:2]) if rank == 2 else values
    return Tensor(spec.name, spec.datatype, row[np.newaxis] if is_batched else row)


def _pixels(content: bytes, layout: Layout, what: str) -> Array:
    """The picture as H x W x C with values 0 to 255."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as file:
            picture = ImageOps.exif_transpose(file)
            picture = _opaque(picture).convert("L" if layout.channels == 1 else "RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as exc:
        raise UsageError(f"{what} cannot be read as an image: {exc}", "give a PNG or JPEG file") from exc
    size = (
        picture.width if layout.width == -1 else layout.width,
        picture.height if layout.height == -1 else layout.height,
    )
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.float64).reshape(size[1], size[0], layout.channels)


def _opaque(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits per pixel, which Pillow's own conversion cuts off at 255
        return Image.fromarray((np.asarray(picture, dtype=np.float64) / 257).round().astype(np.uint8))
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _scaled(pixels: Array, datatype: str, scale: Scale) -> Array:
    dtype = dtype_of(datatype)
    if datatype == "BOOL":
        return pixels >= 128
    values = scale.low + pixels / 255 * (scale.high - scale.low)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if min(scale.low, scale.high) < limits.min or max(scale.low, scale.high) > limits.max:
            raise UsageError(
                f"--scale {scale.low:g}:{scale.high:g} leaves the range of {datatype}",
                f"choose values between {limits.min} and {limits.max}",
            )
        values = np.round(values)
    result: Array = values.astype(dtype)
    return result
