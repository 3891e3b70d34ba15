"""Asks a registry over the OCI distribution API what it holds; `__main__` and `bases` call it. Reads only."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPResponse

_TIMEOUT_S = 4.0
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry by `HOST[:PORT]`; `plain_http` says that it speaks no TLS."""

    host: str
    plain_http: bool

    def compressed_bytes(self, repository: str, digest: str) -> int | None:
        """What a pull of the image transfers, or None when the registry does not hold it."""
        scheme = "http" if self.plain_http else "https"
        address = f"{scheme}://{self.host}/v2/{repository}/manifests/{digest}"
        try:
            with _open(address, {"Accept": ", ".join(_MANIFESTS)}) as response:
                manifest = json.load(response)
        except urllib.error.HTTPError as error:
            error.close()
            return None
        return sum(int(part["size"]) for part in (*manifest["layers"], manifest["config"]))


def answers(host: str) -> bool:
    """Whether a public registry can be reached: it answers its API with 200 or asks for a login."""
    try:
        with _open(f"https://{host}/v2/", {}) as response:
            return response.status == 200
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == 401
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _open(address: str, headers: dict[str, str]) -> HTTPResponse:
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - the scheme is ours
    response: HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
    return response
