"""How large things are: images compressed, the operator's memory at rest, a serving pod's memory.

Needs the cluster as `make demo` leaves it. Memory is what the kernel says of the process (VmRSS) after a forced
collection is neither asked for nor possible: it is what a node pays.
"""

import json
import urllib.request
from typing import Any

from bench import record
from hack.cluster.targets import ClusterTarget, target_from_env

GOALS_MB = {"operator image": 90, "serving image": 40}
GOALS_MIB = {"operator memory, idle": 100, "serving pod memory": 60}
_MANIFEST = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
_READ_STATUS = "print(open('/proc/1/status').read())"


def measure() -> dict[str, Any]:
    """Returns the figures and prints them beside the goals."""
    target = target_from_env()
    operator = _deployment(target)
    container = operator["spec"]["template"]["spec"]["containers"][0]
    environment = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    megabytes = {
        "operator image": _compressed_megabytes(container["image"]),
        "serving image": _compressed_megabytes(environment["AIMODEL_SERVING_IMAGE"]),
    }
    mebibytes = {
        "operator memory, idle": _operator_mebibytes(target),
        "serving pod memory": _serving_mebibytes(target),
    }
    rows = [(name, f"{value:.1f} MB", f"goal ≤ {GOALS_MB[name]} MB") for name, value in megabytes.items()]
    rows += [(name, f"{value:.1f} MiB", f"goal ≤ {GOALS_MIB[name]} MiB") for name, value in mebibytes.items()]
    print(record.table("Footprint", rows))
    return {"imageMegabytesCompressed": megabytes, "memoryMebibytes": mebibytes}


def _deployment(target: ClusterTarget) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        target.kubectl("-n", "aimodel-system", "get", "deployment", "aimodel-operator", "-o", "json")
    )
    return found


def _compressed_megabytes(reference: str) -> float:
    name, _, digest = reference.partition("@")
    host, _, path = name.partition("/")
    request = urllib.request.Request(f"http://{host}/v2/{path}/manifests/{digest}", headers={"Accept": _MANIFEST})
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - the cluster's own registry
        manifest = json.load(response)
    return round(sum(layer["size"] for layer in manifest["layers"]) / 1e6, 1)


def _operator_mebibytes(target: ClusterTarget) -> float:
    command = ["exec", "deployment/aimodel-operator", "--", "python3", "-c", _READ_STATUS]
    return _resident(target.kubectl("-n", "aimodel-system", *command))


def _serving_mebibytes(target: ClusterTarget) -> float:
    # The serving image has no shell and no Python; the server tells its own size among its metrics.
    selector = "aimodel.dev/model=digits,app.kubernetes.io/component=serving"
    pods = json.loads(target.kubectl("-n", "models", "get", "pods", "-l", selector, "-o", "json"))["items"]
    url = f"http://{pods[0]['status']['podIP']}:8002/metrics"
    with urllib.request.urlopen(url, timeout=10) as response:
        lines = response.read().decode().splitlines()
    (sample,) = [line for line in lines if line.startswith("process_resident_memory_bytes ")]
    return round(float(sample.split()[1]) / 2**20, 1)


def _resident(status: str) -> float:
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return round(int(line.split()[1]) / 1024, 1)


if __name__ == "__main__":
    print(record.write("footprint", measure()))
