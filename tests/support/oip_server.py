"""A gRPC server of the Open Inference Protocol in this process, for models that are written down as functions."""

from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from aimodel_operator.cli.oip import inference_pb2 as pb
from aimodel_operator.cli.oip import inference_pb2_grpc

Tensors = list[tuple[str, str, tuple[int, ...]]]


@dataclass
class Model:
    """One model: its signature, and the answer to a request."""

    inputs: Tensors
    answer: Callable[[Any, Any], Any]
    outputs: Tensors = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)


class _Servicer(inference_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        model = self._find(request.name, context)
        return pb.ModelMetadataResponse(
            name=request.name, versions=["1"], inputs=_metadata(model.inputs), outputs=_metadata(model.outputs)
        )

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        model = self._find(request.model_name, context)
        model.requests.append(request)
        return model.answer(request, context)

    def _find(self, name: str, context: Any) -> Model:
        if name not in self._models:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {name!r} is served here")
        return self._models[name]


def _metadata(tensors: Tensors) -> list[Any]:
    kind = pb.ModelMetadataResponse.TensorMetadata
    return [kind(name=name, datatype=datatype, shape=shape) for name, datatype, shape in tensors]


@contextmanager
def serving(models: Mapping[str, Model]) -> Iterator[int]:
    """Serve the models on a port of the loopback interface, while it is entered."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Servicer(models), server)  # type: ignore[no-untyped-call]
    port: int = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()
