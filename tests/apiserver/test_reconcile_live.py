"""The laws of reconciling on a real API server, which keeps the cluster in memory honest.

No controller manager runs here: the test plays the Deployment and Job controllers, as in the component level.
"""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from aimodel_operator.cluster import ApiCluster
from aimodel_operator.cluster.requests import Requests
from aimodel_operator.kinds import POD, SERVICE_ACCOUNT, Kind, Obj, kind_of
from aimodel_operator.reconcile.ports import ClusterError, NotFound, Unavailable
from hack.cluster.controlplane import ControlPlane
from reconcile_laws import *  # noqa: F403
from world import World

CRD = Path(__file__).parents[2] / "crds/aimodels.aimodel.dev.yaml"
MERGE = "application/merge-patch+json"


class ApiWorld(World):
    """A world in one namespace of a real API server."""

    def __init__(self, requests: Requests, audit_log: Path, namespace: str) -> None:
        super().__init__(ApiCluster(requests), namespace)
        self._requests = requests
        self._audit_log = audit_log
        self.now = datetime.now(UTC)

    async def create_model(self, obj: Obj) -> Obj:
        return await self.create(obj)

    async def create(self, obj: Obj) -> Obj:
        return await self._requests.send("POST", kind_of(obj).path(self.namespace), obj)

    async def edit(self, kind: Kind, name: str, change: Obj) -> Obj:
        subresource = "status" if "status" in change else None
        return await self._requests.send("PATCH", kind.path(self.namespace, name, subresource), change, None, MERGE)

    async def objects(self, kind: Kind) -> dict[str, Obj]:
        answer = await self._requests.send("GET", kind.path(self.namespace))
        return {item["metadata"]["name"]: {**kind.stamp(), **item} for item in answer["items"]}

    def write_count(self) -> int:
        """Writes by the operator's field manager in this namespace, as the API server logged them."""
        lines = self._audit_log.read_text(encoding="utf-8").splitlines()
        return sum(_is_our_write(json.loads(line), self.namespace) for line in lines)


def _is_our_write(entry: Obj, namespace: str) -> bool:
    is_answered = entry.get("stage") == "ResponseComplete" and entry["responseStatus"]["code"] < 300
    is_ours = "fieldManager=aimodel-operator" in entry["requestURI"] or entry["verb"] == "delete"
    return is_answered and is_ours and entry.get("objectRef", {}).get("namespace") == namespace


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd and an API server, without any controller."""
    with ControlPlane(tmp_path_factory.mktemp("bare")) as running:
        yield running


@pytest.fixture
async def requests(bare: ControlPlane) -> AsyncIterator[Requests]:
    configuration = kubernetes_client.Configuration()
    await kubernetes_config.load_kube_config(str(bare.kubeconfig), client_configuration=configuration)
    async with kubernetes_client.ApiClient(configuration) as client:
        yield Requests(client)


@pytest.fixture
async def world(requests: Requests, bare: ControlPlane, request: pytest.FixtureRequest) -> World:
    """A namespace of its own with the CRD served and the account that pods need."""
    await _install_crd(requests)
    namespace = request.node.name.removeprefix("test_").replace("_", "-")[:60].strip("-")
    await requests.send("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    await requests.send("POST", SERVICE_ACCOUNT.path(namespace), {"metadata": {"name": "default"}})
    return ApiWorld(requests, bare.audit_log, namespace)


async def _install_crd(requests: Requests) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    definition = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    try:
        await requests.send("POST", path, definition)
    except ClusterError:
        return  # an earlier test of this module installed it
    for _ in range(2000):
        try:
            await requests.send("GET", "/apis/aimodel.dev/v1alpha1/aimodels")
            return
        except (NotFound, Unavailable):  # not served yet, or its storage is not ready yet
            await requests.send("GET", POD.path("default"))  # a round trip instead of a sleep
    raise AssertionError("the AIModel resource is not served")
