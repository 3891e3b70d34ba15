"""A build against the real registry: what it pushes, what it reuses, and that equal input gives an equal image."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from aimodel_operator.imagebuild import registry
from aimodel_operator.imagebuild.build import BuildResult, Progress, build
from aimodel_operator.imagebuild.credentials import DockerConfig
from aimodel_operator.imagebuild.errors import (
    DigestMismatchError,
    ModelRejectedError,
    RegistryError,
    RegistryNotFoundError,
)
from aimodel_operator.imagebuild.plan import input_tag
from aimodel_operator.imagebuild.reference import PinnedImage
from aimodel_operator.imagebuild.request import BuildRequest, parse
from fileserver import FileServer, running_fileserver
from hack import onnx_models
from registry import OCI_INDEX, OCI_MANIFEST, Access, RunningRegistry, a_tar, running_registry

BLOB_UPLOAD = "/blobs/uploads/"


def an_onnx_model() -> bytes:
    return bytes(onnx_models.fixed_batch().SerializeToString())


def a_request(reg: RunningRegistry, uri: str, base: str, **changes: object) -> BuildRequest:
    source = {"uri": uri, "digest": None, "format": "Auto"}
    document: dict[str, object] = {
        "model": "digits",
        "source": source | {key: changes.pop(key) for key in ("digest", "format") if key in changes},
        "repository": f"{reg.address}/team/digits",
        "base": base,
        "plainHttpRegistries": [reg.address],
        "allowedPrivateHosts": ["127.0.0.1"],
        "limits": {"maxBytes": 10_000_000, "timeoutSeconds": 60},
    }
    return parse(json.dumps(document | changes))


async def run(request: BuildRequest, work: Path) -> BuildResult:
    work.mkdir()  # noqa: ASYNC240  # a folder of the test itself
    async with registry.connect(DockerConfig(), request.plain_http_registries) as client:
        return await build(request, client, work, Progress(lambda line: None))


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running_fileserver() as files:
        yield files


@pytest.fixture
def reg(tmp_path: Path) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path / "registry") as started:
        yield started


def unpacked(layer: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(layer), mode="r:") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


async def test_the_pushed_image_is_the_base_with_the_model_on_top(
    reg: RunningRegistry, server: FileServer, tmp_path: Path
) -> None:
    model = an_onnx_model()
    base = f"{reg.address}/aimodel/serving@{reg.push_base('aimodel/serving')}"

    result = await run(a_request(reg, server.put("/model.onnx", model), base), tmp_path / "work")

    repository, digest = result.built.image.split("@")
    assert repository == f"{reg.address}/team/digits"
    manifest, served_digest = reg.get_manifest("team/digits", digest)
    assert served_digest == digest
    assert manifest["mediaType"] == OCI_MANIFEST
    model_digest = f"sha256:{hashlib.sha256(model).hexdigest()}"
    assert manifest["annotations"] == {
        "dev.aimodel.model.digest": model_digest,
        "dev.aimodel.model.format": "ONNX",
        "org.opencontainers.image.base.digest": base.split("@")[1],
    }
    base_manifest, _ = reg.get_manifest("aimodel/serving", "base")
    assert manifest["layers"][:-1] == base_manifest["layers"]
    layers = [reg.get_blob("team/digits", layer["digest"]) for layer in manifest["layers"]]
    assert [len(layer) for layer in layers] == [layer["size"] for layer in manifest["layers"]]
    assert unpacked(layers[-1]) == {"models/digits/1/model.onnx": model}
    config = json.loads(reg.get_blob("team/digits", manifest["config"]["digest"]))
    base_config = json.loads(reg.get_blob("aimodel/serving", base_manifest["config"]["digest"]))
    assert config["rootfs"]["diff_ids"] == [
        *base_config["rootfs"]["diff_ids"],
        f"sha256:{hashlib.sha256(layers[-1]).hexdigest()}",
    ]
    assert len(config["history"]) == len(base_config["history"]) + 1
    assert config["config"] == base_config["config"]
    assert (result.reused, result.built.model_digest, result.built.format) == (False, model_digest, "ONNX")


async def test_every_file_of_a_packed_folder_arrives_byte_for_byte(
    reg: RunningRegistry, server: FileServer, tmp_path: Path
) -> None:
    files = {"digits/model.onnx": an_onnx_model(), "digits/labels.txt": b"zero\none\n", "digits/notes/a.md": b"# a\n"}
    base = f"{reg.address}/aimodel/serving@{reg.push_base('aimodel/serving')}"

    result = await run(a_request(reg, server.put("/m.tgz", a_tar(files, "w:gz")), base), tmp_path / "work")

    manifest, _ = reg.get_manifest("team/digits", result.built.image.split("@")[1])
    layer = reg.get_blob("team/digits", manifest["layers"][-1]["digest"])
    assert unpacked(layer) == {name.replace("digits/", "models/digits/1/", 1): data for name, data in files.items()}
    assert onnx.load_model_from_string(unpacked(layer)["models/digits/1/model.onnx"]).graph.node[0].op_type == "Add"


async def test_equal_input_gives_an_equal_digest_in_two_fresh_registries(server: FileServer, tmp_path: Path) -> None:
    uri = server.put("/m.tgz", a_tar({"b.txt": b"b", "model.onnx": an_onnx_model(), "a.txt": b"a"}, "w:gz"))
    digests = []
    for name in ("one", "two"):
        with running_registry(tmp_path / name) as reg:
            base = f"{reg.address}/aimodel/serving@{reg.push_base('aimodel/serving')}"
            result = await run(a_request(reg, uri, base), tmp_path / f"work-{name}")
            digests.append(result.built.image.split("@")[1])

    assert digests[0] == digests[1]


@pytest.mark.parametrize("pinned", [False, True], ids=["digest learnt by fetching", "digest pinned in the source"])
async def test_an_equal_build_finds_the_image_and_uploads_nothing(
    server: FileServer, tmp_path: Path, pinned: bool
) -> None:
    model = an_onnx_model()
    uri = server.put("/model.onnx", model)
    digest = f"sha256:{hashlib.sha256(model).hexdigest()}" if pinned else None
    images, logs = [], []
    base_digest = ""
    for turn in ("first", "second"):
        with running_registry(tmp_path / "registry") as reg:
            base_digest = base_digest or reg.push_base("aimodel/serving")
            base = f"{reg.address}/aimodel/serving@{base_digest}"
            result = await run(a_request(reg, uri, base, digest=digest), tmp_path / turn)
            images.append((result.built.image.split("@")[1], result.reused))
        logs.append(reg.accesses())

    assert images[0][0] == images[1][0]
    assert [reused for _, reused in images] == [False, True]
    assert writes(logs[0], "team/digits") != []
    assert writes(logs[1], "team/digits") == []
    assert len(server.requests) == (1 if pinned else 2)


def writes(log: list[Access], repository: str) -> list[Access]:
    return [access for access in log if access.method not in ("GET", "HEAD") and f"/v2/{repository}/" in access.path]


async def test_layers_of_a_base_in_the_same_registry_are_mounted_not_uploaded(
    server: FileServer, tmp_path: Path
) -> None:
    with running_registry(tmp_path / "registry") as reg:
        base = f"{reg.address}/aimodel/serving@{reg.push_base('aimodel/serving')}"
        await run(a_request(reg, server.put("/model.onnx", an_onnx_model()), base), tmp_path / "work")
    mine = writes(reg.accesses(), "team/digits")

    mounts = [access for access in mine if "mount=" in access.path]
    assert [(access.method, access.status) for access in mounts] == [("POST", 201)]
    assert "from=aimodel%2Fserving" in mounts[0].path or "from=aimodel/serving" in mounts[0].path
    uploads = [access for access in mine if access.method == "PUT" and BLOB_UPLOAD in access.path]
    assert len(uploads) == 2, "the model's layer and the config"


async def test_a_base_in_another_registry_is_copied_once(server: FileServer, tmp_path: Path) -> None:
    uris = [server.put(f"/{name}", a_tar({"model.onnx": an_onnx_model(), name: b"x"})) for name in ("a.txt", "b.txt")]
    with running_registry(tmp_path / "bases") as bases, running_registry(tmp_path / "models") as reg:
        base = f"{bases.address}/aimodel/serving@{bases.push_base('aimodel/serving', docker=True)}"
        plain = [bases.address, reg.address]
        results = [
            await run(a_request(reg, uri, base, plainHttpRegistries=plain), tmp_path / f"work{number}")
            for number, uri in enumerate(uris)
        ]
        manifest, _ = reg.get_manifest("team/digits", results[1].built.image.split("@")[1])
        base_layer = manifest["layers"][0]
        assert base_layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
        assert len(reg.get_blob("team/digits", base_layer["digest"])) == base_layer["size"]
    reads = [access for access in bases.accesses() if access.method == "GET" and base_layer["digest"] in access.path]

    assert len(reads) == 1


async def test_a_base_given_as_an_index_is_used_for_linux_amd64(
    reg: RunningRegistry, server: FileServer, tmp_path: Path
) -> None:
    image = reg.push_base("aimodel/serving")
    manifest, _ = reg.get_manifest("aimodel/serving", image)
    entries = [
        {
            "mediaType": OCI_MANIFEST,
            "digest": f"sha256:{'0' * 64}",
            "size": 1,
            "platform": {"os": "linux", "architecture": "arm64"},
        },
        {"mediaType": OCI_MANIFEST, "digest": image, "size": 1, "platform": {"os": "linux", "architecture": "amd64"}},
    ]
    # The registry wants every child of an index to exist; the arm64 one is the same image under another platform.
    entries[0]["digest"] = image
    index = reg.put_manifest(
        "aimodel/serving", "all", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    )
    base = f"{reg.address}/aimodel/serving@{index}"

    result = await run(a_request(reg, server.put("/model.onnx", an_onnx_model()), base), tmp_path / "work")

    built, _ = reg.get_manifest("team/digits", result.built.image.split("@")[1])
    assert built["layers"][:-1] == manifest["layers"]
    assert built["annotations"]["org.opencontainers.image.base.digest"] == index


async def test_other_bytes_than_pinned_are_refused_with_both_digests(
    reg: RunningRegistry, server: FileServer, tmp_path: Path
) -> None:
    model, pinned = an_onnx_model(), f"sha256:{'a' * 64}"
    base = f"{reg.address}/aimodel/serving@{reg.push_base('aimodel/serving')}"
    request = a_request(reg, server.put("/model.onnx", model), base, digest=pinned)

    with pytest.raises(DigestMismatchError) as caught:
        await run(request, tmp_path / "work")

    assert pinned in str(caught.value)
    assert f"sha256:{hashlib.sha256(model).hexdigest()}" in str(caught.value)
    assert "spec.source.digest" in str(caught.value)
    assert not reg.exists("/v2/team/digits/tags/list")


async def test_a_missing_base_is_named(reg: RunningRegistry, server: FileServer, tmp_path: Path) -> None:
    base = f"{reg.address}/aimodel/serving@sha256:{'b' * 64}"

    with pytest.raises(RegistryNotFoundError, match=r"base image .*aimodel/serving@sha256:bbbb.*AIMODEL_SERVING_IMAGE"):
        await run(a_request(reg, server.put("/model.onnx", an_onnx_model()), base), tmp_path / "work")


async def test_find_image_reads_what_a_build_left(reg: RunningRegistry, server: FileServer, tmp_path: Path) -> None:
    model = an_onnx_model()
    base = f"{reg.address}/aimodel/serving@{reg.push_base('aimodel/serving')}"
    result = await run(a_request(reg, server.put("/model.onnx", model), base), tmp_path / "work")
    tag = input_tag("digits", f"sha256:{hashlib.sha256(model).hexdigest()}", PinnedImage.parse(base))

    async with registry.connect(DockerConfig(), frozenset({reg.address})) as client:
        assert await client.find_image(f"{reg.address}/team/digits", tag) == result.built
        assert await client.find_image(f"{reg.address}/team/digits", "in-0000") is None
        assert await client.find_image(f"{reg.address}/never/pushed", tag) is None
        assert await client.find_image(f"{reg.address}/aimodel/serving", "base") is None, "it names no model"


async def test_bytes_that_do_not_match_their_digest_are_not_believed(reg: RunningRegistry, tmp_path: Path) -> None:
    digest = reg.push_base("aimodel/serving")
    hexdigest = digest.removeprefix("sha256:")
    data = tmp_path / "registry/data/docker/registry/v2/blobs/sha256" / hexdigest[:2] / hexdigest / "data"
    data.write_bytes(data.read_bytes().replace(b'"schemaVersion": 2', b'"schemaVersion":2 '))

    async with registry.connect(DockerConfig(), frozenset({reg.address})) as client:
        with pytest.raises(RegistryError, match="gave other bytes"):
            await client.manifest(PinnedImage.parse(f"{reg.address}/aimodel/serving@{digest}").repository, digest)


async def test_an_image_of_another_format_is_not_reused(
    reg: RunningRegistry, server: FileServer, tmp_path: Path
) -> None:
    uri = server.put("/echo.tar", a_tar({"echo.json": b"{}"}))
    base = f"{reg.address}/aimodel/serving@{reg.push_base('aimodel/serving')}"
    assert (await run(a_request(reg, uri, base), tmp_path / "auto")).built.format == "Echo"

    with pytest.raises(ModelRejectedError, match=r"spec\.source\.format is ONNX"):
        await run(a_request(reg, uri, base, format="ONNX"), tmp_path / "onnx")


async def test_a_tag_that_was_moved_to_another_model_is_not_believed(
    reg: RunningRegistry, server: FileServer, tmp_path: Path
) -> None:
    base = f"{reg.address}/aimodel/serving@{reg.push_base('aimodel/serving')}"
    wanted, other = (
        server.put(f"/{name}", a_tar({"model.onnx": an_onnx_model(), "labels.txt": name.encode()}))
        for name in ("wanted", "other")
    )
    first = await run(a_request(reg, wanted, base), tmp_path / "first")
    planted = await run(a_request(reg, other, base), tmp_path / "other")
    tag = input_tag("digits", first.built.model_digest, PinnedImage.parse(base))
    reg.put_manifest("team/digits", tag, reg.get_manifest("team/digits", planted.built.image.split("@")[1])[0])

    again = await run(a_request(reg, wanted, base), tmp_path / "again")

    assert (again.built, again.reused) == (first.built, False)
