"""Passwords and tokens against the real registry: htpasswd, and the Bearer flow with a token server of our own."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from aimodel_operator.imagebuild import registry
from aimodel_operator.imagebuild.build import BuildResult, Progress, build
from aimodel_operator.imagebuild.credentials import DockerConfig
from aimodel_operator.imagebuild.errors import RegistryDeniedError
from aimodel_operator.imagebuild.request import parse
from fileserver import running_fileserver
from registry import RunningRegistry, a_tar, running_registry

USER, PASSWORD = "builder", "correct horse"
# bcrypt of PASSWORD, as htpasswd -B writes it.
HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n"


def docker_config(host: str, password: str = PASSWORD) -> DockerConfig:
    encoded = base64.b64encode(f"{USER}:{password}".encode()).decode()
    return DockerConfig.parse(json.dumps({"auths": {host: {"auth": encoded}}}))


async def build_an_echo_model(reg: RunningRegistry, credentials: DockerConfig, base: str, work: Path) -> BuildResult:
    work.mkdir()  # noqa: ASYNC240  # a folder of the test itself
    with running_fileserver() as files:
        request = parse(
            json.dumps(
                {
                    "model": "echo",
                    "source": {
                        "uri": files.put("/echo.tar", a_tar({"echo.json": b"{}"})),
                        "digest": None,
                        "format": "Auto",
                    },
                    "repository": f"{reg.address}/team/echo",
                    "base": f"{reg.address}/aimodel/serving@{base}",
                    "plainHttpRegistries": [reg.address],
                    "allowedPrivateHosts": ["127.0.0.1"],
                    "limits": {"maxBytes": 100_000, "timeoutSeconds": 60},
                }
            )
        )
        async with registry.connect(credentials, request.plain_http_registries) as client:
            return await build(request, client, work, Progress(lambda line: None))


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[RunningRegistry]:
    """A registry that wants USER and PASSWORD."""
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "tests", "path": str(tmp_path / "htpasswd")}}
    with running_registry(tmp_path / "registry", auth) as reg:
        encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        reg.headers = {"Authorization": f"Basic {encoded}"}
        yield reg


async def test_the_password_of_the_docker_configuration_opens_the_registry(
    locked: RunningRegistry, tmp_path: Path
) -> None:
    base = locked.push_base("aimodel/serving")

    result = await build_an_echo_model(locked, docker_config(locked.address), base, tmp_path / "work")

    _, digest = locked.get_manifest("team/echo", result.built.image.split("@")[1])
    assert result.built.image == f"{locked.address}/team/echo@{digest}"


@pytest.mark.parametrize("known", ["nobody", "another registry", "a wrong password"])
async def test_a_refused_registry_is_said_without_the_password(
    locked: RunningRegistry, tmp_path: Path, known: str
) -> None:
    credentials = {
        "nobody": DockerConfig(),
        "another registry": docker_config("registry.example.com"),
        "a wrong password": docker_config(locked.address, "wr0ng-secret"),
    }[known]

    with pytest.raises(RegistryDeniedError, match=r"team/echo.*spec\.image\.pushSecretRef") as caught:
        await build_an_echo_model(locked, credentials, locked.push_base("aimodel/serving"), tmp_path / "work")

    assert "wr0ng-secret" not in str(caught.value)


class SigningKey:
    """A throw-away RSA key; signs as RFC 8017 section 8.2 (RSASSA-PKCS1-v1_5 with SHA-256) has it."""

    def __init__(self) -> None:
        first, second = self._prime(), self._prime()
        self.modulus = first * second
        self._exponent = pow(65537, -1, (first - 1) * (second - 1))

    @staticmethod
    def _prime() -> int:
        while True:
            candidate = secrets.randbits(512) | (0b11 << 510) | 1
            if candidate % 65537 != 1 and all(pow(base, candidate - 1, candidate) == 1 for base in (2, 3, 5)):
                return candidate

    def sign(self, message: bytes) -> bytes:
        prefix = bytes.fromhex("3031300d060960864801650304020105000420")
        digest = prefix + hashlib.sha256(message).digest()
        padded = b"\x00\x01" + b"\xff" * (128 - 3 - len(digest)) + b"\x00" + digest
        return pow(int.from_bytes(padded), self._exponent, self.modulus).to_bytes(128)

    def jwks(self) -> str:
        key = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": "k",
            "n": url64(self.modulus.to_bytes(128)),
            "e": "AQAB",
        }
        return json.dumps({"keys": [key]})

    def token(self, access: list[dict[str, object]]) -> str:
        now = int(time.time())
        claims = {"iss": "tests", "sub": USER, "aud": "registry", "exp": now + 300, "nbf": now - 60, "access": access}
        head = url64(json.dumps({"alg": "RS256", "typ": "JWT", "kid": "k"}).encode())
        body = f"{head}.{url64(json.dumps(claims).encode())}"
        return f"{body}.{url64(self.sign(body.encode()))}"


def url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class TokenServer:
    """Grants what `rights` allows of what is asked; remembers what was asked."""

    key: SigningKey
    rights: Mapping[str, set[str]]
    realm: str = ""
    asked: list[list[str]] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        scopes = parse_qs(urlsplit(handler.path).query).get("scope", [])
        self.asked.append(scopes)
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        allowed = handler.headers["Authorization"] == expected
        body = json.dumps({"token": self.key.token([self._granted(scope) for scope in scopes])}).encode()
        handler.send_response(200 if allowed else 401)
        handler.send_header("Content-Length", str(len(body) if allowed else 0))
        handler.end_headers()
        handler.wfile.write(body if allowed else b"")

    def _granted(self, scope: str) -> dict[str, object]:
        _, name, actions = scope.split(":")
        return {"type": "repository", "name": name, "actions": sorted(set(actions.split(",")) & self.rights[name])}


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    issuer = TokenServer(SigningKey(), {"team/echo": {"pull", "push"}, "aimodel/serving": {"pull"}})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
            """Stays quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        issuer.realm = f"http://127.0.0.1:{server.server_address[1]}/token"
        yield issuer
        server.shutdown()
        thread.join(timeout=30)


@pytest.fixture
def guarded(tmp_path: Path, tokens: TokenServer) -> Iterator[RunningRegistry]:
    """A registry that wants the token server's Bearer tokens."""
    (tmp_path / "jwks.json").write_text(tokens.key.jwks())
    auth = {
        "token": {
            "realm": tokens.realm,
            "service": "registry",
            "issuer": "tests",
            "jwks": str(tmp_path / "jwks.json"),
            "signingalgorithms": ["RS256"],
        }
    }
    with running_registry(tmp_path / "registry", auth) as reg:
        everything = [
            {"type": "repository", "name": name, "actions": ["pull", "push"]}
            for name in ("aimodel/serving", "team/echo")
        ]
        reg.headers = {"Authorization": f"Bearer {tokens.key.token(everything)}"}
        yield reg


async def test_tokens_are_fetched_for_exactly_what_is_done(
    guarded: RunningRegistry, tokens: TokenServer, tmp_path: Path
) -> None:
    base = guarded.push_base("aimodel/serving")

    result = await build_an_echo_model(guarded, docker_config(guarded.address), base, tmp_path / "work")

    manifest, _ = guarded.get_manifest("team/echo", result.built.image.split("@")[1])
    assert len(manifest["layers"]) == 2
    assert sorted(map(sorted, tokens.asked)) == [
        ["repository:aimodel/serving:pull"],
        ["repository:aimodel/serving:pull", "repository:team/echo:pull,push"],
        ["repository:team/echo:pull"],
        ["repository:team/echo:pull,push"],
    ]
    mounts = [access for access in guarded.accesses() if "mount=" in access.path and access.status == 201]
    assert len(mounts) == 1


async def test_a_user_who_may_only_pull_is_denied_the_push(
    guarded: RunningRegistry, tokens: TokenServer, tmp_path: Path
) -> None:
    tokens.rights = {"team/echo": {"pull"}, "aimodel/serving": {"pull"}}

    with pytest.raises(RegistryDeniedError, match=r"refuses writes of .*team/echo"):
        await build_an_echo_model(
            guarded, docker_config(guarded.address), guarded.push_base("aimodel/serving"), tmp_path / "work"
        )


async def test_a_token_server_that_refuses_the_password_is_a_denial(
    guarded: RunningRegistry, tokens: TokenServer, tmp_path: Path
) -> None:
    with pytest.raises(RegistryDeniedError, match="token server answered HTTP 401") as caught:
        await build_an_echo_model(
            guarded,
            docker_config(guarded.address, "wr0ng-secret"),
            guarded.push_base("aimodel/serving"),
            tmp_path / "w",
        )

    assert "wr0ng-secret" not in str(caught.value)
