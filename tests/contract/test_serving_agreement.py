"""What the operator's pods ask of the Rust server and what the server tells back, read from the server's sources.

The server's settings and reasons are tables of plain literals, so that no build is needed to compare them.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from aimodel_operator import api
from aimodel_operator.observe import Artefact
from aimodel_operator.render.pod_template import pod_template
from builders import DIGEST, a_model

SERVING = Path(__file__).parents[2] / "serving"
SOURCES = SERVING / "server" / "src"
SETTING = re.compile(r'\bsetting\(\s*"([a-z-]+)",\s*"([^"]*)",')
REASON = re.compile(r'Self::(\w+) => "(\w+)"')
SPECS: dict[str, dict[str, Any]] = {
    "smallest": {},
    "everything set": {
        "serving": {
            "engine": "ONNX",
            "batching": {"maxRows": 7, "maxDelayMilliseconds": 9},
            "maxInFlight": 33,
            "timeoutSeconds": 11,
            "drainSeconds": 3,
        }
    },
}


def settings() -> dict[str, str]:
    """The server's settings by variable, with their defaults."""
    table = (SOURCES / "config" / "table.rs").read_text()
    return {f"AIMODEL_{name.replace('-', '_').upper()}": default for name, default in SETTING.findall(table)}


def container(spec: str = "smallest") -> dict[str, Any]:
    """The serving container of a model."""
    model = api.parse(a_model().with_spec(**SPECS[spec]).stored())
    artefact = Artefact(f"registry.test:5000/models/default/digits@{DIGEST}", DIGEST, "ONNX")
    (found,) = pod_template(model, "digits-abc", artefact)["spec"]["containers"]
    return dict(found)


def environment(spec: str) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container(spec)["env"]}


def dockerfile(instruction: str) -> list[str]:
    return re.findall(rf"^{instruction} (.*)$", (SERVING / "Dockerfile").read_text(), re.MULTILINE)


def test_the_table_is_read_whole() -> None:
    text = (SOURCES / "config" / "table.rs").read_text()
    table = text[text.index("SETTINGS: &[Setting]") :]
    assert len(settings()) == table.count("setting(") >= 20


@pytest.mark.parametrize("spec", SPECS)
def test_the_server_knows_every_variable_that_a_pod_sets(spec: str) -> None:
    ours = {name for name in environment(spec) if name.startswith("AIMODEL_")}
    assert ours != set()
    assert ours <= settings().keys()


def test_a_pod_passes_the_spec_on_in_the_units_of_the_server() -> None:
    assert environment("everything set") == {
        "AIMODEL_MODEL_NAME": "digits",
        "AIMODEL_REVISION": "digits-abc",
        "AIMODEL_ENGINE": "ONNX",
        "AIMODEL_MAX_ROWS": "7",
        "AIMODEL_MAX_DELAY_MILLISECONDS": "9",
        "AIMODEL_MAX_IN_FLIGHT": "33",
        "AIMODEL_TIMEOUT_SECONDS": "11",
        "AIMODEL_DRAIN_SECONDS": "3",
        "AIMODEL_GRACE_SECONDS": "19",
    }


def test_every_engine_of_the_spec_is_one_of_the_server() -> None:
    parsing = (SOURCES / "config" / "parse.rs").read_text()
    known = set(re.findall(r'\("(\w+)", EngineChoice::', parsing))
    assert {str(engine) for engine in api.Engine} == known


def test_a_pod_opens_the_ports_on_which_the_server_listens() -> None:
    listening = {name: int(settings()[f"AIMODEL_{name.upper()}_PORT"]) for name in ("grpc", "admin", "health")}
    assert {port["name"]: port["containerPort"] for port in container()["ports"]} == listening
    probed = [value["grpc"]["port"] for key, value in container().items() if key.endswith("Probe")]
    assert probed == [listening["health"]] * 3
    assert {int(port) for line in dockerfile("EXPOSE") for port in line.split()} == set(listening.values())


def test_the_operator_knows_every_reason_that_a_server_leaves() -> None:
    reasons = REASON.findall((SOURCES / "fatal.rs").read_text())
    assert len(reasons) >= 5
    assert all(variant == name for variant, name in reasons)
    assert {name for _, name in reasons} <= set(api.Reason)


def test_the_server_leaves_its_reason_where_the_kubelet_reads_it() -> None:
    path = container().get("terminationMessagePath", "/dev/termination-log")
    assert settings()["AIMODEL_TERMINATION_LOG"] == path


def test_the_image_starts_the_server_with_what_a_pod_passes() -> None:
    assert "command" not in container()
    (entrypoint,), (arguments,) = dockerfile("ENTRYPOINT"), dockerfile("CMD")
    assert json.loads(arguments) == container()["args"] == ["/models"]
    program = Path(json.loads(entrypoint)[0])
    name = re.search(r'\[\[bin\]\]\nname = "([\w-]+)"', (SERVING / "server" / "Cargo.toml").read_text())
    assert name is not None
    assert program.name == name[1]
    copied = {line.split()[-1].rstrip("/") for line in dockerfile("COPY")}
    assert str(program.parent) in copied


def test_the_image_sets_only_variables_that_the_server_knows() -> None:
    variables = dict(line.split("=", 1) for line in dockerfile("ENV"))
    assert variables.keys() <= settings().keys()
    library = Path(variables["AIMODEL_ORT_LIBRARY"])
    assert str(library.parent) in {line.split()[-1].rstrip("/") for line in dockerfile("COPY")}
