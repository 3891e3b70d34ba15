"""Names the registry that images go to; `__main__` asks it.

It knows clusters only by what `python -m hack.cluster info` says of them.
"""

import json
import sys
from dataclasses import dataclass

from hack.images import commands
from hack.images.paths import ROOT, ImageError
from hack.images.registry import Registry


@dataclass(frozen=True, slots=True)
class Target:
    """Where this machine pushes to, and the name under which the cluster pulls the same images."""

    registry: Registry
    pull_host: str


def named(host: str, *, plain_http: bool) -> Target:
    """A registry that everybody reaches under one name."""
    return Target(Registry(host, plain_http), host)


def of_cluster(name: str) -> Target:
    """The registry of the local cluster `name`."""
    command = [sys.executable, "-m", "hack.cluster", "info", "--name", name, "--output", "json"]
    try:
        info = json.loads(commands.run(command, cwd=ROOT))
    except ImageError as exc:
        remedy = "start the cluster with `make cluster`, or name a registry with --registry"
        raise ImageError(f"{exc}\n{remedy}") from exc
    return named(info["registry"], plain_http=info["registryPlainHttp"])
