"""Calls of the Open Inference Protocol with numpy arrays, for tests and benches, by the generated stubs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from aimodel_operator.cli.oip import inference_pb2 as pb
from aimodel_operator.cli.oip import inference_pb2_grpc as pb_grpc

Array = NDArray[Any]

DATATYPES = {
    "float32": "FP32",
    "float64": "FP64",
    "float16": "FP16",
    "int64": "INT64",
    "int32": "INT32",
    "uint8": "UINT8",
    "bool": "BOOL",
    "object": "BYTES",
}
_CONTENTS = {"FP32": "fp32_contents", "INT64": "int64_contents", "BOOL": "bool_contents", "BYTES": "bytes_contents"}
_DTYPES = {datatype: np.dtype(name) for name, datatype in DATATYPES.items()}
# Retries hide failures that a test is about; a pool of its own makes a channel a connection.
OPTIONS = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))


@contextmanager
def stub(target: str) -> Iterator[Any]:
    """A stub over a channel of its own."""
    with grpc.insecure_channel(target, options=OPTIONS) as channel:
        yield pb_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated


def request(
    inputs: Mapping[str, Array], model: str = "m", *, typed: bool = False, outputs: Sequence[str] = ()
) -> pb.ModelInferRequest:
    """A request with these inputs, raw or typed."""
    message = pb.ModelInferRequest(model_name=model, id="7")
    for name, values in inputs.items():
        datatype = DATATYPES[str(values.dtype)]
        described = message.inputs.add(name=name, datatype=datatype, shape=values.shape)
        if typed:
            getattr(described.contents, _CONTENTS[datatype]).extend(values.ravel().tolist())
        else:
            message.raw_input_contents.append(_raw(values))
    for name in outputs:
        message.outputs.add(name=name)
    return message


def arrays(answer: Any) -> dict[str, Array]:
    """The outputs of an answer, raw or typed."""
    found = {}
    for index, output in enumerate(answer.outputs):
        if answer.raw_output_contents:
            found[output.name] = _array(answer.raw_output_contents[index], output.datatype, list(output.shape))
        else:
            values = list(getattr(output.contents, _CONTENTS[output.datatype]))
            found[output.name] = np.array(values, _DTYPES[output.datatype]).reshape(output.shape)
    return found


def infer(stub: Any, inputs: Mapping[str, Array], timeout: float = 10, **more: Any) -> dict[str, Array]:
    """One prediction."""
    return arrays(stub.ModelInfer(request(inputs, **more), timeout=timeout))


def refused(stub: Any, message: Any, timeout: float = 10) -> Any:
    """The error that a prediction ends with."""
    try:
        answer = stub.ModelInfer(message, timeout=timeout)
    except grpc.RpcError as exc:
        return exc
    raise AssertionError(f"answered: {answer}")


def trailers(error: Any) -> dict[str, str]:
    """The metadata that an error came with."""
    return dict(error.trailing_metadata() or ())


def _raw(values: Array) -> bytes:
    if values.dtype != np.dtype(object):
        return values.tobytes()
    return b"".join(len(text).to_bytes(4, "little") + text for text in values.ravel().tolist())


def _array(raw: bytes, datatype: str, shape: Sequence[int]) -> Array:
    if datatype != "BYTES":
        return np.frombuffer(raw, _DTYPES[datatype]).reshape(shape)
    texts, rest = [], raw
    while rest:
        length = int.from_bytes(rest[:4], "little")
        texts.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    return np.array(texts, object).reshape(shape)
