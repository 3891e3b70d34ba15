"""`aimodel status` and `predict` through the Kubernetes client, over HTTP and the websocket of port-forward."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aimodel_operator.cli import main
from aimodel_operator.cli.oip import inference_pb2 as pb
from kube_api import KubeApi, api_server, refusal
from oip_server import Model, serving

MODELS_PATH = "/apis/aimodel.dev/v1alpha1/namespaces/demo/aimodels"
MODEL: dict[str, Any] = {
    "metadata": {"name": "digits", "namespace": "demo", "generation": 1, "uid": "u1"},
    "spec": {"replicas": 1},
    "status": {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Serving", "message": "serves"}],
    },
}
SERVICE = {
    "metadata": {"name": "digits"},
    "spec": {"selector": {"aimodel.dev/uid": "u1"}, "ports": [{"name": "grpc", "port": 8001, "targetPort": 8001}]},
}
POD = {
    "metadata": {"name": "digits-abc-0", "labels": {"aimodel.dev/revision": "digits-abc"}},
    "spec": {"containers": []},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}


@pytest.fixture
def api() -> Iterator[KubeApi]:
    """A namespace `demo` with the model `digits`, its Service and one ready pod."""
    with api_server() as server:
        server.objects = {
            MODELS_PATH: {"items": [MODEL]},
            f"{MODELS_PATH}/digits": MODEL,
            "/api/v1/namespaces/demo/services/digits": SERVICE,
            "/api/v1/namespaces/demo/pods": {"items": [POD]},
        }
        yield server


@pytest.fixture
def kubeconfig(api: KubeApi, tmp_path: Path) -> str:
    return str(api.write_kubeconfig(tmp_path / "kubeconfig"))


@pytest.fixture
def row(tmp_path: Path) -> str:
    path = tmp_path / "row.csv"
    path.write_text("1,2\n")
    return str(path)


def echo(request: Any, context: Any) -> Any:
    output = pb.ModelInferResponse.InferOutputTensor(name="y", datatype="FP32", shape=request.inputs[0].shape)
    return pb.ModelInferResponse(
        model_version="1", outputs=[output], raw_output_contents=[request.raw_input_contents[0]]
    )


def test_a_prediction_goes_through_the_port_forward(
    api: KubeApi, kubeconfig: str, row: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving({"digits": Model([("x", "FP32", (-1, 2))], echo)}) as port:
        api.pods["demo/digits-abc-0:8001"] = port
        assert main.main(["predict", "digits", row, "--kubeconfig", kubeconfig, "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["outputs"][0]["data"] == [[1, 2]]
    assert document["place"] == "pod digits-abc-0, namespace demo"
    assert "/api/v1/namespaces/demo/pods?labelSelector=aimodel.dev/uid%3Du1" in api.requests
    assert "/api/v1/namespaces/demo/pods/digits-abc-0/portforward?ports=8001" in api.requests


def test_megabytes_go_through_the_port_forward_unharmed(
    api: KubeApi, kubeconfig: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.json"
    rows = [[float(number), 0.5] for number in range(200_000)]
    path.write_text(json.dumps(rows))
    with serving({"digits": Model([("x", "FP32", (-1, 2))], echo)}) as port:
        api.pods["demo/digits-abc-0:8001"] = port
        assert main.main(["predict", "digits", str(path), "--kubeconfig", kubeconfig, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"][0]["data"] == rows


def test_a_pod_that_does_not_listen_is_said_in_the_clusters_words(
    kubeconfig: str, row: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["predict", "digits", row, "--kubeconfig", kubeconfig]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "pod digits-abc-0, namespace demo cannot be reached: nothing listens on port 8001" in captured.err


def test_status_reads_the_model_of_the_contexts_namespace(
    api: KubeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["status", "digits", "--kubeconfig", kubeconfig, "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["ready"] is True
    assert api.requests == [f"{MODELS_PATH}/digits"]


def test_the_namespace_option_wins_over_the_context(
    api: KubeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["status", "digits", "--kubeconfig", kubeconfig, "-n", "other"]) == 1
    assert api.requests[0] == "/apis/aimodel.dev/v1alpha1/namespaces/other/aimodels/digits"


def test_the_kubeconfig_of_the_environment_is_used_from_the_next_process_on(
    kubeconfig: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; from aimodel_operator.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "status", "digits", "-o", "json"]
    environment = {**os.environ, "KUBECONFIG": kubeconfig, "HOME": str(tmp_path)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout)["name"] == "digits"
    assert run.stderr == ""


def test_an_unknown_model_is_answered_with_those_there_are(kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["status", "digitz", "--kubeconfig", kubeconfig]) == 1
    error = capsys.readouterr().err
    assert 'no AIModel "digitz" in namespace "demo"' in error
    assert "it has: digits" in error


def test_a_cluster_without_the_crd_is_told_from_a_missing_model(
    api: KubeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    api.objects.clear()
    assert main.main(["status", "digits", "--kubeconfig", kubeconfig]) == 1
    error = capsys.readouterr().err
    assert "does not know the kind AIModel: the operator's CRD is not installed" in error
    assert " next: helm install aimodel-operator" in error


def test_a_missing_service_points_to_status(
    api: KubeApi, kubeconfig: str, row: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del api.objects["/api/v1/namespaces/demo/services/digits"]
    assert main.main(["predict", "digits", row, "--kubeconfig", kubeconfig]) == 1
    assert 'no Service "digits" in namespace "demo"' in capsys.readouterr().err


def test_a_missing_right_is_said_with_the_way_to_check_it(
    api: KubeApi, kubeconfig: str, row: str, capsys: pytest.CaptureFixture[str]
) -> None:
    api.objects["/api/v1/namespaces/demo/pods"] = refusal(403, "pods is forbidden")
    assert main.main(["predict", "digits", row, "--kubeconfig", kubeconfig]) == 1
    error = capsys.readouterr().err
    assert "answered 403 for pods: pods is forbidden" in error
    assert " next: kubectl auth can-i get pods -n demo" in error


def test_a_port_forward_that_is_not_allowed_is_said(
    api: KubeApi, kubeconfig: str, row: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "/api/v1/namespaces/demo/pods/digits-abc-0/portforward"
    api.objects[path] = refusal(403, "pods/portforward is forbidden")
    assert main.main(["predict", "digits", row, "--kubeconfig", kubeconfig]) == 1
    error = capsys.readouterr().err
    assert "cannot be reached: the API server answered 403: pods/portforward is forbidden\n" in error


def test_a_stale_token_is_said(api: KubeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = api.write_kubeconfig(tmp_path / "stale", token="old")  # noqa: S106 - of a server that lives for one test
    assert main.main(["status", "digits", "--kubeconfig", str(path)]) == 1
    assert "answered 401 for aimodels: Unauthorized" in capsys.readouterr().err


def test_a_server_that_fails_is_said_with_its_words(
    api: KubeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    api.objects[f"{MODELS_PATH}/digits"] = refusal(500, "etcdserver: request timed out")
    assert main.main(["status", "digits", "--kubeconfig", kubeconfig]) == 1
    assert "answered 500 for aimodels: etcdserver: request timed out" in capsys.readouterr().err


def test_a_cluster_that_is_not_there_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with api_server() as gone:
        pass
    path = gone.write_kubeconfig(tmp_path / "gone")
    assert main.main(["status", "digits", "--kubeconfig", str(path)]) == 1
    error = capsys.readouterr().err
    assert f"the cluster at http://127.0.0.1:{gone.port} does not answer: " in error
    assert "Connection refused" in error
    assert "HTTPConnectionPool" not in error


@pytest.mark.parametrize(
    ("content", "arguments"),
    [("", []), ("{}", []), ("not: [yaml", []), (None, ["--context", "elsewhere"])],
    ids=["empty", "no contexts", "no yaml", "an unknown context"],
)
def test_a_kubeconfig_that_cannot_be_used_is_wrong_usage(
    content: str | None, arguments: list[str], kubeconfig: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        Path(kubeconfig).write_text(content)
    assert main.main(["status", "digits", "--kubeconfig", kubeconfig, *arguments]) == 2
    assert "the kubeconfig cannot be used: " in capsys.readouterr().err
