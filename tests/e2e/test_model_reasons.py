"""What can be wrong with a model's source, each with its own reason, the old version serving all the while, and
cleared by itself once it is mended."""

from collections.abc import Callable
from typing import Any

import pytest

from calls import ask
from hack import onnx_models
from live import FileHost, Live, a_live_model
from registry import a_tar

Break = Callable[[FileHost], dict[str, Any]]
GOOD = onnx_models.constant(7.0).SerializeToString()


def wrong_uri(files: FileHost) -> dict[str, Any]:
    return {"uri": files.uri("nothing-here.onnx"), "digest": None}


def wrong_digest(files: FileHost) -> dict[str, Any]:
    return {**files.put("good.onnx", GOOD), "digest": "sha256:" + "0" * 64}


def pickle_inside(files: FileHost) -> dict[str, Any]:
    return files.put("pickled.tar", a_tar({"model.onnx": GOOD, "weights.pkl": b"\x80\x04\x95."}))


def does_not_load(files: FileHost) -> dict[str, Any]:
    return files.put("unloadable.onnx", onnx_models.unloadable().SerializeToString())


def private_address(_: FileHost) -> dict[str, Any]:
    return {"uri": "http://169.254.169.254/latest/meta-data", "digest": None}


CASES: dict[str, tuple[Break, str, str]] = {
    "wrong uri": (wrong_uri, "ModelNotFound", "nothing-here.onnx"),
    "wrong digest": (wrong_digest, "ModelDigestMismatch", "sha256:0000"),
    "pickle in the archive": (pickle_inside, "ModelRejected", "weights.pkl"),
    "model that does not load": (does_not_load, "ModelLoadFailed", "model"),
    "metadata address": (private_address, "ModelAccessDenied", "169.254.169.254"),
}


@pytest.mark.parametrize(("breaking", "reason", "names"), CASES.values(), ids=CASES.keys())
def test_broken_source_is_named_and_the_old_version_serves(
    live: Live, files: FileHost, breaking: Break, reason: str, names: str
) -> None:
    good = files.put("good.onnx", GOOD)
    live.apply(a_live_model("broken", good))
    live.wait_ready("broken")
    live.patch("aimodel", "broken", {"spec": {"source": breaking(files)}})
    message = live.wait_for("broken", "False", reason)
    assert names in message
    assert live.verdict("broken", "Available")[:2] == ("True", "Serving")
    assert ask(live.address("broken"), "broken") == 7.0
    live.patch("aimodel", "broken", {"spec": {"source": good}})
    live.wait_ready("broken", limit_s=30)


def test_first_version_that_is_missing_is_served_once_it_is_uploaded(live: Live, files: FileHost) -> None:
    name = f"late-{live.namespace}.onnx"  # never uploaded by an earlier run
    live.apply(a_live_model("late", {"uri": files.uri(name)}))
    live.wait_for("late", "False", "ModelNotFound")
    assert live.verdict("late", "Available")[0] == "False"
    files.put(name, GOOD)
    live.wait_ready("late", limit_s=60)
