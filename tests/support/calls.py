"""Real gRPC calls at a fixed rate, each one recorded: what "0 failed calls" is judged by.

Open loop: a call is sent when its time has come, whether or not earlier ones were answered. The client has no retry
policy, so a call that a server took and failed is seen as failed. What stays on is gRPC's transparent retry, of calls
that never left the client or that the server says it never took: without it a call that meets the GOAWAY of a draining
pod inside the client itself fails, and no server can help that (grpc/proposal A6). Used by the e2e tests.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import numpy as np

from aimodel_operator.cli.oip import inference_pb2 as pb
from aimodel_operator.cli.oip import inference_pb2_grpc as oip_grpc
from hack import oip

NO_RETRY_POLICY = (("grpc.service_config_disable_resolution", 1),)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it was sent (seconds since the start), its status, and the answer's first number."""

    sent_s: float
    code: str
    value: float | None = None
    details: str = ""


class OpenLoop:
    """Sends calls from `start` to `stop` over one channel."""

    def __init__(self, target: str, model: str, rate: float, features: int = 4, policy: str = "pick_first") -> None:
        self._target = target
        self._interval_s = 1.0 / rate
        self._options = (*NO_RETRY_POLICY, ("grpc.lb_policy_name", policy))
        self._request = one_row(model, features)
        self._calls: list[Call] = []
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> Sequence[Call]:
        """Stop sending, wait for the answers under way, return every call in the order of sending."""
        self._stopping.set()
        assert self._task is not None
        await self._task
        return sorted(self._calls, key=lambda call: call.sent_s)

    async def _run(self) -> None:
        async with grpc.aio.insecure_channel(self._target, options=self._options) as channel:
            stub = oip_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
            started = time.monotonic()
            under_way = set()
            due_s = 0.0
            while not self._stopping.is_set():
                call = asyncio.create_task(self._call(stub, time.monotonic() - started))
                under_way.add(call)
                call.add_done_callback(under_way.discard)
                due_s += self._interval_s
                await asyncio.sleep(max(0.0, started + due_s - time.monotonic()))
            await asyncio.gather(*under_way)

    async def _call(self, stub: oip_grpc.GRPCInferenceServiceStub, sent_s: float) -> None:
        try:
            answer = await stub.ModelInfer(self._request, timeout=10)
        except grpc.aio.AioRpcError as exc:
            self._calls.append(Call(sent_s, exc.code().name, details=exc.details() or ""))
        else:
            self._calls.append(Call(sent_s, "OK", first_number(answer)))


def ask(target: str, model: str, features: int = 4) -> float:
    """One call over a channel of its own; the answer's first number."""
    with oip.stub(target) as stub:
        return first_number(stub.ModelInfer(one_row(model, features), timeout=10))


def one_row(model: str, features: int = 4) -> pb.ModelInferRequest:
    """A request with one row of zeros for the input `x`."""
    return oip.request({"x": np.zeros((1, features), np.float32)}, model)


def first_number(answer: pb.ModelInferResponse) -> float:
    """The first number of the first output."""
    return float(next(iter(oip.arrays(answer).values())).flat[0])


def failures(calls: Sequence[Call]) -> Counter[str]:
    """Every status but OK, with its count and words."""
    return Counter(f"{call.code}: {call.details}" for call in calls if call.code != "OK")


def phases(calls: Sequence[Call]) -> list[float]:
    """The answers in the order of sending, runs of the same answer as one."""
    values = [call.value for call in calls if call.value is not None]
    return [value for index, value in enumerate(values) if index == 0 or values[index - 1] != value]
