"""A client for the few calls that bring-up itself makes to the API server; tests and people use kubectl.

Called by `local` and `controlplane`. It takes the embedded certificates out of a kubeconfig of ours and knows
nothing of other authentication.
"""

import base64
import http.client
import json
import socket
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hack.cluster.paths import ClusterError

TIMEOUT_S = 5.0
CONFLICT = 409


class ApiClient:
    """JSON calls to the API server that `kubeconfig` names."""

    def __init__(self, kubeconfig: Path) -> None:
        content = json.loads(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        self._address = urlsplit(cluster["server"]).netloc
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as pair:  # load_cert_chain reads files only
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            self._tls.load_cert_chain(pair.name)

    def get(self, path: str) -> dict[str, Any]:
        """The object at `path`."""
        status, body = self._call("GET", path)
        if status != http.client.OK:
            raise ClusterError(f"GET {path}: {status} {body[:300]}")
        return dict(json.loads(body))

    def create(self, collection: str, manifest: dict[str, Any]) -> None:
        """Create the object; one that is already there stays as it is."""
        if self.answers(f"{collection}/{manifest['metadata']['name']}"):
            return
        status, body = self._call("POST", collection, json.dumps(manifest))
        if status not in (http.client.CREATED, CONFLICT):
            raise ClusterError(f"POST {collection}: {status} {body[:300]}")

    def answers(self, path: str) -> bool:
        """Whether `path` is answered with 200."""
        try:
            return self._call("GET", path)[0] == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def _call(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        connection = http.client.HTTPSConnection(self._address, timeout=TIMEOUT_S, context=self._tls)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


def resolve(server: str, name: str, timeout_s: float = 1.0) -> bool:
    """Whether the DNS server at `server` answers an A query for `name` with at least one record."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\0\0\x01\0\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(timeout_s)
        try:
            channel.sendto(query, (server, 53))
            answer = channel.recv(512)
        except OSError:
            return False
    return answer[:2] == query[:2] and answer[3] & 0x0F == 0 and int.from_bytes(answer[6:8]) > 0
