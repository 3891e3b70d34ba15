"""`aimodel predict NAME FILE`: one prediction by a served model, for a file that a person has at hand."""

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aimodel_operator.cli.errors import CliError, UsageError
from aimodel_operator.cli.options import add_cluster, add_output, cluster_options, model_name, print_json
from aimodel_operator.cli.terminal import Terminal

if TYPE_CHECKING:
    from aimodel_operator.cli.answer import Prediction
    from aimodel_operator.cli.cluster import Cluster
    from aimodel_operator.cli.image import Scale

HELP = "ask a model for a prediction"
DESCRIPTION = """\
Ask a model for a prediction. FILE is a PNG or JPEG image, CSV with one row per prediction, or JSON: a nested
list for a model with one input, or {"inputs": [{"name", "datatype", "shape", "data"}]}. `-` reads stdin.

An image is resized to the height and width of the model's input, becomes grey when the model has one channel,
and its brightness becomes 0 to 1 (whole-number inputs: 0 to 255) or what --scale says."""

# How much longer than the server itself the client waits for an answer.
EXTRA_S = 5.0
DIRECT_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask: `place` tells a person, `address` a gRPC channel."""

    address: str
    place: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask, as it was read from files and options."""

    content: bytes
    source: str
    scale: "Scale | None"
    labels: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("name", metavar="NAME", help="name of the AIModel")
    parser.add_argument("file", metavar="FILE", help="image, CSV or JSON; - for stdin")
    parser.add_argument("--address", metavar="HOST:PORT", help="ask this gRPC address; no cluster is needed then")
    parser.add_argument(
        "--scale",
        metavar="LOW:HIGH",
        help="what black and white of an image become, for example 0:16; --scale=-1:1; 1:0 inverts",
    )
    parser.add_argument("--labels", metavar="FILE", help="names of the classes, one per line, the first for class 0")
    add_cluster(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Ask, and show the answer."""
    name = model_name(arguments)
    question = read_question(arguments)
    if arguments.address:
        prediction = ask(direct(arguments.address), name, question)
    else:
        from aimodel_operator.cli import kube

        with (
            closing(kube.connect(cluster_options(arguments))) as cluster,
            forwarded(cluster, name) as target,
        ):
            prediction = ask(target, name, question)
    show(prediction, arguments.output, terminal)
    return 0


def read_question(arguments: argparse.Namespace) -> Question:
    """The files and options of a command line; raises UsageError."""
    content = sys.stdin.buffer.read() if arguments.file == "-" else read_file(arguments.file)
    labels = tuple(read_file(arguments.labels).decode(errors="replace").splitlines()) if arguments.labels else ()
    source = "stdin" if arguments.file == "-" else arguments.file
    return Question(content, source, parse_scale(arguments.scale), labels)


def direct(address: str) -> Target:
    """A target without a cluster; raises UsageError for what is no address."""
    if not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^:/\s]+):\d{1,5}", address):
        raise UsageError(f"--address {address} is no HOST:PORT", "write it like 127.0.0.1:8001")
    return Target(address, address, DIRECT_TIMEOUT_S)


@contextmanager
def forwarded(cluster: "Cluster", name: str) -> Iterator[Target]:
    """A target behind a port-forward to a ready pod of the model, while it is entered."""
    from aimodel_operator import api
    from aimodel_operator.cli.cluster import find_endpoint
    from aimodel_operator.cli.forward import Relay

    model = cluster.model(name)
    endpoint = find_endpoint(cluster, model)
    limit_s = (model["spec"].get("serving") or {}).get("timeoutSeconds", api.defaults.TIMEOUT_SECONDS)
    place = f"pod {endpoint.pod}, namespace {cluster.namespace}"
    with Relay(lambda: cluster.dial(endpoint.pod, endpoint.port)) as relay:
        try:
            yield Target(relay.address, place, limit_s + EXTRA_S)
        except CliError as error:
            if relay.failure:
                raise CliError(f"{place} cannot be reached: {relay.failure}", error.next_step) from error
            raise


def ask(target: Target, name: str, question: Question) -> "Prediction":
    """The answer to a question, in the form that the model wants it in; raises CliError."""
    from aimodel_operator.cli.answer import Prediction
    from aimodel_operator.cli.inputs import read
    from aimodel_operator.cli.oip_client import Client

    with Client(target.address, name, target.place) as client:
        wanted = client.signature().inputs
        request = read(question.content, question.source, wanted, question.scale)
        answer = client.infer(request.tensors, request.outputs, target.timeout_s)
    return Prediction(name, target.place, request, answer, question.labels)


def show(prediction: "Prediction", output: str, terminal: Terminal) -> None:
    """Print an answer."""
    from aimodel_operator.cli.answer import as_document
    from aimodel_operator.cli.answer_view import draw

    if output == "json":
        print_json(as_document(prediction))
    else:
        print("\n".join(draw(prediction, terminal)))


def read_file(path: str) -> bytes:
    """A file's content; raises UsageError."""
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise UsageError(f"{path} cannot be read: {exc.strerror}", "correct the path") from exc


def parse_scale(text: str | None) -> "Scale | None":
    """LOW:HIGH as numbers; raises UsageError."""
    from aimodel_operator.cli.image import Scale

    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError as exc:
        raise UsageError(f"--scale {text} is no LOW:HIGH", "write it like 0:1, or --scale=-1:1") from exc
    if not low != high or not abs(low - high) < float("inf"):
        raise UsageError(f"--scale {text} has no range", "give two different finite numbers, like 0:1")
    return Scale(low, high)
