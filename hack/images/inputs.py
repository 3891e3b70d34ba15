"""Turns the files an image is made from into one key, and remembers which key gave which image.

`__main__` asks `Memory` before anything is built: an unchanged key means nothing to do. Keys cover file
names, contents and the executable bit; never times, which differ in every checkout.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

_NEVER_INPUT = {"__pycache__", "target", ".git"}


def files_of(path: Path) -> Iterator[Path]:
    """Every file below `path`, or `path` itself, without build outputs; sorted."""
    if path.is_file():
        yield path
        return
    for child in sorted(path.iterdir()):
        if child.name not in _NEVER_INPUT:
            yield from files_of(child)


def key_of(root: Path, paths: Iterable[Path], *more: str) -> str:
    """The first 40 hex digits of the SHA-256 over the named files and texts."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        for file in files_of(path):
            executable = "x" if file.stat().st_mode & 0o100 else "-"
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{file.relative_to(root)} {executable} {content}\n".encode())
    for text in more:
        digest.update(f"{text}\n".encode())
    return digest.hexdigest()[:40]


class Memory:
    """Which input key gave which image digest, in one JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def digest_of(self, key: str) -> str | None:
        """The digest that `key` gave, or None when it was never built."""
        return self._known.get(key)

    def remember(self, key: str, digest: str) -> None:
        """Write down that `key` gave `digest`."""
        self._known[key] = digest
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self._known, indent=1, sort_keys=True) + "\n")
        partial.replace(self._path)
