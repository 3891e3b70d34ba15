"""Images are built by the engine of this machine and pushed to a real registry, which is then asked about them."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hack.images import __main__ as images
from hack.images import engine as engines
from hack.images import registry as registries
from hack.images.engine import Engine
from hack.images.inputs import Memory
from hack.images.paths import BUILD
from hack.images.registry import LoginRequiredError, Registry
from registry import RunningRegistry, running_registry

NOWHERE = "sha256:" + "0" * 64
DOCKERFILE = "ARG BASE_IMAGE=scratch\nFROM ${BASE_IMAGE}\nCOPY . /data/\nUSER 65532:65532\n"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path / "registry") as running:
        yield running


@pytest.fixture(scope="session")
def engine() -> Engine:
    return engines.find()


def build(engine: Engine, folder: Path, name: str) -> str:
    """An image with one small file, under a tag of its own; gives back the tag."""
    context = folder / name
    context.mkdir()
    (context / "file").write_text("content")
    dockerfile = folder / f"{name}.Dockerfile"
    dockerfile.write_text(DOCKERFILE)
    tag = f"localhost/aimodel/test:{folder.name}-{name}"
    engine.build(dockerfile, context, tag, {"BASE_IMAGE": "scratch"})
    return tag


def test_a_built_image_is_in_the_registry_under_the_digest_that_the_push_gave(
    engine: Engine, registry: RunningRegistry, tmp_path: Path
):
    tag = build(engine, tmp_path, "one")
    assert engine.has(tag)
    digest = engine.push(tag, f"{registry.address}/team/one:v1", plain_http=True)
    manifest, stored = registry.get_manifest("team/one", "v1")
    assert stored == digest
    expected = sum(layer["size"] for layer in manifest["layers"]) + manifest["config"]["size"]
    assert Registry(registry.address, plain_http=True).compressed_bytes("team/one", digest) == expected
    assert Registry(f"{registry.address}/team", plain_http=True).compressed_bytes("one", digest) == expected


def test_the_same_files_give_the_same_digest(engine: Engine, registry: RunningRegistry, tmp_path: Path):
    digests = {
        engine.push(build(engine, tmp_path, name), f"{registry.address}/{name}:v1", plain_http=True)
        for name in ("one", "two")
    }
    assert len(digests) == 1


def test_an_image_that_the_registry_does_not_hold_has_no_size(registry: RunningRegistry):
    assert Registry(registry.address, plain_http=True).compressed_bytes("team/one", NOWHERE) is None


def test_a_registry_that_wants_a_login_says_so(tmp_path: Path):
    auth = {"htpasswd": {"realm": "test", "path": str(tmp_path / "htpasswd")}}
    (tmp_path / "htpasswd").write_text("")
    with running_registry(tmp_path / "registry", auth) as locked, pytest.raises(LoginRequiredError):
        Registry(locked.address, plain_http=True).compressed_bytes("team/one", NOWHERE)


def test_a_public_registry_that_does_not_answer_is_not_waited_for():
    assert not registries.answers("127.0.0.1:1")


class TinyImage:
    """An image of one file, which counts how often it is built."""

    NAME = "tiny"
    REPOSITORY = "aimodel/tiny"

    def __init__(self, folder: Path) -> None:
        self.INPUTS = (folder,)
        self.built = 0

    def build(self, engine: Engine, tag: str, note: Callable[[str], None]) -> None:
        self.built += 1
        (folder,) = self.INPUTS
        engine.build(folder / "Dockerfile", folder, tag, {"BASE_IMAGE": "scratch"})


@pytest.fixture
def tiny() -> Iterator[TinyImage]:
    """Its inputs lie in the checkout, as those of every image, and are new each time."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        (Path(folder) / "Dockerfile").write_text(DOCKERFILE)
        (Path(folder) / "file").write_text(folder)
        yield TinyImage(Path(folder))


def test_an_image_is_built_once_and_pushed_to_every_registry_that_does_not_hold_it(tiny: TinyImage, tmp_path: Path):
    digests = set()
    for folder in ("first", "second"):
        with running_registry(tmp_path / folder) as running:
            here = Registry(running.address, plain_http=True)
            for _ in range(2):
                reference = images.ensure(tiny, here, Memory(tmp_path / "images.json"))
                digests.add(reference.removeprefix(f"{running.address}/aimodel/tiny@"))
            pushes = [row for row in running.accesses() if row.method == "PUT" and "/manifests/" in row.path]
            assert len(pushes) == 1
    assert tiny.built == 1
    assert len(digests) == 1
