"""Serving and updating a model on the real cluster, judged by real gRPC clients."""

import asyncio
import json
import urllib.request

import grpc
import pytest

from aimodel_operator.cli.oip import inference_pb2_grpc as oip_grpc
from calls import NO_RETRY_POLICY, OpenLoop, failures, first_number, one_row, phases
from live import FileHost, Live, Obj, a_live_model
from waiting import eventually

RATE = 50.0


@pytest.fixture
def shared(live: Live, files: FileHost) -> str:
    """A model with two ready pods that answers 1."""
    return _served(live, "shared", files.put_constant("one.onnx", 1.0), replicas=2)


@pytest.fixture
def rolling(live: Live, files: FileHost) -> str:
    """A model with two ready pods that answers 1, whatever an earlier test made of it."""
    return _served(live, "rolling", files.put_constant("v1.onnx", 1.0), replicas=2)


@pytest.fixture
def again(live: Live, files: FileHost) -> str:
    """A model that has been served with one revision only."""
    live.delete("aimodel", "again")
    return _served(live, "again", files.put_constant("again.onnx", 3.0), replicas=1)


def _served(live: Live, name: str, source: Obj, replicas: int) -> str:
    live.apply(a_live_model(name, source, replicas=replicas))
    live.wait_ready(name)
    eventually(lambda: live.pod_count(name) == replicas, 60, lambda: f"{live.pod_count(name)} pods")
    return name


def answered_by(live: Live, model: str) -> dict[str, float]:
    """How many calls each ready pod has answered, by its own metrics."""
    counts = {}
    for pod in live.pods(model):
        url = f"http://{pod['status']['podIP']}:8002/metrics"
        with urllib.request.urlopen(url, timeout=5) as response:
            lines = response.read().decode().splitlines()
        samples = [line for line in lines if line.startswith("aimodel_serving_requests_total{") and 'code="OK"' in line]
        counts[pod["metadata"]["name"]] = sum(float(line.rsplit(" ", 1)[1]) for line in samples)
    return counts


def call_many(target: str, model: str, count: int) -> list[float]:
    """`count` calls one after the other over one channel that balances round robin."""
    options = (*NO_RETRY_POLICY, ("grpc.lb_policy_name", "round_robin"))
    request = one_row(model)
    with grpc.insecure_channel(target, options=options) as channel:
        stub = oip_grpc.GRPCInferenceServiceStub(channel)
        return [first_number(stub.ModelInfer(request, timeout=10)) for _ in range(count)]


def test_two_replicas_share_the_calls_of_one_channel(live: Live, shared: str, dns: str) -> None:
    before = answered_by(live, shared)
    assert len(before) == 2
    target = f"dns://{dns}:53/{shared}-headless.{live.namespace}.svc.cluster.local:8001"
    assert call_many(target, shared, 1000) == [1.0] * 1000
    after = answered_by(live, shared)
    shares = sorted(after[pod] - before[pod] for pod in before)
    assert sum(shares) == 1000
    assert shares[0] >= 400, f"of 1000 calls the pods answered {shares}"


def test_scale_subresource_changes_pods_and_nothing_else(live: Live, shared: str) -> None:
    revision = live.model(shared)["status"]["active"]["revision"]
    live.kubectl("scale", f"aimodel/{shared}", "--replicas=1")
    live.wait_ready(shared)
    eventually(lambda: len(live.pods(shared)) == 1, 30, lambda: f"{len(live.pods(shared))} pods")
    status = live.model(shared)["status"]
    assert status["active"]["revision"] == revision
    assert len(status["history"]) == 1


async def test_new_digest_under_load_loses_no_call_and_never_goes_back(
    live: Live, rolling: str, files: FileHost
) -> None:
    client = OpenLoop(live.address(rolling), rolling, RATE)
    await client.start()
    await asyncio.sleep(2)
    source = files.put_constant("v2.onnx", 2.0)
    await asyncio.to_thread(live.patch, "aimodel", rolling, {"spec": {"source": source}})
    await asyncio.to_thread(live.wait_ready, rolling)
    await asyncio.to_thread(eventually, lambda: live.pod_count(rolling) == 2, 60, lambda: "old pods are still there")
    await asyncio.sleep(1)
    calls = await client.stop()
    assert len(calls) > 5 * RATE
    assert not failures(calls)
    assert phases(calls) == [1.0, 2.0]


def test_deleting_the_model_leaves_nothing_with_its_uid(live: Live, rolling: str) -> None:
    uid = live.model(rolling)["metadata"]["uid"]
    assert live.owned_by(uid)
    live.delete("aimodel", rolling)
    eventually(lambda: not live.owned_by(uid), 60, lambda: f"left: {live.owned_by(uid)}")


def test_same_input_is_not_built_twice_and_gives_the_same_image(live: Live, again: str) -> None:
    model = live.model(again)
    first = model["status"]["active"]["image"]
    live.delete("aimodel", again)
    live.apply(a_live_model(again, model["spec"]["source"]))
    second = live.wait_ready(again)
    assert second["status"]["active"]["image"] == first
    jobs = live.get("jobs", selector=f"aimodel.dev/model={again}")["items"]
    assert jobs == [], "the image was there: nothing had to be built"
    repository, rebuilt = move_image(live, again)
    assert rebuilt == f"{repository}@{first.partition('@')[2]}"


def test_history_limit_prunes_the_oldest_revision(live: Live, again: str) -> None:
    move_image(live, again)
    assert len(live.model(again)["status"]["history"]) == 2
    live.patch("aimodel", again, {"spec": {"revisionHistoryLimit": 0}})
    revisions = f"aimodel.dev/model={again}"
    eventually(lambda: len(live.get("controllerrevisions", selector=revisions)["items"]) == 1, 30, str)
    live.wait_ready(again)


def move_image(live: Live, model: str) -> tuple[str, str]:
    """Let a model's image lie in another repository, which makes a second revision; that and the image."""
    repository = f"{live.cluster.registry}/elsewhere/{model}"
    live.patch("aimodel", model, {"spec": {"image": {"repository": repository}}})
    return repository, live.wait_ready(model)["status"]["active"]["image"]


def test_status_is_what_kubectl_shows(live: Live, shared: str) -> None:
    live.kubectl("wait", "--for=condition=Ready", f"aimodel/{shared}", "--timeout=30s")
    header, row = live.kubectl("get", "aimodel", "shared").splitlines()
    assert header.split() == ["NAME", "READY", "AVAILABLE", "REASON", "URL", "REPLICAS", "AGE"]
    assert row.split()[:4] == ["shared", "True", "True", "Serving"]
    explained = live.kubectl("explain", "aimodel.spec")
    assert "Where the finished model is fetched from." in " ".join(explained.split())
    table = json.loads(live.kubectl("get", "aimodel", "shared", "--output", "json"))
    assert table["status"]["url"] == f"grpc://shared.{live.namespace}.svc:8001"
