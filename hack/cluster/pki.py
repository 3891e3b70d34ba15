"""Makes the certificates, keys and kubeconfigs of a cluster with the openssl program.

Called by `local` and `controlplane`. Keys are P-256 (fast to make) and never leave the given folder, except
embedded in a kubeconfig that only its owner can read.
"""

import base64
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hack import commands
from hack.cluster.preflight import find

DAYS = 3650
_LEAF = """[req]
distinguished_name = name
x509_extensions = leaf
[name]
[leaf]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = {names}
"""
_AUTHORITY = """[req]
distinguished_name = name
x509_extensions = authority
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = keyCertSign, digitalSignature
subjectKeyIdentifier = hash
"""


@dataclass(frozen=True, slots=True)
class Pki:
    """One certificate authority and what it signed, as NAME.crt and NAME.key in `folder`."""

    folder: Path

    def create_authority(self) -> None:
        """The authority, and the key pair for service account tokens (`sa.key`, `sa.pub`)."""
        self.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        self._certify("ca", "/CN=aimodel-local", _AUTHORITY, [])
        key, public = self.key("sa"), self.folder / "sa.pub"
        _openssl("genpkey", *_curve("-algorithm", "EC"), "-out", str(key))
        _openssl("pkey", "-in", str(key), "-pubout", "-out", str(public))

    def issue(self, name: str, user: str, groups: Iterable[str] = (), hosts: Iterable[str] = ()) -> None:
        """A certificate for a user (with groups) that is also a server's for `hosts` (IPs or names)."""
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        alternatives = ", ".join(f"{_kind(host)}:{host}" for host in hosts) or f"DNS:{name}"
        authority = ["-CA", str(self.certificate("ca")), "-CAkey", str(self.key("ca"))]
        self._certify(name, subject, _LEAF.format(names=alternatives), authority)

    def kubeconfig(self, name: str, server: str, context: str = "aimodel-local") -> Path:
        """Write NAME.kubeconfig with everything embedded, so that it can be copied; returns its path."""
        path = self.folder / f"{name}.kubeconfig"
        cluster = {"server": server, "certificate-authority-data": _encoded(self.certificate("ca"))}
        user = {
            "client-certificate-data": _encoded(self.certificate(name)),
            "client-key-data": _encoded(self.key(name)),
        }
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": context, "cluster": cluster}],
            "users": [{"name": context, "user": user}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
            "current-context": context,
        }
        write_private(path, json.dumps(content, indent=2) + "\n")
        return path

    def certificate(self, name: str) -> Path:
        """Path of a certificate."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Path of a private key."""
        return self.folder / f"{name}.key"

    def _certify(self, name: str, subject: str, configuration: str, authority: list[str]) -> None:
        config = self.folder / f"{name}.cnf"
        config.write_text(configuration)
        files = ["-keyout", str(self.key(name)), "-out", str(self.certificate(name))]
        purpose = ["-config", str(config), "-subj", subject, "-days", str(DAYS), *authority]
        _openssl("req", "-x509", "-sha256", "-nodes", *_curve("-newkey", "ec"), *purpose, *files)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, replacing the old one at once."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(text)
    fresh.replace(path)


def _curve(option: str, algorithm: str) -> list[str]:
    return [option, algorithm, "-pkeyopt", "ec_paramgen_curve:P-256"]


def _kind(host: str) -> str:
    return "IP" if host.replace(".", "").isdigit() else "DNS"


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _openssl(*arguments: str) -> None:
    commands.run([str(find("openssl")), *arguments])
