"""Every example is taken by the API server as a person would apply it."""

from pathlib import Path

import pytest
import yaml

EXAMPLES = Path(__file__).parents[2] / "examples"


def objects(path):
    """The Kubernetes objects in a file; other YAML, such as values of a chart, has none."""
    documents = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return [one for one in documents if isinstance(one, dict) and {"apiVersion", "kind"} <= one.keys()]


FILES = [path for path in sorted(EXAMPLES.rglob("*.yaml")) if objects(path)]


def test_there_are_examples_of_aimodels():
    kinds = [one["kind"] for path in FILES for one in objects(path)]
    assert "AIModel" in kinds


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_the_api_server_takes_an_example(server, crd, namespace, path):
    for one in objects(path):
        one["metadata"].pop("namespace", None)
        arguments = ("apply", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", "-")
        done = server.kubectl(*arguments, stdin=yaml.safe_dump(one))
        assert done.returncode == 0, f"{path.name}: {done.stdout}"
        assert "Warning" not in done.stdout, f"{path.name}: {done.stdout}"
