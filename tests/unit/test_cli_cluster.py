"""Which pod `aimodel predict` asks, and what it says when there is none."""

from collections.abc import Sequence
from typing import Any

import pytest

from aimodel_operator.cli.cluster import Endpoint, Obj, find_endpoint, grpc_port
from aimodel_operator.cli.errors import CliError
from aimodel_operator.cli.forward import Tunnel, TunnelRefused

MODEL: dict[str, Any] = {
    "metadata": {"name": "digits", "namespace": "demo"},
    "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "OutOfMemory", "message": "killed"}]},
}
SERVICE: dict[str, Any] = {
    "metadata": {"name": "digits"},
    "spec": {
        "selector": {"aimodel.dev/uid": "u1", "aimodel.dev/revision": "digits-abc"},
        "ports": [{"name": "grpc", "port": 8001, "targetPort": "grpc"}],
    },
}


def a_pod(name: str, ready: str = "True", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"aimodel.dev/revision": "digits-abc"}, **metadata},
        "spec": {"containers": [{"name": "server", "ports": [{"name": "grpc", "containerPort": 9001}]}]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


class Pods:
    """A cluster with one Service and these pods."""

    namespace = "demo"

    def __init__(self, *pods: dict[str, Any], service: dict[str, Any] = SERVICE) -> None:
        self._pods = pods
        self._service = service
        self.selectors: list[str] = []

    def model(self, name: str) -> Obj:
        return MODEL

    def service(self, name: str) -> Obj:
        assert name == "digits"
        return self._service

    def pods(self, selector: str) -> Sequence[Obj]:
        self.selectors.append(selector)
        return self._pods

    def dial(self, pod: str, port: int) -> Tunnel:
        raise TunnelRefused("nobody dials here")


def test_a_ready_pod_behind_the_service_is_asked() -> None:
    cluster = Pods(a_pod("b"), a_pod("a"), a_pod("0-not-ready", "False"), a_pod("0-leaving", deletionTimestamp="now"))
    assert find_endpoint(cluster, MODEL) == Endpoint("a", 9001, "digits-abc")
    assert cluster.selectors == ["aimodel.dev/revision=digits-abc,aimodel.dev/uid=u1"]


def test_no_ready_pod_says_why_and_what_next() -> None:
    with pytest.raises(CliError) as caught:
        find_endpoint(Pods(a_pod("a", "False")), MODEL)
    assert caught.value.message == 'no pod of AIModel "digits" in namespace "demo" is ready: OutOfMemory: killed'
    assert caught.value.next_step == "aimodel status digits -n demo"


def test_a_service_that_selects_nothing_yet_is_said() -> None:
    service = {"metadata": {"name": "digits"}, "spec": {"ports": []}}
    with pytest.raises(CliError, match="selects no pods yet"):
        find_endpoint(Pods(service=service), MODEL)


@pytest.mark.parametrize(
    ("entry", "port"),
    [
        ({"name": "grpc", "port": 8001, "targetPort": 7001}, 7001),
        ({"name": "grpc", "port": 8001, "targetPort": "grpc"}, 9001),
        ({"name": "grpc", "port": 8001, "targetPort": "unknown"}, 8001),
        ({"name": "grpc", "port": 8001}, 8001),
    ],
    ids=["a number", "a name", "a name nobody has", "left out"],
)
def test_the_target_port_is_resolved_as_a_service_does(entry: dict[str, Any], port: int) -> None:
    service = {"spec": {"ports": [{"name": "other", "port": 1}, entry]}}
    assert grpc_port(service, a_pod("a")) == port
