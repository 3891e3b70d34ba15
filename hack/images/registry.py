"""Asks a registry over the OCI distribution API what it holds; `__main__` and `bases` call it. Reads only."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPResponse

_TIMEOUT_S = 4.0
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class LoginRequiredError(Exception):
    """The registry tells only those who log in what it holds; the engine can, this module does not."""


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry, or a path in one, by `HOST[:PORT][/PATH]`; `plain_http` says that it speaks no TLS."""

    prefix: str
    plain_http: bool

    def compressed_bytes(self, repository: str, digest: str) -> int | None:
        """What a pull of the image transfers; None when it is not there. Raises LoginRequiredError."""
        scheme = "http" if self.plain_http else "https"
        host, _, path = f"{self.prefix}/{repository}".partition("/")
        try:
            with _open(
                f"{scheme}://{host}/v2/{path}/manifests/{digest}", {"Accept": ", ".join(_MANIFESTS)}
            ) as response:
                manifest = json.load(response)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise LoginRequiredError from error
            return None
        return sum(int(part["size"]) for part in (*manifest["layers"], manifest["config"]))


def answers(host: str) -> bool:
    """Whether a public registry can be reached: it answers its API with 200 or asks for a login."""
    try:
        with _open(f"https://{host}/v2/", {}) as response:
            return response.status == HTTPStatus.OK
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == HTTPStatus.UNAUTHORIZED
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _open(address: str, headers: dict[str, str]) -> HTTPResponse:
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - the scheme is ours
    response: HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
    return response
