"""Turns a tar file, plain or gzipped, into a stream that a hostile archive cannot blow up.

Used by `archive` as the file below the standard library's `tarfile`. It only goes forward (so a header that
points back ends the reading instead of looping), hands out small pieces (so a header cannot claim gigabytes
of name), and counts what comes out against what went in (so a bomb ends early). Never writes anything.
"""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from aimodel_operator.imagebuild.errors import ModelRejectedError

MAX_READ_BYTES = 64 * 1024
"""The largest piece that may be asked for: file contents are read in smaller ones, headers need far less."""
_MAX_HEADER_BYTES = 1024 * 1024
_MAX_RATIO = 200
_RATIO_FLOOR_BYTES = 16 * 1024 * 1024


class BoundedReader:
    """A forward-only `read`/`seek`/`tell` over the unpacked bytes of a file."""

    def __init__(self, path: Path, *, gzipped: bool) -> None:
        self._raw: BinaryIO = path.open("rb")
        self._bytes = gzip.GzipFile(fileobj=self._raw, mode="rb") if gzipped else self._raw
        self._packed_bytes = path.stat().st_size
        self._position = 0
        self._header_bytes_left = 0
        self._in_header = False

    @contextmanager
    def header(self) -> Iterator[None]:
        """While an entry's headers are read; long chains of them would otherwise pile up in memory."""
        self._in_header, self._header_bytes_left = True, _MAX_HEADER_BYTES
        yield
        self._in_header = False

    def read(self, size: int) -> bytes:
        """At most `size` bytes; raises ModelRejectedError for a piece or a total beyond the bounds."""
        # A negative size, which a header can claim too, would mean "everything".
        self._header_bytes_left -= size if self._in_header else 0
        if not 0 <= size <= MAX_READ_BYTES or self._header_bytes_left < 0:
            raise ModelRejectedError("The archive holds a header of a size that no real one has; it was not unpacked.")
        data = self._bytes.read(size)
        self._position += len(data)
        if self._position > max(_RATIO_FLOOR_BYTES, self._packed_bytes * _MAX_RATIO):
            raise ModelRejectedError(
                f"The archive unpacks to more than {_MAX_RATIO} times its size; it was not unpacked."
            )
        return data

    def seek(self, position: int) -> int:
        """Forward only; short of `position` when the file ends before it."""
        if position < self._position:
            raise ModelRejectedError("The archive holds a header that points backwards; it was not unpacked.")
        while self._position < position and self.read(min(position - self._position, MAX_READ_BYTES)):
            pass
        return self._position

    def tell(self) -> int:
        """How many unpacked bytes have been read."""
        return self._position

    def close(self) -> None:
        """Closes the file."""
        self._bytes.close()
        self._raw.close()
