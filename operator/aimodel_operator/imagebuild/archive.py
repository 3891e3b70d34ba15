"""Turns a fetched tar or tar.gz into a folder of plain files, or refuses it whole.

Called by `scan`. Only directories and regular files with plain relative names come out, each name once,
with our own modes; links, devices, sparse files, names that leave the folder, bombs and crowds end the
build. What the files hold is judged afterwards by `scan`. Nothing is ever written outside the folder that
was given.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, cast

from aimodel_operator.imagebuild.bounded import MAX_READ_BYTES, BoundedReader
from aimodel_operator.imagebuild.errors import ModelRejectedError, OutOfSpaceError

MAX_ENTRIES = 10_000
# Linux itself takes no longer name.
_MAX_NAME_BYTES = 255
_MAX_DEPTH = 16
_MAX_PADDING_BYTES = 1024 * 1024
_WHAT_TO_DO = "Pack the model's folder anew with plain files only (tar -czf model.tar.gz -C FOLDER .)."
# What a broken or hostile archive makes tarfile, gzip and zlib raise.
_UNREADABLE = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    ValueError,
    LookupError,
    OverflowError,
    RecursionError,
)


@dataclass(slots=True)
class _Names:
    """Every name seen so far, so that no two entries meet on disk."""

    files: set[PurePosixPath] = field(default_factory=set)
    folders: set[PurePosixPath] = field(default_factory=set)

    def add(self, name: PurePosixPath, *, is_folder: bool) -> None:
        taken = name in self.files or (not is_folder and name in self.folders)
        if taken or any(parent in self.files for parent in name.parents):
            raise ModelRejectedError(f"The archive holds the name {shown(name)} twice. {_WHAT_TO_DO}")
        (self.folders if is_folder else self.files).add(name)
        self.folders.update(parent for parent in name.parents if parent.parts)


def extract(archive: Path, folder: Path, max_bytes: int, *, gzipped: bool) -> None:
    """Unpacks into `folder`, which exists and is empty; at most `max_bytes` of file contents."""
    names, left = _Names(), max_bytes
    try:
        with closing(BoundedReader(archive, gzipped=gzipped)) as reader:
            for tar, member in _members(reader):
                name = _safe_name(member)
                if name is None:
                    continue
                names.add(name, is_folder=member.isdir())
                if member.isdir():
                    (folder / name).mkdir(parents=True, exist_ok=True)
                    continue
                left -= member.size
                if left < 0:
                    raise OutOfSpaceError(
                        f"The archive unpacks to more than the {max_bytes} bytes a build may take; ask the "
                        "operator's installer to raise AIMODEL_BUILD_MAX_BYTES."
                    )
                _copy(tar, member, folder / name)
            _check_end(reader)
    except _UNREADABLE as exc:
        raise ModelRejectedError(f"The archive is broken: it could not be unpacked ({type(exc).__name__}).") from exc


def shown(name: object) -> str:
    """A name out of an archive as it may stand in a message: printable and short."""
    text = ascii(str(name))
    return text if len(text) <= 120 else text[:119] + "…'"


def _members(reader: BoundedReader) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    with reader.header():
        opened = tarfile.TarFile(fileobj=cast(IO[bytes], reader), errorlevel=2)
    with opened as tar:
        count = 0
        while member := _next(tar, reader):
            # tarfile keeps every member (with its headers) for look-ups that are never made here.
            tar.members.clear()  # type: ignore[attr-defined]  # missing in typeshed
            count += 1
            if count > MAX_ENTRIES:
                raise ModelRejectedError(f"The archive holds more than {MAX_ENTRIES} entries; a model needs far fewer.")
            yield tar, member


def _next(tar: tarfile.TarFile, reader: BoundedReader) -> tarfile.TarInfo | None:
    with reader.header():
        return tar.next()


def _check_end(reader: BoundedReader) -> None:
    """Reads to the end, which also verifies gzip's checksum; after a tar's last entry only zeros may come."""
    left = _MAX_PADDING_BYTES
    while data := reader.read(MAX_READ_BYTES):
        left -= len(data)
        if left < 0 or data.strip(b"\0"):
            raise ModelRejectedError(f"The archive holds something behind its end. {_WHAT_TO_DO}")


def _safe_name(member: tarfile.TarInfo) -> PurePosixPath | None:
    """The entry's place below the folder; None for the folder itself and for what macOS adds on its own."""
    name = shown(member.name)
    if member.issparse() or not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
        raise ModelRejectedError(f"The archive holds {name}, which is a {_kind(member)}. {_WHAT_TO_DO}")
    if member.size < 0:
        raise ModelRejectedError(f"The archive holds {name} with a negative size.")
    if member.name.startswith("/") or "\\" in member.name or not member.name.isprintable():
        raise ModelRejectedError(f"The archive holds the name {name}, which is absolute or not plain. {_WHAT_TO_DO}")
    path = PurePosixPath(member.name)
    if ".." in path.parts:
        raise ModelRejectedError(f"The archive holds the name {name}, which leaves its folder. {_WHAT_TO_DO}")
    longest = max((len(part.encode("utf-8", "surrogateescape")) for part in path.parts), default=0)
    if longest > _MAX_NAME_BYTES or len(path.parts) > _MAX_DEPTH:
        raise ModelRejectedError(f"The archive holds the name {name}, which is too long or too deep.")
    if not path.parts or path.name.startswith("._") or path.name == ".DS_Store":
        return None
    return path


def _kind(member: tarfile.TarInfo) -> str:
    kinds = {
        tarfile.SYMTYPE: "symbolic link",
        tarfile.LNKTYPE: "hard link",
        tarfile.CHRTYPE: "character device",
        tarfile.BLKTYPE: "block device",
        tarfile.FIFOTYPE: "named pipe",
    }
    return kinds.get(member.type, "sparse file" if member.issparse() else "special entry")


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(member)
    if source is None:
        raise tarfile.ExtractError(member.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("xb") as file:
        while chunk := source.read(MAX_READ_BYTES):
            file.write(chunk)
    if target.stat().st_size != member.size:
        raise EOFError(member.name)
