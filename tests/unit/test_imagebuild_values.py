"""The pure parts of a build: references, requests, addresses, credentials, tags, layers, manifests and messages."""

import base64
import hashlib
import io
import ipaddress
import json
import tarfile
from pathlib import Path

import pytest

from aimodel_operator.api.reasons import Reason
from aimodel_operator.imagebuild import addresses, errors, manifest, request, transport
from aimodel_operator.imagebuild.credentials import Challenge, DockerConfig
from aimodel_operator.imagebuild.layer import layer
from aimodel_operator.imagebuild.plan import input_tag
from aimodel_operator.imagebuild.reference import PinnedImage, Repository

DIGEST = f"sha256:{'a' * 64}"
BASE = PinnedImage.parse(f"registry.example.com/aimodel/serving@{DIGEST}")


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("10.0.0.1:5000/team/digits", "10.0.0.1:5000", "team/digits"),
        ("registry.example.com/a", "registry.example.com", "a"),
        ("localhost/a_b/c-d", "localhost", "a_b/c-d"),
        ("[::1]:5000/a", "[::1]:5000", "a"),
    ],
)
def test_a_repository_names_its_registry(text: str, host: str, path: str) -> None:
    assert Repository.parse(text) == Repository(host, path)
    assert str(Repository(host, path)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "digits",
        "team/digits",
        "r.io/",
        "r.io/A",
        "r.io/a:tag",
        "r.io//a",
        "r.io/../a",
        "https://r.io/a",
        "r.io/a?b",
        "u@r.io/a",
    ],
)
def test_what_is_no_repository_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a repository"):
        Repository.parse(text)


def test_an_image_is_pinned_with_or_without_a_tag() -> None:
    expected = PinnedImage(Repository("10.0.0.1:5000", "aimodel/serving"), DIGEST)

    assert PinnedImage.parse(f"10.0.0.1:5000/aimodel/serving@{DIGEST}") == expected
    assert PinnedImage.parse(f"10.0.0.1:5000/aimodel/serving:1.2@{DIGEST}") == expected
    assert str(expected) == f"10.0.0.1:5000/aimodel/serving@{DIGEST}"


@pytest.mark.parametrize("text", ["r.io/a", "r.io/a:1", "r.io/a@sha256:12", f"r.io/a@sha512:{'a' * 64}", f"a@{DIGEST}"])
def test_an_image_that_is_not_pinned_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not (an image pinned|a repository)"):
        PinnedImage.parse(text)


def test_the_tag_is_a_hash_over_all_inputs() -> None:
    inputs = f'["digits","{DIGEST}","{DIGEST}","2"]'

    assert input_tag("digits", DIGEST, BASE) == "in-" + hashlib.sha256(inputs.encode()).hexdigest()[:40]


def test_each_input_changes_the_tag() -> None:
    other = f"sha256:{'b' * 64}"
    tags = {
        input_tag("digits", DIGEST, BASE),
        input_tag("letters", DIGEST, BASE),
        input_tag("digits", other, BASE),
        input_tag("digits", DIGEST, PinnedImage(BASE.repository, other)),
    }

    assert len(tags) == 4
    assert input_tag("digits", DIGEST, PinnedImage(Repository("elsewhere.io", "x"), DIGEST)) in tags


REQUEST = {
    "model": "digits",
    "source": {"uri": "https://models.example.com/digits.onnx", "digest": None, "format": "Auto"},
    "repository": "10.0.0.1:5000/team/digits",
    "base": f"10.0.0.1:5000/aimodel/serving@{DIGEST}",
    "plainHttpRegistries": ["10.0.0.1:5000"],
    "allowedPrivateHosts": ["models.demo.svc"],
    "limits": {"maxBytes": 1000, "timeoutSeconds": 60},
}


def test_a_request_reads_into_values() -> None:
    read = request.parse(json.dumps(REQUEST))

    assert (read.model, read.source.uri, read.source.digest) == (
        "digits",
        "https://models.example.com/digits.onnx",
        None,
    )
    assert read.plain_http_registries == {"10.0.0.1:5000"}
    assert (read.limits.max_bytes, read.limits.timeout_seconds) == (1000, 60)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "../digits"),
        ("model", "Digits"),
        ("model", "digits\n"),
        ("source", {"uri": "https://h/m", "digest": "md5:1", "format": "Auto"}),
        ("source", {"uri": "https://h/m", "digest": None, "format": "Pickle"}),
        ("repository", "team/digits"),
        ("base", "10.0.0.1:5000/aimodel/serving:latest"),
        ("limits", {"maxBytes": 0, "timeoutSeconds": 60}),
        ("surprise", 1),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    with pytest.raises(errors.RequestInvalidError, match=field):
        request.parse(json.dumps(REQUEST | {field: value}))


@pytest.mark.parametrize("text", ["", "null", "[]", "{"])
def test_what_is_no_request_is_said(text: str) -> None:
    with pytest.raises(errors.RequestInvalidError, match="build request does not read"):
        request.parse(text)


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_may_be_reached(text: str) -> None:
    assert addresses.is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.0.1", "169.254.169.254", "172.31.255.255"),  # noqa: S104
        *("192.168.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fec0::1", "fd12::1", "ff02::1", "2001:db8::1", "::127.0.0.1", "64:ff9b:1::a00:1"),
        *("::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1"),
    ],
)
def test_an_address_that_is_not_public_may_not(text: str) -> None:
    assert not addresses.is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("listed", ["models.demo.svc", "MODELS.demo.svc."])
def test_a_listed_host_may_be_private(listed: str) -> None:
    found = [ipaddress.ip_address("10.0.0.1")]

    addresses.check("models.demo.svc", found, frozenset({listed}))
    with pytest.raises(errors.SourceDeniedError, match=r"other\.demo\.svc has the address 10\.0\.0\.1"):
        addresses.check("other.demo.svc", found, frozenset({listed}))


@pytest.mark.parametrize(
    ("repository", "url"),
    [
        ("10.0.0.1:5000/a/b", "http://10.0.0.1:5000/v2/a/b/tags/list"),
        ("10.0.0.1/a", "https://10.0.0.1/v2/a/tags/list"),
        ("docker.io/library/debian", "https://registry-1.docker.io/v2/library/debian/tags/list"),
    ],
)
def test_only_listed_registries_are_spoken_to_in_the_clear(repository: str, url: str) -> None:
    plain_http = frozenset({"10.0.0.1:5000"})

    assert str(transport.api_url(Repository.parse(repository), "tags/list", plain_http)) == url


def test_the_most_specific_credential_counts() -> None:
    def entry(user: str) -> dict[str, str]:
        return {"auth": base64.b64encode(f"{user}:p:w".encode()).decode()}

    config = DockerConfig.parse(
        json.dumps(
            {
                "auths": {
                    "https://r.io/v1/": entry("all"),
                    "r.io/team": entry("team"),
                    "plain.io": {"username": "u", "password": "p"},
                    "helper.io": {},
                }
            }
        )
    )

    def user(text: str) -> str | None:
        found = config.find(Repository.parse(text))
        return found.user if found else None

    assert [user(text) for text in ("r.io/x", "r.io/team/x", "r.io/teamx", "plain.io/a", "helper.io/a", "no.io/a")] == [
        "all",
        "team",
        "all",
        "u",
        None,
        None,
    ]
    found = config.find(Repository.parse("r.io/x"))
    assert found is not None
    assert found.basic() == "Basic " + base64.b64encode(b"all:p:w").decode()
    assert "p:w" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"auths": []}',
        '{"auths": {"r.io": {"auth": "s3cret"}}}',
        '{"auths": {"r.io": {"auth": "czNjcmV0"}}}',
        '{"auths": {"r.io": 1}}',
    ],
)
def test_a_docker_configuration_that_does_not_read_is_said_without_its_content(text: str) -> None:
    with pytest.raises(errors.CredentialsError, match="docker configuration") as caught:
        DockerConfig.parse(text)

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "scheme", "parameters"),
    [
        ('Basic realm="tests"', "basic", {"realm": "tests"}),
        (
            'Bearer realm="https://a/token",service="r.io", scope="repository:a:pull,push"',
            "bearer",
            {"realm": "https://a/token", "service": "r.io", "scope": "repository:a:pull,push"},
        ),
        ("Bearer realm=https://a/token", "bearer", {"realm": "https://a/token"}),
        ("", "", {}),
    ],
)
def test_a_challenge_falls_into_parts(header: str, scheme: str, parameters: dict[str, str]) -> None:
    assert Challenge.parse(header) == Challenge(scheme, parameters)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://user:pw@h.io/m?X-Sig=s#frag", "https://h.io/m?…"),
        ("https://h.io:8443/a%20b/m.onnx", "https://h.io:8443/a%20b/m.onnx"),
        ("http://[::1/", "(a URI that does not parse)"),
    ],
)
def test_a_uri_is_shown_without_its_secrets(uri: str, shown: str) -> None:
    assert errors.redact(uri) == shown


def test_every_failure_has_its_reason() -> None:
    def subclasses(kind: type[errors.ImageBuildError]) -> set[type[errors.ImageBuildError]]:
        return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))

    told = {kind.__name__: kind.reason for kind in subclasses(errors.ImageBuildError)}

    assert told == {
        "ImageBuildError": Reason.BUILD_FAILED,
        "RequestInvalidError": Reason.BUILD_FAILED,
        "CredentialsError": Reason.PARAMETER_INVALID,
        "SourceNotFoundError": Reason.MODEL_NOT_FOUND,
        "SourceDeniedError": Reason.MODEL_ACCESS_DENIED,
        "SourceUnavailableError": Reason.BUILD_FAILED,
        "SourceRefusedError": Reason.BUILD_FAILED,
        "DigestMismatchError": Reason.MODEL_DIGEST_MISMATCH,
        "ModelRejectedError": Reason.MODEL_REJECTED,
        "OutOfSpaceError": Reason.NO_SPACE_LEFT,
        "BuildInterruptedError": Reason.BUILD_FAILED,
        "RegistryError": Reason.BUILD_FAILED,
        "RegistryNotFoundError": Reason.BUILD_FAILED,
        "RegistryDeniedError": Reason.REGISTRY_DENIED,
        "RegistryUnavailableError": Reason.BUILD_FAILED,
    }


def folder_with(path: Path, names: list[str]) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(name.encode() * 300)
    return path


async def test_a_layer_is_a_tar_of_root_owned_files_of_1970(tmp_path: Path) -> None:
    long = "d/" + "x" * 200
    made = layer(folder_with(tmp_path, ["model.onnx", "b.txt", long, "ünicode.txt"]), "digits")

    data = b"".join([chunk async for chunk in made.chunks()])

    assert (made.digest, made.size_bytes) == (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        members = tar.getmembers()
        contents = {member.name: tar.extractfile(member).read() for member in members if member.isfile()}  # type: ignore[union-attr]
    root = "models/digits/1"
    assert [member.name for member in members] == [
        "models",
        "models/digits",
        root,
        *(f"{root}/{name}" for name in ("b.txt", "d", long, "model.onnx", "ünicode.txt")),
    ]
    assert {(member.uid, member.gid, member.mtime, member.uname, member.gname) for member in members} == {
        (0, 0, 0, "", "")
    }
    assert {member.mode for member in members if member.isdir()} == {0o755}
    assert {member.mode for member in members if member.isfile()} == {0o644}
    assert contents[f"{root}/{long}"] == long.encode() * 300


def test_a_layer_does_not_depend_on_how_its_folder_came_to_be(tmp_path: Path) -> None:
    names = ["model.onnx", "labels.txt", "d/weights.bin"]
    one, two = folder_with(tmp_path / "one", names), folder_with(tmp_path / "two", names[::-1])
    (two / "labels.txt").chmod(0o600)

    assert layer(one, "digits").digest == layer(two, "digits").digest
    assert layer(one, "digits").digest != layer(one, "letters").digest


def test_the_digest_of_a_layer_is_known(tmp_path: Path) -> None:
    """Changes only with BUILD_VERSION: another digest means that every model's image is built anew."""
    (tmp_path / "echo.json").write_bytes(b"{}")

    assert layer(tmp_path, "echo").digest == "sha256:13700703137d19ee9b3f580e44c2bd7fdcd4de89f0658fb9de3da08362e8ccc7"


DOCKER_BASE = {
    "schemaVersion": 2,
    "mediaType": manifest.DOCKER_MANIFEST,
    "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 2, "digest": DIGEST},
    "layers": [
        {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 7, "digest": f"sha256:{'1' * 64}"},
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "size": 8, "digest": f"sha256:{'2' * 64}"},
    ],
}


def test_layers_of_a_docker_base_become_oci_layers_in_their_order() -> None:
    base = manifest.read_base(json.dumps(DOCKER_BASE).encode(), BASE)

    assert base == manifest.BaseImage(
        manifest.Blob(DIGEST, 2, "application/vnd.docker.container.image.v1+json"),
        (
            manifest.Blob(f"sha256:{'1' * 64}", 7, "application/vnd.oci.image.layer.v1.tar+gzip"),
            manifest.Blob(f"sha256:{'2' * 64}", 8, "application/vnd.oci.image.layer.v1.tar+zstd"),
        ),
    )


@pytest.mark.parametrize(
    "document",
    [
        b"{",
        b"[]",
        b"{}",
        json.dumps(DOCKER_BASE | {"layers": [DOCKER_BASE["config"]]}).encode(),
        json.dumps(DOCKER_BASE | {"layers": [{"mediaType": "x", "size": 1, "digest": "sha256:../.."}]}).encode(),
        json.dumps(DOCKER_BASE | {"config": "x"}).encode(),
    ],
)
def test_a_base_that_is_no_image_is_named(document: bytes) -> None:
    with pytest.raises(errors.RegistryError, match=r"registry\.example\.com/aimodel/serving@sha256:aaaa"):
        manifest.read_base(document, BASE)


def test_an_index_without_linux_amd64_is_said() -> None:
    entry = {"digest": DIGEST, "platform": {"os": "linux", "architecture": "arm64"}}

    with pytest.raises(errors.RegistryError, match="no variant for linux/amd64"):
        manifest.pick_platform(json.dumps({"manifests": [entry, {"digest": DIGEST}]}).encode(), BASE)
