"""Turns a docker config.json into the user and password for a repository, and auth challenges into their
parts.

Used by `transport`; read from a mounted `kubernetes.io/dockerconfigjson` Secret by `load`, in the build and in
the operator alike. Never runs a credential helper and never puts a password into a message or a repr.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aimodel_operator.imagebuild.errors import CredentialsError
from aimodel_operator.imagebuild.reference import Repository

_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True, slots=True)
class Credential:
    """A user with a password or token."""

    user: str
    password: str = field(repr=False)

    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Challenge:
    """A WWW-Authenticate header: `scheme` in lower case, `parameters` such as realm and service."""

    scheme: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, header: str) -> "Challenge":
        """Never raises; an unreadable header has an empty scheme."""
        scheme, _, rest = header.strip().partition(" ")
        pairs = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(rest)}
        return cls(scheme.lower(), pairs)


class DockerConfig:
    """Credentials by registry, or by registry and path: the longest match counts."""

    def __init__(self, entries: Mapping[str, Credential] | None = None) -> None:
        self._entries = dict(entries or {})

    @classmethod
    def load(cls, folder: Path, secret: str) -> "DockerConfig":
        """Reads config.json in the folder where the Secret is mounted; `secret` begins each CredentialsError."""
        try:
            return cls.parse((folder / "config.json").read_bytes())
        except FileNotFoundError as exc:
            raise CredentialsError(
                f"{secret} does not exist or has no key .dockerconfigjson. Make it in the same namespace with "
                "kubectl create secret docker-registry, or correct the name."
            ) from exc
        except OSError as exc:
            raise CredentialsError(f"{secret} cannot be read at {folder / 'config.json'}: {exc.strerror}.") from exc
        except CredentialsError as exc:
            raise CredentialsError(f"{secret} cannot be used. {exc}") from exc

    @classmethod
    def parse(cls, text: str | bytes) -> "DockerConfig":
        """Raises CredentialsError naming the registry whose entry does not read."""
        try:
            auths = json.loads(text).get("auths", {}).items()
        except (ValueError, AttributeError) as exc:
            raise CredentialsError(
                "The docker configuration (.dockerconfigjson) is not JSON with an `auths` object; make the Secret anew."
            ) from exc
        read = {_normal(name): _credential(name, entry) for name, entry in auths}
        return cls({name: credential for name, credential in read.items() if credential is not None})

    def find(self, repository: Repository) -> Credential | None:
        """The most specific entry for the repository, None when there is none."""
        parts = str(repository).split("/")
        for length in range(len(parts), 0, -1):
            found = self._entries.get("/".join(parts[:length]))
            if found is not None:
                return found
        return None


def _normal(name: str) -> str:
    """`https://host/v1/` and `host` name the same registry."""
    without_scheme = re.sub(r"^https?://", "", name).rstrip("/")
    return re.sub(r"/v[12]$", "", without_scheme)


def _credential(name: str, entry: object) -> Credential | None:
    """None for an entry without a user, as credential helpers leave them."""
    try:
        if not isinstance(entry, dict):
            raise ValueError("not an object")
        if entry.get("auth"):
            user, colon, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
            if not colon:
                raise ValueError("no colon")
            return Credential(user, password.rstrip("\0"))
        if entry.get("username"):
            return Credential(str(entry["username"]), str(entry.get("password", "")))
    except (ValueError, TypeError, binascii.Error) as exc:
        raise CredentialsError(
            f"The docker configuration's entry for {name} does not read; make the Secret anew."
        ) from exc
    return None
