"""Hostile and broken archives, one per class, each with a marker that must not appear outside the folder."""

import gzip
import io
import random
import struct
import tarfile
from contextlib import closing, suppress
from pathlib import Path

import pytest

from aimodel_operator.imagebuild import archive
from aimodel_operator.imagebuild.bounded import BoundedReader
from aimodel_operator.imagebuild.errors import ModelRejectedError, OutOfSpaceError

MARKER = b"harmless marker"


def entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def packed(*entries: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]  # the mode is a variable
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def extract(tmp_path: Path, data: bytes, max_bytes: int = 1_000_000) -> dict[str, bytes]:
    """What came out, by name."""
    source, folder = tmp_path / "source", tmp_path / "work" / "out"
    source.write_bytes(data)
    folder.mkdir(parents=True)
    archive.extract(source, folder, max_bytes, gzipped=data.startswith(b"\x1f\x8b"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_plain_files_and_folders_come_out_with_our_own_modes(tmp_path: Path, mode: str) -> None:
    long_name = "m/" + "x" * 150
    files = extract(
        tmp_path,
        packed(
            entry("m", type=tarfile.DIRTYPE, mode=0o000),
            entry("m/model.onnx", bytes(100_000), mode=0o4777, uid=7, mtime=12345),
            entry("./m/empty"),
            entry(long_name, b"long"),
            mode=mode,
        ),
    )

    assert files == {"m/model.onnx": bytes(100_000), "m/empty": b"", long_name: b"long"}
    assert (tmp_path / "work/out/m/model.onnx").stat().st_mode & 0o7000 == 0


@pytest.mark.parametrize(
    ("hostile", "said"),
    [
        (entry("../escaped", MARKER), "leaves its folder"),
        (entry("a/../../escaped", MARKER), "leaves its folder"),
        (entry("/tmp/escaped", MARKER), "absolute"),  # noqa: S108  # a name inside the archive
        (entry("a\\..\\escaped", MARKER), "not plain"),
        (entry("bad\nname", MARKER), "not plain"),
        (entry("link", type=tarfile.SYMTYPE, linkname="/etc"), "symbolic link"),
        (entry("link", type=tarfile.LNKTYPE, linkname="../../escaped"), "hard link"),
        (entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3), "character device"),
        (entry("disk", type=tarfile.BLKTYPE, devmajor=8, devminor=0), "block device"),
        (entry("pipe", type=tarfile.FIFOTYPE), "named pipe"),
        (entry("odd", type=b"Z"), "special entry"),
        (entry("d/" * 20 + "deep", MARKER), "too deep"),
        (entry("n" * 256, MARKER), "too long"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_entry_that_is_not_a_plain_file_below_the_folder_ends_the_build(
    tmp_path: Path, hostile: tuple[tarfile.TarInfo, bytes], said: str
) -> None:
    with pytest.raises(ModelRejectedError, match=said):
        extract(tmp_path, packed(entry("model.onnx", b"m"), hostile))

    outside = [path for path in tmp_path.rglob("*") if path.is_file() and "out" not in path.parts]
    assert outside == [tmp_path / "source"]


@pytest.mark.parametrize(
    "names",
    [("a", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a"), ("d//a", "d/a")],
    ids=lambda names: " and ".join(names),
)
def test_two_entries_that_meet_on_disk_end_the_build(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(ModelRejectedError, match="twice"):
        extract(tmp_path, packed(*(entry(name, MARKER) for name in names)))


def test_a_link_made_first_cannot_lead_a_later_file_outside(tmp_path: Path) -> None:
    with pytest.raises(ModelRejectedError, match="symbolic link"):
        extract(tmp_path, packed(entry("d", type=tarfile.SYMTYPE, linkname=".."), entry("d/escaped", MARKER)))

    assert not (tmp_path / "work" / "escaped").exists()


def test_a_gzip_bomb_ends_before_it_fills_the_disk(tmp_path: Path) -> None:
    bomb = packed(entry("model.onnx", bytes(100_000_000)), mode="w:gz")
    assert len(bomb) < 200_000

    with pytest.raises(ModelRejectedError, match="200 times its size"):
        extract(tmp_path, bomb, max_bytes=1_000_000_000)

    assert (tmp_path / "work/out/model.onnx").stat().st_size < 40_000_000


def test_more_than_the_byte_limit_is_no_space(tmp_path: Path) -> None:
    with pytest.raises(OutOfSpaceError, match="more than the 1000 bytes"):
        extract(tmp_path, packed(entry("a", bytes(600)), entry("b", bytes(600))), max_bytes=1000)

    assert not (tmp_path / "work/out/b").exists()


def test_a_crowd_of_entries_ends_the_build(tmp_path: Path) -> None:
    crowd = header(b"folder/", b"00000000000\0", b"5") * 10_001

    with pytest.raises(ModelRejectedError, match="more than 10000 entries"):
        extract(tmp_path, crowd)


def header(name: bytes, size: bytes, kind: bytes) -> bytes:
    """A ustar header written by hand, for what tarfile itself would not write."""
    block = bytearray(512)
    block[0 : len(name)] = name
    block[100:108] = b"0000644\0"
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


NEGATIVE = b"\xff" * 4 + struct.pack(">q", -1024)


@pytest.mark.parametrize("size", [b"07777777777\0", NEGATIVE], ids=["a gigabyte", "less than nothing"])
@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"], ids=["long name", "long link", "pax", "global pax"])
def test_a_header_of_an_absurd_size_is_not_read_into_memory(tmp_path: Path, kind: bytes, size: bytes) -> None:
    data = header(b"././@LongLink", size, kind) + bytes(1_000_000)

    with pytest.raises(ModelRejectedError, match="header of a size that no real one has"):
        extract(tmp_path, gzip.compress(data))


def test_an_endless_chain_of_sparse_maps_is_not_kept_in_memory(tmp_path: Path) -> None:
    first = bytearray(header(b"model.onnx", b"00000000000\0", b"S"))
    first[482] = 1
    first[148:156] = b" " * 8
    first[148:156] = b"%06o\0 " % sum(first)
    more = bytearray(512)
    more[:24] = b"00000000001\0" * 2
    more[504] = 1

    with pytest.raises(ModelRejectedError, match="header of a size that no real one has"):
        extract(tmp_path, bytes(first) + bytes(more) * 4000)


def test_the_reader_never_goes_back(tmp_path: Path) -> None:
    (tmp_path / "tar").write_bytes(bytes(2000))
    with closing(BoundedReader(tmp_path / "tar", gzipped=False)) as reader:
        assert reader.seek(1024) == 1024
        with pytest.raises(ModelRejectedError, match="points backwards"):
            reader.seek(512)


def test_a_negative_size_does_not_loop(tmp_path: Path) -> None:
    with pytest.raises(ModelRejectedError, match="negative size"):
        extract(tmp_path, header(b"a", NEGATIVE, b"0") + header(b"b", b"00000000000\0", b"0") + bytes(1024))


@pytest.mark.parametrize("kept_bytes", [700, 5000, -9], ids=["in a file", "in a later file", "in the checksum"])
def test_an_archive_cut_short_is_broken(tmp_path: Path, kept_bytes: int) -> None:
    noise = random.Random(7)
    whole = packed(entry("model.onnx", noise.randbytes(4000)), entry("b", noise.randbytes(4000)), mode="w:gz")

    with pytest.raises(ModelRejectedError, match="broken"):
        extract(tmp_path, whole[:kept_bytes])


def test_a_file_larger_than_the_archive_is_broken(tmp_path: Path) -> None:
    with pytest.raises(ModelRejectedError, match="broken"):
        extract(tmp_path, header(b"model.onnx", b"00000100000\0", b"0") + bytes(512))


@pytest.mark.parametrize(
    "behind", [b"PK\x03\x04 a zip that other readers see", bytes(2_000_000)], ids=["a zip", "endless zeros"]
)
def test_nothing_may_hide_behind_the_end(tmp_path: Path, behind: bytes) -> None:
    with pytest.raises(ModelRejectedError, match="behind its end"):
        extract(tmp_path, packed(entry("model.onnx", b"m")) + behind)


def test_a_damaged_header_does_not_pass_for_the_end(tmp_path: Path) -> None:
    whole = bytearray(packed(entry("a", b"a"), entry("b", b"b"), entry("c", b"c")))
    whole[1024 + 3] ^= 0xFF

    with pytest.raises(ModelRejectedError, match="behind its end"):
        extract(tmp_path, bytes(whole))


def with_checksums(data: bytearray) -> bytes:
    for at in range(0, len(data) - 511, 512):
        if data[at + 257 : at + 262] == b"ustar":
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_archive_is_unpacked_in_its_folder_or_rejected(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    whole = packed(entry("m/model.onnx", b"m" * 700), entry("x" * 150, b"x"), entry("m/d", type=tarfile.DIRTYPE))
    for turn in range(10):
        damaged = bytearray(whole)
        for _ in range(dice.choice([1, 2, 5])):
            field = dice.choice([(0, 100), (124, 12), (156, 1), (345, 138), (482, 1), (0, 512)])
            at = dice.randrange(len(damaged) // 512) * 512 + field[0] + dice.randrange(field[1])
            damaged[at] = dice.choice([0, 0xFF, 0x80, ord("0"), ord("x"), ord("L"), dice.randrange(256)])
        folder = tmp_path / str(turn)
        folder.mkdir()
        with suppress(ModelRejectedError, OutOfSpaceError):
            extract(folder, with_checksums(damaged))

        assert sorted(path.name for path in folder.iterdir()) == ["source", "work"]
        assert not any(path.is_symlink() for path in folder.rglob("*"))


def test_what_macos_adds_on_its_own_is_left_out(tmp_path: Path) -> None:
    files = extract(
        tmp_path, packed(entry("._model.onnx", b"x"), entry("d/.DS_Store", b"x"), entry("d/model.onnx", b"m"))
    )

    assert files == {"d/model.onnx": b"m"}
