"""Turns a model's folder into one tar layer whose bytes depend on nothing but the names and contents of its
files.

Called by `build`; the bytes go to `registry`. The layer is not compressed: weights of float32 shrink by 7 %
and gzip does 36 MB/s on the cores this was measured on, so pushing and unpacking would both be slower, and
zlib's output differs between its versions. It is never written to disk either: it is read twice, once to
name it, once to push it.
"""

import hashlib
import tarfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

_CHUNK_BYTES = 1024 * 1024
_BLOCK_BYTES = 512
_END = bytes(2 * _BLOCK_BYTES)


@dataclass(frozen=True, slots=True)
class Layer:
    """A tar as a sequence of headers in memory and files on disk; equal folders have equal digests."""

    parts: tuple[bytes | Path, ...]
    digest: str
    size_bytes: int

    async def chunks(self) -> AsyncIterator[bytes]:
        """The layer's bytes, anew at each call."""
        for chunk in _chunks(self.parts):
            yield chunk


def layer(folder: Path, model: str) -> Layer:
    """The folder as `models/MODEL/1/`, owned by root, readable by all, dated 1970."""
    parts = tuple(_parts(folder, f"models/{model}/1"))
    sha256, size_bytes = hashlib.sha256(), 0
    for chunk in _chunks(parts):
        sha256.update(chunk)
        size_bytes += len(chunk)
    return Layer(parts, f"sha256:{sha256.hexdigest()}", size_bytes)


def _parts(folder: Path, root: str) -> Iterator[bytes | Path]:
    above = root.split("/")
    for depth in range(1, len(above) + 1):
        yield _header("/".join(above[:depth]), None)
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = f"{root}/{path.relative_to(folder).as_posix()}"
        if path.is_dir():
            yield _header(name, None)
        else:
            size_bytes = path.stat().st_size
            yield _header(name, size_bytes)
            yield path
            yield bytes(-size_bytes % _BLOCK_BYTES)
    yield _END


def _header(name: str, size_bytes: int | None) -> bytes:
    """A header for a file of that size, or for a folder when there is none."""
    info = tarfile.TarInfo(name)
    info.type, info.mode = (tarfile.DIRTYPE, 0o755) if size_bytes is None else (tarfile.REGTYPE, 0o644)
    info.size = size_bytes or 0
    return info.tobuf(tarfile.PAX_FORMAT)


def _chunks(parts: tuple[bytes | Path, ...]) -> Iterator[bytes]:
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        with part.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
