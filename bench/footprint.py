"""How large things are: images compressed, the operator's memory at rest, a serving pod's memory.

Needs the cluster as `make demo` leaves it. Memory is what the kernel says of the process (VmRSS): what a node pays.
"""

import json
import urllib.request
from typing import Any

from hack import record
from hack.cluster.targets import ClusterTarget, target_from_env
from hack.errors import HackError
from hack.images.registry import Registry

GOALS_MB = {"operator image": 90, "serving image": 40}
GOALS_MIB = {"operator memory, idle": 100, "serving pod memory": 60}
_READ_STATUS = "print(open('/proc/1/status').read())"


def measure() -> dict[str, Any]:
    """Returns the figures and prints them beside the goals."""
    target = target_from_env()
    operator = _deployment(target)
    container = operator["spec"]["template"]["spec"]["containers"][0]
    environment = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    megabytes = {
        "operator image": _compressed_megabytes(target, container["image"]),
        "serving image": _compressed_megabytes(target, environment["AIMODEL_SERVING_IMAGE"]),
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


def _compressed_megabytes(target: ClusterTarget, reference: str) -> float:
    repository, _, digest = reference.removeprefix(f"{target.registry}/").partition("@")
    count = Registry(target.registry, target.registry_plain_http).compressed_bytes(repository, digest)
    if count is None:
        raise HackError(f"{target.registry} does not hold {reference}: run `make demo`")
    return round(count / 1e6, 1)


def _operator_mebibytes(target: ClusterTarget) -> float:
    command = ["exec", "deployment/aimodel-operator", "--", "python3", "-c", _READ_STATUS]
    return _resident(target.kubectl("-n", "aimodel-system", *command))


def _serving_mebibytes(target: ClusterTarget) -> float:
    # The serving image has no shell and no Python; the server tells its own size among its metrics.
    selector = "aimodel.dev/model=digits,app.kubernetes.io/component=serving"
    pods = json.loads(target.kubectl("-n", "models", "get", "pods", "-l", selector, "-o", "json"))["items"]
    if not pods:
        raise HackError("no pod of the model digits runs in the namespace models: run `make demo`")
    url = f"http://{pods[0]['status']['podIP']}:8002/metrics"
    with urllib.request.urlopen(url, timeout=10) as response:
        lines = response.read().decode().splitlines()
    samples = [line for line in lines if line.startswith("process_resident_memory_bytes ")]
    if len(samples) != 1:
        raise HackError(
            f"{url} has no process_resident_memory_bytes: its server is of an older version, run `make demo`"
        )
    return round(float(samples[0].split()[1]) / 2**20, 1)


def _resident(status: str) -> float:
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return round(int(line.split()[1]) / 1024, 1)
