"""A real API server for the whole session, the AIModel CRD in it, and plain requests to it.

`control_plane` and `api_client` serve every test in this folder. `server` sends exactly what a test says, so
that a test sees status, warnings and words of the API server itself and not what a client makes of them.
"""

import itertools
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from hack.cluster import tools
from hack.cluster.controlplane import ControlPlane
from hack.paths import ROOT
from hack.waiting import wait_until

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server answered; a Status when it refused."""

    status: int
    warnings: tuple[str, ...]
    body: dict[str, Any]

    @property
    def message(self) -> str:
        """The words of a refusal."""
        return str(self.body["message"])


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Requests with nothing added: no model classes, no retries, no exception for a refusal."""

    client: client.ApiClient
    kubeconfig: Path

    def send(
        self, method: str, path: str, body: Any = None, *, accept: str = "application/json", content: str | None = None
    ) -> Answer:
        """One request; `path` may carry a query, `content` is the type of a patch."""
        headers = {"Accept": accept} | ({"Content-Type": content} if content else {})
        request = self.client.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        response = self.client.call_api(*request)
        text = response.read().decode()
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        # A path that is not served yet answers in plain text.
        answered = json.loads(text) if is_json else {"message": text}
        return Answer(response.status, tuple(response.headers.getlist("Warning")), answered)

    def apply(self, path: str, body: Mapping[str, Any], manager: str) -> Answer:
        """Server-side apply."""
        return self.send("PATCH", f"{path}?fieldManager={manager}", body, content="application/apply-patch+yaml")

    def kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """One kubectl command, with stderr in stdout."""
        command = [str(tools.ensure() / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(
            command, input=stdin, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False
        )

    def install(self, definition: Mapping[str, Any]) -> Answer:
        """Create a CustomResourceDefinition and wait until its resource is served."""
        made = self.send("POST", CRDS, definition)
        assert made.status == 201, made.message
        spec = definition["spec"]
        path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        assert wait_until(lambda: self.send("GET", path).status == 200, limit_s=30), f"{path} is not served"
        return self.send("GET", f"{CRDS}/{definition['metadata']['name']}")


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd, kube-apiserver and kube-controller-manager, shared by all tests of this folder."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane"), components={"controller-manager"}) as running:
        yield running


@pytest.fixture(scope="session")
def api_client(control_plane: ControlPlane) -> Iterator[client.ApiClient]:
    """The plain client of the `kubernetes` package, with all rights."""
    made = config.new_client_from_config(str(control_plane.kubeconfig))
    yield made
    made.close()


@pytest.fixture(scope="session")
def server(api_client: client.ApiClient, control_plane: ControlPlane) -> ApiServer:
    """The API server, as plain requests."""
    return ApiServer(api_client, Path(control_plane.kubeconfig))


@pytest.fixture(scope="session")
def crd(server: ApiServer) -> dict[str, Any]:
    """The AIModel CRD from crds/, as the API server has it once it serves the resource."""
    text = (ROOT / "crds/aimodels.aimodel.dev.yaml").read_text(encoding="utf-8")
    return server.install(yaml.safe_load(text)).body


@pytest.fixture(scope="session")
def namespace_numbers() -> Iterator[int]:
    """One number for each namespace of the session."""
    return itertools.count()


@pytest.fixture
def namespace(server: ApiServer, namespace_numbers: Iterator[int]) -> str:
    """A namespace of the test's own."""
    name = f"test-{next(namespace_numbers)}"
    made = server.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert made.status == 201, made.message
    return name


@pytest.fixture
def models(crd: dict[str, Any], namespace: str) -> str:
    """The path of the AIModels in the test's namespace."""
    return f"/apis/{crd['spec']['group']}/v1alpha1/namespaces/{namespace}/aimodels"
