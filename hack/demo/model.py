"""Trains the model of examples/digits in an environment of its own, once for each state of its inputs.

Called by `__main__`; `publication` and `prediction` read what it gives back. The environment and the trained
model are kept in the cache; build/digits is a copy of the latter for people to look at.
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from hack import commands
from hack.demo.errors import DemoError
from hack.images import wheels
from hack.images.paths import uv
from hack.locks import locked
from hack.paths import ROOT, cache
from hack.progress import step

TRAINER = ROOT / "examples" / "digits" / "train.py"
OUTPUT = ROOT / "build" / "digits"
_CLEAR_P = 0.99


@dataclass(frozen=True, slots=True)
class Sample:
    """One held-out picture: its file, what it shows, and what Keras said of it."""

    picture: Path
    label: int
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The exported model and what is known of it."""

    file: Path
    digest: str
    accuracy: float
    samples: tuple[Sample, ...]

    @property
    def clear_sample(self) -> Sample:
        """The first picture that Keras is sure and right about."""
        for sample in self.samples:
            if sample.probabilities[sample.label] > _CLEAR_P:
                return sample
        raise DemoError(f"Keras is sure of none of the {len(self.samples)} pictures: look at {TRAINER}")


def ensure() -> TrainedModel:
    """The trained model, from the cache or trained now."""
    packages = wheels.export(["--only-group", "training"])
    trained = cache() / f"digits-{_hash(packages, TRAINER.read_text())}"
    with locked(cache() / "training.lock", "training of the same model"):
        if not trained.exists():
            _train(_environment(packages), trained)
    with step("digits classifier") as running:
        if not _is_copy(trained, OUTPUT):
            shutil.rmtree(OUTPUT, ignore_errors=True)
            shutil.copytree(trained, OUTPUT)
        model = read(OUTPUT)
        running.note(f"accuracy {model.accuracy:.1%} on held-out digits, {model.digest[:19]}…")
    return model


def read(folder: Path) -> TrainedModel:
    """What the trainer wrote to `folder`."""
    report = json.loads((folder / "reference.json").read_text())
    samples = tuple(
        Sample(folder / row["file"], row["label"], tuple(row["probabilities"])) for row in report["samples"]
    )
    return TrainedModel(folder / "model.onnx", report["digest"], report["accuracy"], samples)


def _environment(packages: str) -> Path:
    """The Python of a virtual environment with the locked `packages`."""
    folder = cache() / f"training-{_hash(packages)}"
    complete = folder / ".complete"
    if not complete.exists():
        with step("install TensorFlow") as running:
            running.note("about 1.6 GB, once")
            sync = [uv(), "sync", "-q", "--frozen", "--only-group", "training", "--project", str(ROOT)]
            commands.watch(sync, running.note, cwd=ROOT, env={"UV_PROJECT_ENVIRONMENT": str(folder)})
            complete.touch()
            running.note("")
    return folder / "bin" / "python"


def _train(python: Path, target: Path) -> None:
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with step("train and export with Keras") as running:
        lines: list[str] = []
        commands.watch([str(python), str(TRAINER), str(partial)], lines.append, cwd=ROOT)
        running.note(lines[-1])
    partial.replace(target)


def _is_copy(source: Path, copy: Path) -> bool:
    report = "reference.json"
    return (copy / report).exists() and (copy / report).read_bytes() == (source / report).read_bytes()


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
