"""The example that `make demo` brings up: it answers like the Keras model it was made from, to any client."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hack import oip
from hack.cluster.targets import ClusterTarget
from hack.paths import ROOT
from live import Live
from other_clients import triton_calls

MODEL = ROOT / "build" / "digits"
LARGEST_DIFFERENCE = 1e-4
"""Between Keras and ONNX Runtime in float32, on probabilities."""


@pytest.fixture(scope="module")
def models(cluster: ClusterTarget, demo: str) -> Live:
    """The namespace that the demo serves its model in."""
    return Live(cluster, "models")


@pytest.fixture(scope="module")
def held_out(demo: str) -> dict[str, Any]:
    """Pictures that training never saw, with Keras' own answers."""
    reference = json.loads((MODEL / "reference.json").read_text())
    archive = np.load(MODEL / "holdout.npz")
    return {"images": archive["images"].astype(np.float32), "labels": archive["labels"], **reference}


def probabilities(models: Live, images: np.ndarray) -> np.ndarray:
    """The served model's answer by plain grpcio."""
    with oip.stub(models.address("digits")) as stub:
        (answer,) = oip.infer(stub, {"image": images}, model="digits").values()
    return answer


def test_demo_ends_with_a_held_out_digit_and_what_to_type_next(demo: str, held_out: dict[str, Any]) -> None:
    tail = demo[-6000:]
    assert "kubectl get aimodel" in tail
    assert "holdout/" in tail
    assert "%" in tail


def test_example_is_ready_and_serves_the_trained_bytes(models: Live, held_out: dict[str, Any]) -> None:
    status = models.wait_ready("digits")["status"]
    assert status["active"]["modelDigest"] == held_out["digest"]


def test_answers_equal_keras(models: Live, held_out: dict[str, Any]) -> None:
    expected = np.array([sample["probabilities"] for sample in held_out["samples"]], np.float32)
    answered = probabilities(models, held_out["images"][: len(expected)])
    assert np.abs(answered - expected).max() < LARGEST_DIFFERENCE


def test_accuracy_on_every_held_out_digit(models: Live, held_out: dict[str, Any]) -> None:
    images, labels = held_out["images"], held_out["labels"]
    guesses = [probabilities(models, images[start : start + 60]).argmax(axis=1) for start in range(0, len(images), 60)]
    accuracy = float((np.concatenate(guesses) == labels).mean())
    assert len(labels) == 360
    assert accuracy >= 0.95


def test_tritonclient_understands_the_server(models: Live, held_out: dict[str, Any], tmp_path: Path) -> None:
    rows = held_out["images"][:2]
    np.save(tmp_path / "rows.npy", rows)
    report = triton_calls(models.address("digits"), "digits", tmp_path / "rows.npy")
    assert (report["live"], report["ready"], report["modelReady"], report["unknownReady"]) == (True, True, True, False)
    assert report["id"] == "e2e-1"
    assert report["metadata"]["inputs"] == [{"name": "image", "datatype": "FP32", "shape": ["-1", "8", "8", "1"]}]
    assert report["config"]["name"] == "digits"
    expected = np.array([sample["probabilities"] for sample in held_out["samples"][:2]])
    assert np.abs(np.array(report["output"]) - expected).max() < LARGEST_DIFFERENCE


def test_command_line_predicts_what_keras_predicts(models: Live, held_out: dict[str, Any]) -> None:
    sample = held_out["samples"][0]
    command = [ROOT / "bin" / "aimodel", "predict", "digits", MODEL / sample["file"], "-n", "models", "-o", "json"]
    where = ["--kubeconfig", models.cluster.kubeconfig, "--context", models.cluster.context]
    done = subprocess.run([*command, *where], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (output,) = json.loads(done.stdout)["outputs"]
    assert int(np.argmax(output["data"])) == int(np.argmax(sample["probabilities"]))


def test_command_line_tells_the_stages(models: Live) -> None:
    command = [ROOT / "bin" / "aimodel", "status", "digits", "-n", "models"]
    where = ["--kubeconfig", models.cluster.kubeconfig, "--context", models.cluster.context]
    done = subprocess.run([*command, *where], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [word for word in ("source", "build", "rollout", "serving") if word in done.stdout] == [
        "source",
        "build",
        "rollout",
        "serving",
    ]
