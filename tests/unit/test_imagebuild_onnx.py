"""Hostile ONNX files, wherever they hide what they want; and that the structure read is what onnx itself reads."""

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath

import onnx
import pytest
from onnx import TensorProto, helper

from aimodel_operator.imagebuild import onnx_scan, onnx_structure
from aimodel_operator.imagebuild.errors import ModelRejectedError

FLOAT_INPUT = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
FLOAT_OUTPUT = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("unused.domain", 1)]


def a_graph(nodes: list[onnx.NodeProto], weights: list[TensorProto] | None = None) -> onnx.GraphProto:
    return helper.make_graph(nodes, "g", [FLOAT_INPUT], [FLOAT_OUTPUT], weights or [])


def a_model(graph: onnx.GraphProto | None = None, **fields: object) -> onnx.ModelProto:
    training = fields.pop("training_info", None)
    graph = graph or a_graph([helper.make_node("Relu", ["x"], ["y"])])
    model = helper.make_model(graph, opset_imports=OPSETS, **fields)
    model.training_info.extend([training] if training else [])
    return model


def external(location: str, **more: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def scan(folder: Path, model: onnx.ModelProto | bytes) -> frozenset[PurePosixPath]:
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return onnx_scan.scan(path)


IN_A_GRAPH: dict[str, Callable[[TensorProto], onnx.ModelProto]] = {
    "an initializer": lambda t: a_model(a_graph([helper.make_node("Add", ["x", "w"], ["y"])], [t])),
    "a constant": lambda t: a_model(a_graph([helper.make_node("Constant", [], ["y"], value=t)])),
    "a list of tensors": lambda t: a_model(a_graph([helper.make_node("Relu", ["x"], ["y"], many=[t, t])])),
    "a sub-graph": lambda t: a_model(
        a_graph([helper.make_node("If", ["x"], ["y"], then_branch=a_graph([], [t]), else_branch=a_graph([]))])
    ),
    "a sparse initializer": lambda t: a_model(
        helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])],
            "g",
            [FLOAT_INPUT],
            [FLOAT_OUTPUT],
            sparse_initializer=[onnx.SparseTensorProto(values=t, indices=TensorProto(), dims=[4])],
        )
    ),
    "a function": lambda t: a_model(
        functions=[
            helper.make_function(
                "local", "f", [], ["y"], [helper.make_node("Constant", [], ["y"], value=t)], OPSETS[:1]
            )
        ]
    ),
    "a training graph": lambda t: a_model(
        training_info=onnx.TrainingInfoProto(algorithm=a_graph([], [t]), initialization=a_graph([]))
    ),
}


@pytest.mark.parametrize("hide", IN_A_GRAPH.values(), ids=IN_A_GRAPH.keys())
@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("../weights.bin", "not below the model's own folder"),
        ("a/../../weights.bin", "not below the model's own folder"),
        ("/etc/passwd", "not below the model's own folder"),
        ("..\\weights.bin", "not below the model's own folder"),
        ("", "not below the model's own folder"),
        ("missing.bin", "which is not there.*tar"),
        ("*/_ORT_MEM_ADDR_/*", "which is not there"),
        ("folder", "which is not there"),
    ],
)
def test_external_data_is_only_taken_from_a_file_in_the_folder(
    tmp_path: Path, hide: Callable[[TensorProto], onnx.ModelProto], location: str, said: str
) -> None:
    folder = tmp_path / "model"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "weights.bin").write_bytes(b"outside")

    with pytest.raises(ModelRejectedError, match=said):
        scan(folder, hide(external(location)))


@pytest.mark.parametrize("hide", IN_A_GRAPH.values(), ids=IN_A_GRAPH.keys())
def test_external_data_in_the_folder_is_found(tmp_path: Path, hide: Callable[[TensorProto], onnx.ModelProto]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(bytes(16))

    assert scan(tmp_path, hide(external("data/w.bin", offset="0", length="16"))) == {PurePosixPath("data/w.bin")}


@pytest.mark.parametrize(
    "more",
    [{"offset": "8", "length": "16"}, {"length": "-1"}, {"offset": "1e3"}, {"length": "9" * 30}, {"offset": ""}],
    ids=str,
)
def test_a_range_outside_the_file_is_refused(tmp_path: Path, more: dict[str, str]) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))

    with pytest.raises(ModelRejectedError, match=r"lies outside its external data file 'w\.bin'"):
        scan(tmp_path, IN_A_GRAPH["an initializer"](external("w.bin", **more)))


def test_a_tensor_that_names_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    tensor = external("w.bin")
    tensor.external_data.add(key="location", value="../outside")

    with pytest.raises(ModelRejectedError, match="not once"):
        scan(tmp_path, IN_A_GRAPH["an initializer"](tensor))


def test_a_location_counts_even_where_the_tensor_does_not_say_external(tmp_path: Path) -> None:
    tensor = external("../outside")
    tensor.data_location = TensorProto.DEFAULT

    with pytest.raises(ModelRejectedError, match="not below"):
        scan(tmp_path, IN_A_GRAPH["an initializer"](tensor))


@pytest.mark.parametrize(
    ("domain", "operator"),
    [
        ("my.ops", "Evil"),
        ("ai.onnx.contrib", "PyOp"),
        ("com.microsoft.extensions", "X"),
        ("com.microsoft", "EPContext"),
    ],
)
@pytest.mark.parametrize("where", ["graph", "sub-graph", "function"])
def test_an_operator_that_the_server_does_not_load_is_named(
    tmp_path: Path, domain: str, operator: str, where: str
) -> None:
    node = helper.make_node(operator, ["x"], ["y"], domain=domain)
    model = {
        "graph": lambda: a_model(a_graph([node])),
        "sub-graph": lambda: a_model(a_graph([helper.make_node("If", ["x"], ["y"], then_branch=a_graph([node]))])),
        "function": lambda: a_model(functions=[helper.make_function("local", "f", ["x"], ["y"], [node], OPSETS[:1])]),
    }[where]()

    with pytest.raises(ModelRejectedError, match=f"'{operator}' of the domain '{domain}'"):
        scan(tmp_path, model)


def test_operators_of_the_known_domains_and_of_the_models_own_functions_pass(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Scaler", ["x"], ["a"], domain="ai.onnx.ml"),
        helper.make_node("Gelu", ["a"], ["b"], domain="com.microsoft"),
        helper.make_node("f", ["b"], ["c"], domain="local"),
        helper.make_node("Relu", ["c"], ["y"], domain="ai.onnx"),
    ]
    function = helper.make_function("local", "f", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], OPSETS[:1])

    assert scan(tmp_path, a_model(a_graph(nodes), functions=[function])) == frozenset()


def test_the_structure_is_what_onnx_reads_without_the_numbers(tmp_path: Path) -> None:
    weights = [
        helper.make_tensor("raw", TensorProto.FLOAT, [1000], bytes(4000), raw=True),
        helper.make_tensor("floats", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0]),
        helper.make_tensor("ints", TensorProto.INT64, [2], [7, 8]),
        helper.make_tensor("strings", TensorProto.STRING, [1], [b"text"]),
    ]
    nodes = [helper.make_node("Relu", ["x"], ["y"], axis=-1, names=["a", "b"], ratios=[0.5], doc_string="d" * 300)]
    model = a_model(a_graph(nodes, weights), producer_name="tests")
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())

    structure = onnx_structure.read(path)

    for tensor in model.graph.initializer:
        for payload in ("raw_data", "float_data", "int64_data", "string_data"):
            tensor.ClearField(payload)
    assert structure == model


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_model_is_read_or_rejected(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    whole = IN_A_GRAPH["a sub-graph"](external("weights.bin")).SerializeToString()
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    for _ in range(25):
        damaged = bytearray(whole)
        for _ in range(dice.choice([1, 2, 8])):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        with suppress(ModelRejectedError):
            scan(tmp_path, bytes(damaged))


def test_a_location_that_is_no_text_is_refused(tmp_path: Path) -> None:
    model = IN_A_GRAPH["an initializer"](external("weights.bin")).SerializeToString()

    with pytest.raises(ModelRejectedError, match="not below"):
        scan(tmp_path, model.replace(b"weights.bin", b"weights\xffbin"))


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def nested(levels: int) -> bytes:
    """Graphs in attributes of nodes of graphs: ModelProto.graph=7, GraphProto.node=1, NodeProto.attribute=5, g=6."""
    data = b""
    for _ in range(levels):
        for field in (6, 5, 1):
            data = bytes([field << 3 | 2]) + varint(len(data)) + data
    return b"\x08\x08" + b"\x3a" + varint(len(data)) + data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x3a\xff\xff\xff\xff\x0fabc", "cut short"),
        (b"\x08" + b"\xff" * 12, "cut short"),
        (b"\x0b\x08\x01\x0c", "not an ONNX model"),
        (b"\x00\x01", "not an ONNX model"),
        (nested(40), "deeper than 64 levels"),
        (b"\x3a" + varint(20_000_000) + b"\x0a" + varint(19_999_000) + bytes(2), "cut short"),
        (b"\x12" + varint(2_000) + b"p" * 2_000, "more than 1000 bytes without its weights"),
        (b"\xa8\x46\x01" * 2_001, "more than 2000 fields"),
    ],
    ids=["length past the end", "endless varint", "groups", "field zero", "deep", "lying", "wide", "many"],
)
def test_a_message_beyond_the_bounds_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)

    with pytest.raises(ModelRejectedError, match=said):
        onnx_structure.read(path, onnx_structure.Bounds(kept_bytes=1000, fields=2000))


def test_a_file_above_two_gibibytes_is_told_about_external_data(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)

    with pytest.raises(ModelRejectedError, match=r"larger than 2 GiB.*save_as_external_data"):
        onnx_scan.scan(path)


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_no_prefix_of_a_model_is_a_model(tmp_path: Path, cut: int) -> None:
    whole = a_model().SerializeToString()
    assert len(whole) > 80

    if cut < len(whole):
        with pytest.raises(ModelRejectedError):
            scan(tmp_path, whole[:-cut])
