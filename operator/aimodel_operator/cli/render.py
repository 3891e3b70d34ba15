"""`aimodel render FILE`: the objects that the operator would make for a manifest, without a cluster."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aimodel_operator.cli import lint
from aimodel_operator.cli.errors import CliError
from aimodel_operator.cli.options import add_namespace, add_output, print_json
from aimodel_operator.cli.terminal import Terminal

if TYPE_CHECKING:
    from aimodel_operator.settings import Settings

HELP = "print the objects that the operator would make"
DESCRIPTION = """\
Print the objects that the operator would make for the AIModels in FILE (`-` for stdin), without a cluster.
What only a cluster knows is written as zeros: uid, digest of the image, and the operator's own images unless
AIMODEL_SERVING_IMAGE, AIMODEL_OPERATOR_IMAGE and AIMODEL_REGISTRY are set as in its Deployment."""

HEADER = "# A preview: zeros stand for the uid and the digests that only a cluster or a build knows.\n"
UNKNOWN_DIGEST = "sha256:" + "0" * 64
UNKNOWN_UID = "00000000-0000-0000-0000-000000000000"

_PLACEHOLDERS = {
    "AIMODEL_SERVING_IMAGE": f"registry.example.com/aimodel/serving-onnx@{UNKNOWN_DIGEST}",
    "AIMODEL_OPERATOR_IMAGE": f"registry.example.com/aimodel/operator@{UNKNOWN_DIGEST}",
    "AIMODEL_REGISTRY": "registry.example.com/models",
    "AIMODEL_NAMESPACE": "aimodel-system",
    "AIMODEL_POD_NAME": "aimodel-operator",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("file", metavar="FILE", help="YAML file with AIModels; - for stdin")
    add_namespace(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Print the objects as YAML documents, or as a List in JSON."""
    objects = render(lint.name_of(arguments.file), lint.read(arguments.file), arguments.namespace, os.environ)
    if arguments.output == "json":
        print_json({"apiVersion": "v1", "kind": "List", "items": objects})
    else:
        sys.stdout.write(as_yaml(objects))
    return 0


def render(name: str, content: bytes, namespace: str | None, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """The objects for every AIModel of a file; raises CliError when lint finds a problem in it."""
    from aimodel_operator import api
    from aimodel_operator.cli import lint_rules, manifest
    from aimodel_operator.render import preview

    report = lint.lint([(name, content)])
    if not report.is_clean:
        first = report.problems[0] if report.problems else None
        what = f"line {first.line}: {first.field} {first.message}" if first else "it holds no AIModel"
        raise CliError(f"{name} cannot be rendered: {what}", f"aimodel lint {name}")
    documents, _ = manifest.load(manifest.decode(content, name), name)
    settings = load_settings(environment)
    objects: list[dict[str, Any]] = []
    for document in documents:
        if lint_rules.is_aimodel(document.value):
            objects += preview(api.parse(_as_stored(document.value, namespace)), settings)
    plain: list[dict[str, Any]] = json.loads(json.dumps(objects))
    return plain


def load_settings(environment: Mapping[str, str]) -> "Settings":
    """The operator's settings from the environment, with placeholders for what it does not name."""
    from aimodel_operator import settings

    try:
        return settings.load({**_PLACEHOLDERS, **environment})
    except settings.SettingsError as exc:
        raise CliError(f"the environment cannot be used: {exc}", "correct or unset that variable") from exc


def as_yaml(objects: Sequence[Mapping[str, Any]]) -> str:
    """The objects as a YAML stream, fields in the order in which the operator writes them."""
    import yaml

    return HEADER + yaml.safe_dump_all(objects, explicit_start=True, sort_keys=False, width=110)


def _as_stored(value: Mapping[str, Any], namespace: str | None) -> dict[str, Any]:
    """The object as an API server would give it back after the first apply."""
    from aimodel_operator.cli.lint_rules import without_nulls

    metadata = value["metadata"]
    stored = {
        **metadata,
        "namespace": namespace or metadata.get("namespace") or "default",
        "uid": UNKNOWN_UID,
        "generation": 1,
        "resourceVersion": "0",
    }
    return {**value, "metadata": stored, "spec": without_nulls(value["spec"])}
