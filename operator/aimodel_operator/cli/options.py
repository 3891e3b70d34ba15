"""The options that several verbs share, and how a verb prints JSON. Used by every verb module."""

import argparse
import json
import sys
from dataclasses import dataclass
from typing import Any

from aimodel_operator.cli.errors import UsageError


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Which cluster and namespace the command line names; `None` leaves it to the kubeconfig."""

    namespace: str | None
    context: str | None
    kubeconfig: str | None


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add --output."""
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="text for people (default) or json"
    )


def add_namespace(parser: argparse.ArgumentParser) -> None:
    """Add --namespace."""
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="default: the namespace of the context")


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add --namespace, --context and --kubeconfig."""
    add_namespace(parser)
    parser.add_argument("--context", metavar="CONTEXT", help="context of the kubeconfig, default: the current one")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, then ~/.kube/config")


def model_name(arguments: argparse.Namespace) -> str:
    """NAME of a parsed command line; raises UsageError for one that would address something else than a model."""
    name: str = arguments.name
    if name.strip() in ("", ".", ".."):
        raise UsageError(f'NAME is "{name}", which names no AIModel', "give the name of one: kubectl get aimodels -A")
    return name


def cluster_options(arguments: argparse.Namespace) -> ClusterOptions:
    """The cluster options of a parsed command line."""
    return ClusterOptions(arguments.namespace, arguments.context, arguments.kubeconfig)


def print_json(value: Any) -> None:
    """Print one JSON document, indented, with every character as it is."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
