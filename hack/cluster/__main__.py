"""The commands of the local cluster: `python -m hack.cluster up|down|status|info|tools`.

With CLUSTER=kind or CLUSTER=current, `up` and `info` are about that cluster (see `targets`). Results go to standard
output (text, or JSON with `--output json`), progress and errors to standard error.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from hack.cluster import targets, tools
from hack.cluster.local import LocalCluster
from hack.cluster.paths import DEFAULT_NAME, ClusterError
from hack.errors import HackError
from hack.paths import BIN


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        result, succeeded = _run(chosen.command, chosen.name)
    except HackError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    if chosen.output == "json":
        print(json.dumps(result, indent=2))
    else:
        _print_rows(result)
    return 0 if succeeded else 1


def _print_rows(rows: dict[str, Any], indent: str = "") -> None:
    for key, value in rows.items():
        if isinstance(value, dict):
            print(f"{indent}{key}")
            _print_rows(value, indent + "  ")
        else:
            print(f"{indent + key:<26} {value}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.cluster", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("up", "start the cluster, or repair it"),
        ("down", "remove the cluster and every trace of it"),
        ("status", "what runs and what answers; exits with 1 unless all is well"),
        ("info", "how to reach the cluster"),
        ("tools", "build the programs only"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--name", default=DEFAULT_NAME, help="which cluster (default: %(default)s)")
        command.add_argument("--output", choices=("text", "json"), default="text")
    return parser


def _run(command: str, name: str) -> tuple[dict[str, Any], bool]:
    if command == "tools":
        programs = tools.ensure()
        tools.link(programs)
        return {"programs": str(programs), "linked": str(BIN)}, True
    choice = os.environ.get("CLUSTER") or targets.LOCAL
    if choice != targets.LOCAL:
        return _run_elsewhere(command, choice)
    cluster = LocalCluster(name)
    if command == "down":
        cluster.down()
        return {"removed": name}, True
    if command == "status":
        status = cluster.status()
        state = {"healthy": status.is_healthy, "exists": status.exists}
        return state | {"processes": status.components, "answers": status.answers}, status.is_healthy
    if command == "up":
        cluster.up()
    return cluster.info(), True


def _run_elsewhere(command: str, choice: str) -> tuple[dict[str, Any], bool]:
    """The commands that make sense for a cluster which CLUSTER names and this package does not run."""
    if command in ("up", "info"):
        return targets.target_from_env().info(), True
    if command == "down" and choice == "kind":
        targets.remove_kind()
        return {"removed": choice}, True
    raise ClusterError(f"{command} is not possible with CLUSTER={choice}")


if __name__ == "__main__":
    sys.exit(main())
