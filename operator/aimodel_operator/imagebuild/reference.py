"""Turns `REGISTRY/path`, `REGISTRY/path:tag` and `REGISTRY/path@sha256:…` into values and back.

Used by `request`, `plan` and `registry`. A reference always names its registry: nothing is guessed to be
Docker Hub.
"""

import re
from dataclasses import dataclass

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of one registry: `host` with its port, `path` without slashes at the ends."""

    host: str
    path: str

    @classmethod
    def parse(cls, text: str) -> "Repository":
        """Raises ValueError unless the text reads `REGISTRY[:PORT]/path`."""
        host, slash, path = text.partition("/")
        named = "." in host or ":" in host or host == "localhost"
        if not (slash and named and _HOST.fullmatch(host) and _PATH.fullmatch(path)):
            raise ValueError(f"{text!r} is not a repository of the form REGISTRY[:PORT]/path in lower case")
        return cls(host, path)

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"


@dataclass(frozen=True, slots=True)
class PinnedImage:
    """An image by digest."""

    repository: Repository
    digest: str

    @classmethod
    def parse(cls, text: str) -> "PinnedImage":
        """Raises ValueError unless the text reads `REGISTRY/path[:tag]@sha256:…`."""
        name, at, digest = text.partition("@")
        if not at or not DIGEST.fullmatch(digest):
            raise ValueError(f"{text!r} is not an image pinned by digest (REGISTRY/path@sha256:…)")
        head, slash, last = name.rpartition("/")
        return cls(Repository.parse(f"{head}{slash}{last.partition(':')[0]}"), digest)

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"
