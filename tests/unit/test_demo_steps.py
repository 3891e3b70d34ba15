"""The demo's times, the values it gives the chart, and which picture it shows."""

import json
from pathlib import Path

import pytest

from hack.cluster.targets import ClusterTarget
from hack.demo import installation, model, prediction
from hack.demo.errors import DemoError
from hack.demo.steps import Steps
from hack.paths import BIN, ROOT

LOCAL = ClusterTarget(BIN / "kubeconfig", "aimodel-local", "10.64.192.2:5000", registry_plain_http=True)
SOMEBODYS = ClusterTarget(
    Path("/home/me/.kube/config"), "staging", "registry.example.com/team", registry_plain_http=False
)
IMAGES = {"operator": "o@sha256:1", "serving": "s@sha256:2"}


def sample(name: str, label: int, *, p: float) -> model.Sample:
    probabilities = tuple(p if digit == label else (1 - p) / 9 for digit in range(10))
    return model.Sample(ROOT / "build" / "digits" / name, label, probabilities)


def trained(*samples: model.Sample) -> model.TrainedModel:
    return model.TrainedModel(ROOT / "build" / "digits" / "model.onnx", "sha256:3", 0.98, samples)


def test_times_are_kept_for_each_step(tmp_path: Path):
    steps = Steps(total=2)
    with steps.run("images", "Images"):
        pass
    with steps.run("train", "A model"):
        pass
    steps.write(tmp_path / "build" / "times.json")
    report = json.loads((tmp_path / "build" / "times.json").read_text())
    assert report["failed"] is None
    assert list(report["seconds"]) == ["images", "train"]
    assert steps.summary().startswith("images 0.0 s · train 0.0 s · in all ")


def test_the_step_that_failed_is_named_in_the_report(tmp_path: Path):
    steps = Steps(total=2)
    with pytest.raises(DemoError), steps.run("images", "Images"):
        raise DemoError("no registry")
    steps.write(tmp_path / "times.json")
    assert json.loads((tmp_path / "times.json").read_text())["failed"] == "images"


def test_steps_are_numbered(capsys: pytest.CaptureFixture[str]):
    steps = Steps(total=2)
    for name in ("images", "train"):
        with steps.run(name, f"About {name}"):
            pass
    assert capsys.readouterr().err.split("\n") == ["", "[1/2] About images", "", "[2/2] About train", ""]


def test_the_local_registry_is_spoken_to_without_tls():
    values = installation.values(LOCAL, IMAGES, ["model-server.models.svc"])
    assert values["registry"] == {"prefix": "10.64.192.2:5000/models", "plainHttp": ["10.64.192.2:5000"]}
    assert values["fetch"] == {"allowedPrivateHosts": ["model-server.models.svc"]}


def test_somebodys_registry_is_spoken_to_with_tls_below_its_path():
    values = installation.values(SOMEBODYS, IMAGES, [])
    assert values["registry"] == {"prefix": "registry.example.com/team/models", "plainHttp": []}


def test_the_demo_shows_the_first_picture_that_keras_is_sure_and_right_about():
    clear = sample("0002.png", 4, p=0.999)
    shown = trained(sample("0000.png", 9, p=0.05), sample("0001.png", 3, p=0.7), clear, sample("0003.png", 1, p=1.0))
    assert shown.clear_sample is clear


def test_a_model_that_is_sure_of_nothing_is_not_shown():
    with pytest.raises(DemoError, match="sure of none of the 1 pictures"):
        _ = trained(sample("0000.png", 9, p=0.5)).clear_sample


def test_what_the_trainer_wrote_is_read_back(tmp_path: Path):
    row = {"file": "holdout/0000.png", "label": 1, "probabilities": [0.25, 0.75]}
    report = {"accuracy": 0.98, "digest": "sha256:3", "heldOut": 360, "samples": [row]}
    (tmp_path / "reference.json").write_text(json.dumps(report))
    assert model.read(tmp_path) == model.TrainedModel(
        tmp_path / "model.onnx", "sha256:3", 0.98, (model.Sample(tmp_path / "holdout/0000.png", 1, (0.25, 0.75)),)
    )


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (LOCAL, ["KUBECONFIG=$PWD/bin/kubeconfig", "aimodel status digits -n models\n", "make cluster-down"]),
        (SOMEBODYS, ["KUBECONFIG=/home/me/.kube/config", "--context staging", "kubectl delete namespace models"]),
    ],
)
def test_what_to_type_next_reaches_the_cluster_that_was_used(target: ClusterTarget, expected: list[str]):
    text = prediction.next_commands(target, trained(sample("0000.png", 9, p=1.0), sample("0001.png", 3, p=0.7)))
    assert all(part in text for part in expected)
