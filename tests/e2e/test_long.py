"""`make test-long`: minutes of load, rollouts and faults on the real cluster; the figures go to bench/results.

Each test drives an open-loop client without a retry policy and counts every call. What is killed is started anew by the
cluster (pods) or by the local cluster's own repair (its daemons); nothing outside it is touched.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from calls import OpenLoop, ask, failures, phases
from hack import record
from hack.cluster.local import LocalCluster
from live import FileHost, Live, Obj, a_live_model
from waiting import eventually

pytestmark = pytest.mark.long

RATE = 50.0
SOAK_S = 300.0
KILLS = 8
LARGE_MEGABYTES = 600
SYSTEM = ("-n", "aimodel-system")
OPERATOR = ("-l", "app.kubernetes.io/name=aimodel-operator")
_WRITE_LARGE = """
import numpy as np, sys
from onnx import TensorProto, helper, numpy_helper
count = int(sys.argv[1]) * 250_000
rows = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
answers = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])
large = numpy_helper.from_array(np.full((count,), 9.0, np.float32), "large")
index = numpy_helper.from_array(np.array([count - 1], np.int64), "last")
zeros = numpy_helper.from_array(np.zeros((4, 1), np.float32), "w")
nodes = [helper.make_node("Gather", ["large", "last"], ["b"]), helper.make_node("Gemm", ["x", "w", "b"], ["y"])]
graph = helper.make_graph(nodes, "large", [rows], [answers], [large, index, zeros])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
open("/srv/large.onnx", "wb").write(model.SerializeToString())
"""


@pytest.fixture(scope="module")
def figures() -> Iterator[dict[str, Any]]:
    """What the tests of this module measured; written when they are done."""
    found: dict[str, Any] = {}
    yield found
    record.write("long", found)


@pytest.fixture
def soak(live: Live, files: FileHost) -> list[Obj]:
    """The model `soak` with two ready pods of the first of these sources."""
    sources = [files.put_constant(f"soak{value}.onnx", value) for value in (1.0, 2.0)]
    live.apply(a_live_model("soak", sources[0], replicas=2))
    live.wait_ready("soak")
    eventually(lambda: live.pod_count("soak") == 2, 60, lambda: "old pods are still there")
    return sources


async def under_load(
    live: Live, name: str, disturb: Callable[[], Awaitable[None]], expected: list[float] | None = None
) -> dict[str, Any]:
    """Disturb while a client calls; no call may fail, and answers change only as expected."""
    client = OpenLoop(live.address(name), name, RATE)
    await client.start()
    await disturb()
    calls = await client.stop()
    assert not failures(calls), failures(calls)
    if expected is not None:
        assert phases(calls) == expected
    return {"calls": len(calls), "failed": 0, "seconds": round(calls[-1].sent_s, 1)}


async def roll_to(live: Live, name: str, source: dict[str, Any]) -> None:
    """Change the model and wait until only the new pods are left."""
    await asyncio.to_thread(live.patch, "aimodel", name, {"spec": {"source": source}})
    await asyncio.to_thread(live.wait_ready, name)
    await asyncio.to_thread(eventually, lambda: live.pod_count(name) == 2, 60, lambda: "old pods are still there")


async def test_rollouts_for_minutes_under_load(live: Live, soak: list[Obj], figures: dict[str, Any]) -> None:
    rollouts = 0

    async def disturb() -> None:
        nonlocal rollouts
        deadline = time.monotonic() + SOAK_S
        while time.monotonic() < deadline:
            rollouts += 1
            await roll_to(live, "soak", soak[rollouts % 2])

    result = await under_load(live, "soak", disturb)
    figures["rollouts under load"] = {**result, "rollouts": rollouts}
    assert rollouts >= 5


async def test_operator_killed_during_rollouts(live: Live, soak: list[Obj], figures: dict[str, Any]) -> None:
    moments = random.Random(7)

    async def disturb() -> None:
        for round_number in range(1, KILLS + 1):
            source = soak[round_number % 2]
            await asyncio.to_thread(live.patch, "aimodel", "soak", {"spec": {"source": source}})
            await asyncio.sleep(moments.uniform(0.0, 4.0))
            kill = ["delete", "pod", *OPERATOR, "--grace-period=0", "--force"]
            await asyncio.to_thread(live.cluster.kubectl, *SYSTEM, *kill)
            await asyncio.to_thread(live.wait_ready, "soak", 120)
            await asyncio.to_thread(eventually, lambda: live.pod_count("soak") == 2, 60, lambda: "old pods remain")

    figures["operator killed"] = {**await under_load(live, "soak", disturb), "kills": KILLS}
    uid = live.model("soak")["metadata"]["uid"]
    deployments = [child for child in live.owned_by(uid) if child.startswith("Deployment/")]
    assert len(deployments) == 1


@pytest.mark.parametrize("daemon", ["kube-apiserver", "etcd", "kube-controller-manager", "registry"])
async def test_daemon_killed_under_load(live: Live, soak: list[Obj], figures: dict[str, Any], daemon: str) -> None:
    local = LocalCluster()

    async def disturb() -> None:
        pid = local.status().components[daemon]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(3)
        await asyncio.to_thread(local.up)
        await asyncio.sleep(3)

    figures[f"{daemon} killed"] = await under_load(live, "soak", disturb)
    live.wait_ready("soak", limit_s=120)


def test_large_model_is_built_and_served(live: Live, files: FileHost, figures: dict[str, Any]) -> None:
    files.live.kubectl("exec", "files", "--", "python3", "-c", _WRITE_LARGE, str(LARGE_MEGABYTES))
    resources = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "3Gi"}}
    model = a_live_model("large", {"uri": files.uri("large.onnx")})
    model["spec"]["serving"]["resources"] = resources
    started = time.monotonic()
    live.apply(model)
    live.wait_ready("large", limit_s=300)
    figures["large model"] = {"megabytes": LARGE_MEGABYTES, "applyToReadySeconds": round(time.monotonic() - started, 1)}
    assert ask(live.address("large"), "large") == 9.0
