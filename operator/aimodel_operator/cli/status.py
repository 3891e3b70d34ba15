"""`aimodel status NAME`: where a model stands on its way from source to serving, and what to do next."""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

from aimodel_operator.cli.options import add_cluster, add_output, cluster_options, model_name, print_json
from aimodel_operator.cli.terminal import Terminal

if TYPE_CHECKING:
    from aimodel_operator.cli.cluster import Cluster
    from aimodel_operator.cli.timeline import Progress

HELP = "show where a model stands, why, and what to do next"
DESCRIPTION = "Show the way of a model from source over build and rollout to serving, and what to do next."

INTERVAL_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("name", metavar="NAME", help="name of the AIModel")
    parser.add_argument("-w", "--watch", action="store_true", help="show each change, end when the model is ready")
    add_cluster(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Show the model once, or until it is ready; 0 whatever its state, as it could be shown."""
    from aimodel_operator.cli import kube

    name = model_name(arguments)
    with closing(kube.connect(cluster_options(arguments))) as cluster:
        sightings = watch(cluster, name, time.sleep) if arguments.watch else iter([look(cluster, name)])
        if arguments.output == "json":
            show_json(sightings)
        else:
            show_text(sightings, terminal, lambda: datetime.now().astimezone())
    return 0


def look(cluster: "Cluster", name: str) -> "Progress":
    """The model as it is now."""
    from aimodel_operator.cli.timeline import progress_of

    return progress_of(cluster.model(name))


def watch(cluster: "Cluster", name: str, sleep: Callable[[float], None]) -> Iterator["Progress"]:
    """The model again and again, the last time when the spec as written is served."""
    while True:
        progress = look(cluster, name)
        yield progress
        if progress.is_settled:
            return
        sleep(INTERVAL_S)


def show_json(sightings: Iterator["Progress"]) -> None:
    """Print a document per change."""
    from aimodel_operator.cli.status_view import as_document

    before = None
    for progress in sightings:
        if progress != before:
            print_json(as_document(progress))
        before = progress


def show_text(sightings: Iterator["Progress"], terminal: Terminal, clock: Callable[[], datetime]) -> None:
    """Draw each sighting over the one before; where nothing can be drawn over, print each change."""
    from aimodel_operator.cli.status_view import draw

    before, height = None, 0
    for progress in sightings:
        lines = draw(progress, terminal, clock())
        if terminal.interactive:
            up = f"\x1b[{height}A\x1b[J" if height else ""
            print(up + "\n".join(lines), flush=True)
        elif progress != before:
            print("\n".join(lines) + "\n" * (before is not None), flush=True)
        before, height = progress, len(lines)
