"""A watch of AIModels that has died or hears nothing: the operator must not go on as if nothing happened."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import a_model
from fault_proxy import FaultProxy
from hack.cluster.controlplane import ControlPlane
from hack.ports import free_ports
from operator_process import CRD, NAMESPACE, OperatorProcess, Person
from waiting import eventually


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path) as running:
        yield running


@pytest.fixture
def proxy(plane: ControlPlane, tmp_path: Path) -> Iterator[FaultProxy]:
    with FaultProxy(plane.kubeconfig, tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("fault", "words"), [("fail_watches", "Error in the watch-stream"), ("freeze_watches", "watch of aimodels is deaf")]
)
def test_deaf_operator_ends_and_the_next_one_sees_the_model(
    plane: ControlPlane, proxy: FaultProxy, tmp_path: Path, fault: str, words: str
) -> None:
    person = Person(plane)
    person.kubectl("apply", "--filename", str(CRD))
    person.kubectl("wait", "--for=condition=Established", "crd/aimodels.aimodel.dev", "--timeout=30s")
    person.kubectl("create", "namespace", NAMESPACE)
    with OperatorProcess(proxy.kubeconfig, tmp_path, "first", free_ports(1)[0]) as deaf:
        person.apply(a_model().named("before").build())
        eventually(lambda: len(person.names("jobs")) == 1, 30, lambda: deaf.log)
        getattr(proxy, fault)()
        person.apply(a_model().named("after").build())
        assert deaf.exit_code(60) == 1
        assert words in deaf.log
    proxy.heal()
    with OperatorProcess(proxy.kubeconfig, tmp_path, "second", free_ports(1)[0]) as hearing:
        eventually(lambda: len(person.names("jobs")) == 2, 30, lambda: hearing.log)
