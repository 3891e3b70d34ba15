"""Image files to tensors of every layout, with pictures whose values are known."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aimodel_operator.cli.errors import UsageError
from aimodel_operator.cli.image import Layout, Scale, is_image, layout_of
from aimodel_operator.cli.inputs import read
from aimodel_operator.cli.tensors import TensorSpec


def png(pixels: Any, mode: str | None = None) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(np.asarray(pixels))
    (picture.convert(mode) if mode else picture).save(buffer, "PNG")
    return buffer.getvalue()


# Four columns of brightness 0, 51, 102, 255 in four rows.
GREY = np.tile(np.array([0, 51, 102, 255], dtype=np.uint8), (4, 1))


def values(content: bytes, datatype: str, shape: tuple[int, ...], scale: Scale | None = None) -> np.ndarray[Any, Any]:
    request = read(content, "file.png", (TensorSpec("x", datatype, shape),), scale)
    assert request.is_image
    return request.tensors[0].values


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((-1, 28, 28), Layout(28, 28, 1)),
        ((-1, 28, 28, 1), Layout(28, 28, 1)),
        ((1, 32, 48, 3), Layout(32, 48, 3)),
        ((-1, 3, 32, 48), Layout(32, 48, 3, channels_first=True)),
        ((-1, 1, 28, 28), Layout(28, 28, 1, channels_first=True)),
        ((28, 28), Layout(28, 28, 1)),
        ((-1, 784), Layout(28, 28, 1, is_flat=True)),
        ((784,), Layout(28, 28, 1, is_flat=True)),
        ((-1, -1, -1, 3), Layout(-1, -1, 3)),
        ((-1, 4), None),
        ((-1, 10), None),
        ((-1, 3, 3), None),
        ((-1, 2, 28, 28), None),
        ((-1, 5, 28, 28, 3), None),
        ((-1,), None),
        ((), None),
    ],
)
def test_the_layout_is_told_from_the_shape(shape: tuple[int, ...], layout: Layout | None) -> None:
    assert layout_of(shape) == layout


@pytest.mark.parametrize(
    ("shape", "result"),
    [
        ((-1, 4, 4), (1, 4, 4)),
        ((-1, 4, 4, 1), (1, 4, 4, 1)),
        ((-1, 1, 4, 4), (1, 1, 4, 4)),
        ((-1, 16), (1, 16)),
        ((4, 4), (4, 4)),
        ((16,), (16,)),
        ((-1, -1, -1, 1), (1, 4, 4, 1)),
    ],
)
def test_a_grey_picture_keeps_its_order_in_every_layout(shape: tuple[int, ...], result: tuple[int, ...]) -> None:
    tensor = values(png(GREY), "FP32", shape)
    assert tensor.shape == result
    assert np.allclose(tensor.reshape(4, 4), np.tile([0, 0.2, 0.4, 1], (4, 1)))


def test_colours_lie_last_or_first_as_the_model_wants() -> None:
    red = np.zeros((4, 4, 3), dtype=np.uint8)
    red[..., 0] = 255
    assert values(png(red), "FP32", (-1, 4, 4, 3))[0, 0, 0].tolist() == [1, 0, 0]
    assert values(png(red), "FP32", (-1, 3, 4, 4))[0, :, 0, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("datatype", "scale", "row"),
    [
        ("FP32", None, [0, 0.2, 0.4, 1]),
        ("FP32", Scale(0, 16), [0, 3.2, 6.4, 16]),
        ("FP64", Scale(-1, 1), [-1, -0.6, -0.2, 1]),
        ("FP32", Scale(1, 0), [1, 0.8, 0.6, 0]),
        ("UINT8", None, [0, 51, 102, 255]),
        ("INT64", Scale(0, 16), [0, 3, 6, 16]),
        ("BOOL", None, [False, False, False, True]),
    ],
)
def test_brightness_becomes_what_the_scale_says(datatype: str, scale: Scale | None, row: list[float]) -> None:
    assert values(png(GREY), datatype, (-1, 4, 4), scale)[0, 0].tolist() == pytest.approx(row)


def test_a_scale_outside_the_datatype_is_refused() -> None:
    with pytest.raises(UsageError, match="--scale 0:256 leaves the range of UINT8"):
        values(png(GREY), "UINT8", (-1, 4, 4), Scale(0, 256))


def test_a_picture_is_resized_to_the_models_height_and_width() -> None:
    half = np.zeros((16, 40), dtype=np.uint8)
    half[:, 20:] = 255
    tensor = values(png(half), "FP32", (-1, 4, 10))
    assert tensor.shape == (1, 4, 10)
    assert tensor[0, :, :4].max() == 0
    assert tensor[0, :, 6:].min() == 1


def test_transparent_parts_are_white() -> None:
    clear = np.zeros((4, 4, 4), dtype=np.uint8)
    assert values(png(clear), "FP32", (-1, 4, 4)).min() == 1


def test_sixteen_bits_per_pixel_are_not_cut_off() -> None:
    deep = np.full((4, 4), 257 * 100, dtype=np.uint16)
    assert values(png(deep), "UINT8", (-1, 4, 4)).tolist() == np.full((1, 4, 4), 100).tolist()


def test_a_palette_is_resolved() -> None:
    assert values(png(GREY, "P"), "UINT8", (-1, 4, 4))[0, 0].tolist() == [0, 51, 102, 255]


@pytest.mark.parametrize(
    ("content", "shape", "datatype", "says"),
    [
        (png(GREY), (-1, 4), "FP32", "is an image, but the model wants x FP32 [-1, 4]"),
        (png(GREY), (-1, 4, 4), "BYTES", "is an image, but the model wants"),
        (png(GREY)[:40], (-1, 4, 4), "FP32", "cannot be read as an image"),
    ],
    ids=["a table model", "a text model", "a torn file"],
)
def test_what_cannot_be_is_refused(content: bytes, shape: tuple[int, ...], datatype: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        values(content, datatype, shape)
    assert says in caught.value.message


def test_png_and_jpeg_are_told_by_their_first_bytes() -> None:
    assert is_image(png(GREY))
    assert is_image(b"\xff\xd8\xff\xe0")
    assert not is_image(b"GIF89a")
    assert not is_image(b"1,2,3")
