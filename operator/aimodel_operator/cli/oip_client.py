"""Speaks the Open Inference Protocol to one serving pod: a model's signature and one prediction.

`predict` opens a `Client` on an address; `place` is what messages call it. The transport boundary of the CLI:
every status of gRPC becomes a `CliError` here that says what to do. Retries nothing, so that the latency shown
is that of one call.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np

from aimodel_operator.cli.errors import CliError
from aimodel_operator.cli.oip import inference_pb2, inference_pb2_grpc
from aimodel_operator.cli.tensors import Array, Tensor, TensorSpec, decode, dtype_of, encode

REVISION_METADATA = "x-aimodel-revision"
METADATA_TIMEOUT_S = 10.0

# NB: gRPC would send even loopback connections through the proxy of http_proxy.
_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)

_TYPED_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}

_ADVICE = {
    grpc.StatusCode.INVALID_ARGUMENT: "compare the file with the inputs that the model wants",
    grpc.StatusCode.NOT_FOUND: "give the name under which that server serves the model",
    grpc.StatusCode.UNIMPLEMENTED: "give the address of a server that speaks the Open Inference Protocol v2",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "send fewer rows, or try again when the server has room",
    grpc.StatusCode.DEADLINE_EXCEEDED: "send fewer rows, or raise spec.serving.timeoutSeconds",
    grpc.StatusCode.UNAVAILABLE: "check that a server listens there; in a cluster: aimodel status NAME",
}
_LOADING = "being loaded"
_LOADING_ADVICE = "try again in a few seconds"
_OTHER_ADVICE = "read the log of the serving pod: kubectl logs -l aimodel.dev/model=NAME"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model wants and gives."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One prediction; `revision` is empty when the server does not tell."""

    version: str
    revision: str
    outputs: tuple[Tensor, ...]
    latency_ms: float


class Client:
    """A channel to one address while it is entered."""

    def __init__(self, address: str, model: str, place: str) -> None:
        self._what = f'model "{model}" at {place}'
        self._model = model
        self._channel: Any = grpc.insecure_channel(address, options=_OPTIONS)
        self._stub: Any = inference_pb2_grpc.GRPCInferenceServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def signature(self) -> Signature:
        """Inputs and outputs as the model declares them; raises CliError."""
        request = inference_pb2.ModelMetadataRequest(name=self._model)
        answer, _ = self._call(self._stub.ModelMetadata, request, METADATA_TIMEOUT_S)
        return Signature(tuple(map(_spec, answer.inputs)), tuple(map(_spec, answer.outputs)))

    def infer(self, tensors: Sequence[Tensor], outputs: Sequence[str], timeout_s: float) -> Answer:
        """One prediction, timed from the call to the answer; raises CliError."""
        request = inference_pb2.ModelInferRequest(
            model_name=self._model,
            inputs=[_input(tensor) for tensor in tensors],
            outputs=[inference_pb2.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in outputs],
            raw_input_contents=[encode(tensor) for tensor in tensors],
        )
        start = time.perf_counter()
        answer, call = self._call(self._stub.ModelInfer, request, timeout_s)
        latency_ms = (time.perf_counter() - start) * 1000
        try:
            values = tuple(_output(answer, index) for index in range(len(answer.outputs)))
        except ValueError as exc:
            raise CliError(
                f"the answer of {self._what} is broken: {exc}",
                "report this with the server",
            ) from exc
        return Answer(answer.model_version, _revision(call), values, latency_ms)

    def _call(self, method: Callable[..., Any], request: Any, timeout_s: float) -> tuple[Any, Any]:
        try:
            answer, call = method.with_call(request, timeout=timeout_s)  # type: ignore[attr-defined]
        except grpc.RpcError as exc:
            code = exc.code()
            # gRPC wraps the cause of a refused connection into two sentences about addresses; the last part is news.
            details = str(exc.details()).split("Failed to connect to remote host: ")[-1]
            raise CliError(f"{self._what}: {details} ({code.name})", advice(code, details, self._model)) from exc
        return answer, call


def advice(code: grpc.StatusCode, details: str, model: str) -> str:
    """What to do about a status of gRPC; a server that says it is loading listens, and needs only time."""
    if code is grpc.StatusCode.UNAVAILABLE and _LOADING in details:
        return _LOADING_ADVICE
    return _ADVICE.get(code, _OTHER_ADVICE).replace("NAME", model)


def _spec(tensor: Any) -> TensorSpec:
    return TensorSpec(tensor.name, tensor.datatype, tuple(tensor.shape))


def _input(tensor: Tensor) -> Any:
    return inference_pb2.ModelInferRequest.InferInputTensor(
        name=tensor.name, datatype=tensor.datatype, shape=tensor.values.shape
    )


def _output(answer: Any, index: int) -> Tensor:
    """One output, whether its contents came raw or typed."""
    declared = answer.outputs[index]
    shape = tuple(declared.shape)
    if answer.raw_output_contents:
        values = decode(answer.raw_output_contents[index], declared.datatype, shape)
    else:
        values = _typed(declared, shape)
    return Tensor(declared.name, declared.datatype, values)


def _typed(declared: Any, shape: tuple[int, ...]) -> Array:
    field = _TYPED_FIELDS.get(declared.datatype)
    if field is None:
        raise ValueError(f"{declared.datatype} has no typed contents")
    items = list(getattr(declared.contents, field))
    values = np.empty(len(items), dtype=dtype_of(declared.datatype))
    values[:] = items
    return values.reshape(shape)


def _revision(call: Any) -> str:
    metadata = (*(call.initial_metadata() or ()), *(call.trailing_metadata() or ()))
    return next((str(value) for key, value in metadata if key == REVISION_METADATA), "")
