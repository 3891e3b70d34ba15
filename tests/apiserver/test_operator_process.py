"""The operator as a process of its own on a real API server: it leads, hands over, survives outages, ends cleanly."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from builders import DIGEST, a_model
from hack.cluster.controlplane import ControlPlane
from hack.paths import ROOT
from hack.ports import free_ports
from operator_process import CRD, NAMESPACE, OperatorProcess, Person
from waiting import eventually

IMAGE = "registry.test:5000/models/default/digits@sha256:" + "c" * 64
Start = Callable[[str], OperatorProcess]


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """An API server of the test's own: it is stopped, and its audit log is counted."""
    with ControlPlane(tmp_path) as running:
        yield running


@pytest.fixture
def person(plane: ControlPlane) -> Person:
    """Somebody with kubectl; the CRD and the operator's namespace are there."""
    person = Person(plane)
    person.kubectl("apply", "--filename", str(CRD))
    person.kubectl("wait", "--for=condition=Established", "crd/aimodels.aimodel.dev", "--timeout=30s")
    person.kubectl("create", "namespace", NAMESPACE)
    person.kubectl("create", "serviceaccount", "default")
    return person


@pytest.fixture
def start(plane: ControlPlane, person: Person, tmp_path: Path) -> Iterator[Start]:
    """Starts operators by name and ends those that are left."""
    with ExitStack() as running:

        def one(name: str) -> OperatorProcess:
            process = OperatorProcess(plane.kubeconfig, tmp_path, name, free_ports(1)[0])
            return running.enter_context(process)

        yield one


def holder(person: Person) -> str:
    return str(person.get("lease", "aimodel-operator", NAMESPACE)["spec"].get("holderIdentity", ""))


def serve(person: Person) -> None:
    """Bring `digits` to Ready, playing build, kubelet and Deployment controller."""
    person.apply(a_model().build())
    eventually(lambda: len(person.names("jobs")) == 1, 20, lambda: person.get("aimodel", "digits"))
    (job,) = person.get("jobs")["items"]
    report = json.dumps({"image": IMAGE, "modelDigest": DIGEST, "format": "ONNX"})
    labels = {**job["metadata"]["labels"], "batch.kubernetes.io/controller-uid": job["metadata"]["uid"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "build", "labels": labels}}
    person.apply({**pod, "spec": {"containers": [{"name": "build", "image": "x"}]}})
    state = {"terminated": {"exitCode": 0, "message": report}}
    container = {"name": "build", "image": "x", "imageID": "", "restartCount": 0, "ready": False, "state": state}
    person.set_status("pod", "build", {"phase": "Succeeded", "containerStatuses": [container]})
    # The pod's own report is enough: the operator does not wait for the Job controller to count the pod.
    eventually(lambda: len(person.names("deployments")) == 1, 20, lambda: person.get("aimodel", "digits"))
    (deployment,) = person.names("deployments")
    counts = {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 1}
    person.set_status("deployment", deployment, {**counts, "observedGeneration": 1})
    eventually(lambda: person.ready("digits") == ("True", "Serving"), 20, lambda: person.get("aimodel", "digits"))


def test_model_is_served_and_a_killed_operator_finds_nothing_to_write(person: Person, start: Start) -> None:
    first = start("first")
    serve(person)
    assert {"digits", "digits-headless"} <= person.names("services")
    assert first.status("/livez") == 200
    assert first.status("/readyz") == 200
    metrics = first.answer("/metrics")[1]
    assert "aimodel_operator_models 1.0" in metrics
    assert 'aimodel_operator_reconcile_total{result="ok"}' in metrics
    first.kill()
    before = person.writes()
    assert before, "the audit log is what is counted"
    second = start("second")
    eventually(second.is_leading, 30, lambda: second.log)
    passes = 'aimodel_operator_reconcile_total{result="ok"}'
    eventually(lambda: passes in second.answer("/metrics")[1], 10, lambda: second.log)
    person.kubectl("annotate", "aimodel", "digits", "example.test/touched=yes")  # one pass more, to be sure
    eventually(lambda: f"{passes} 2.0" in second.answer("/metrics")[1], 10, lambda: second.answer("/metrics"))
    assert person.writes() == before


def test_one_of_two_leads_and_the_other_takes_over_after_sigterm(person: Person, start: Start) -> None:
    leader = start("leader")
    eventually(leader.is_leading, 30, lambda: leader.log)
    standby = start("standby")
    eventually(lambda: standby.status("/readyz") == 200, 30, lambda: standby.answer("/readyz"))
    person.apply(a_model().build())
    eventually(lambda: len(person.names("jobs")) == 1, 10, lambda: leader.log)
    assert not standby.is_leading()
    assert "wrote" not in standby.log
    code, seconds = leader.terminate()
    assert code == 0, leader.log
    assert seconds < 5
    eventually(standby.is_leading, 5, lambda: standby.log)
    assert holder(person) == "standby"
    person.kubectl("patch", "aimodel", "digits", "--type=merge", "--patch", '{"spec": {"replicas": 2}}')
    eventually(lambda: person.get("aimodel", "digits")["status"]["observedGeneration"] == 2, 5, lambda: standby.log)


def test_sigterm_gives_the_lease_back(person: Person, start: Start) -> None:
    operator = start("only")
    eventually(operator.is_leading, 30, lambda: operator.log)
    assert holder(person) == "only"
    code, seconds = operator.terminate()
    assert (code, holder(person)) == (0, "")
    assert seconds < 5


def test_outage_of_the_api_server_is_survived(plane: ControlPlane, person: Person, start: Start) -> None:
    operator = start("only")
    person.apply(a_model().build())
    eventually(lambda: len(person.names("jobs")) == 1, 30, lambda: operator.log)
    plane.stop_apiserver()
    eventually(lambda: operator.status("/readyz") == 503, 10, lambda: operator.answer("/readyz"))
    seen = [operator.status("/livez")]
    eventually(lambda: not operator.is_leading(), 20, lambda: operator.log)  # renewals fail for 10 s
    with pytest.raises(AssertionError):  # the outage goes on, and the process with it
        eventually(lambda: not operator.is_alive() or operator.status("/livez") != 200, 8, lambda: "alive")
    assert seen == [200]
    plane.start_apiserver()
    person.kubectl("patch", "aimodel", "digits", "--type=merge", "--patch", '{"spec": {"replicas": 2}}')
    eventually(lambda: person.get("aimodel", "digits")["status"]["observedGeneration"] == 2, 5, lambda: operator.log)
    eventually(lambda: operator.status("/readyz") == 200, 5, lambda: operator.answer("/readyz"))


def test_operator_that_starts_before_api_server_and_crd_waits(
    plane: ControlPlane, person: Person, start: Start
) -> None:
    person.kubectl("delete", "crd", "aimodels.aimodel.dev")
    plane.stop_apiserver()
    operator = start("early")
    eventually(lambda: operator.status("/livez") == 200, 20, lambda: operator.log)
    assert operator.status("/readyz") == 503
    plane.start_apiserver()
    eventually(lambda: "404" in operator.log or "could not find" in operator.log, 10, lambda: operator.log)
    person.kubectl("apply", "--filename", str(CRD))
    person.kubectl("wait", "--for=condition=Established", "crd/aimodels.aimodel.dev", "--timeout=30s")
    person.apply(a_model().build())
    eventually(lambda: len(person.names("jobs")) == 1, 15, lambda: operator.log)
    assert operator.is_alive()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"AIMODEL_REGISTRY": ""}, "AIMODEL_REGISTRY"),
        ({"AIMODEL_SERVING_IMAGE": "r.test/serving:latest"}, "AIMODEL_SERVING_IMAGE"),
        ({"AIMODEL_BUILD_RESOURCES": "many"}, "AIMODEL_BUILD_RESOURCES"),
        ({"DOCKER_CONFIG": "/nowhere"}, "registry.credentialsSecret"),
    ],
)
def test_wrong_setting_ends_the_process_with_its_name(change: dict[str, str], named: str) -> None:
    assert_refused_at_start(change, named)


def test_registry_login_that_does_not_read_ends_the_process_with_the_chart_value(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"auths": {"r.test": {"auth": "s3cret"}}}')
    said = assert_refused_at_start({"DOCKER_CONFIG": str(tmp_path)}, "registry.credentialsSecret")
    assert "entry for r.test does not read" in said
    assert "s3cret" not in said


def assert_refused_at_start(change: dict[str, str], named: str) -> str:
    """Start the process with a change to good settings; returns what it says before it ends."""
    good = {
        "AIMODEL_SERVING_IMAGE": "r.test/serving@sha256:1",
        "AIMODEL_OPERATOR_IMAGE": "r.test/operator@sha256:2",
        "AIMODEL_REGISTRY": "r.test/models",
        "AIMODEL_NAMESPACE": NAMESPACE,
        "AIMODEL_POD_NAME": "operator-0",
    }
    environment = {**os.environ, **good, **change, "PYTHONPATH": str(ROOT / "operator")}
    command = [sys.executable, "-m", "aimodel_operator"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr
