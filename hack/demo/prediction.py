"""Asks the served model what a held-out picture shows, through the CLI that everybody uses, and says what next."""

import subprocess
import sys
from pathlib import Path

from hack.cluster.targets import ClusterTarget
from hack.demo.errors import DemoError
from hack.demo.model import Sample, TrainedModel
from hack.demo.publication import NAME, NAMESPACE
from hack.paths import BIN, ROOT


def predict(target: ClusterTarget, sample: Sample) -> None:
    """Print the picture, the probabilities and the latency."""
    picture = sample.picture.relative_to(ROOT)
    print(f"$ aimodel predict {NAME} {picture} -n {NAMESPACE}", file=sys.stderr, flush=True)
    cluster = ["--namespace", NAMESPACE, "--context", target.context, "--kubeconfig", str(target.kubeconfig)]
    command = [str(Path(sys.executable).with_name("aimodel")), "predict", NAME, str(picture), *cluster]
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise DemoError(f"the prediction failed: try `{' '.join(command)}`")
    said = sample.probabilities[sample.label]
    print(f"\nThe picture shows a {sample.label}; Keras gave it {said:.4f} before the export.", flush=True)


def next_commands(target: ClusterTarget, model: TrainedModel) -> str:
    """What a person may type after the demo."""
    is_local = target.kubeconfig == BIN / "kubeconfig"
    kubeconfig = "$PWD/bin/kubeconfig" if is_local else target.kubeconfig
    context = "" if is_local else f" --context {target.context}"
    other = next(sample for sample in model.samples if sample != model.clear_sample).picture.relative_to(ROOT)
    return "\n".join(
        [
            "What to type next:",
            "",
            f"  export PATH=$PWD/bin:$PATH KUBECONFIG={kubeconfig}",
            f"  kubectl get aimodels -n {NAMESPACE}{context}",
            f"  aimodel status {NAME} -n {NAMESPACE}{context}",
            f"  kubectl scale aimodel {NAME} --replicas=3 -n {NAMESPACE}{context}",
            f"  aimodel predict {NAME} {other} -n {NAMESPACE}{context}",
            "  make cluster-down" if is_local else f"  kubectl delete namespace {NAMESPACE}{context}",
        ]
    )
