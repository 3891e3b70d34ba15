"""`aimodel lint`: every problem with its line, and nothing that is none."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from aimodel_operator.cli import main
from aimodel_operator.cli.lint import Report, draw, lint
from aimodel_operator.cli.terminal import Terminal

TABLE = yaml.safe_load((Path(__file__).parents[1] / "apiserver/refused_specs.yaml").read_text(encoding="utf-8"))

GOOD = """\
apiVersion: aimodel.dev/v1alpha1
kind: AIModel
metadata:
  name: digits
spec:
  source:
    uri: https://models.example.com/digits/3/model.onnx
"""


def found(text: str) -> list[tuple[int, str, str, str]]:
    report = lint([("model.yaml", text.encode())])
    return [(problem.line, problem.field, problem.message, problem.remedy) for problem in report.problems]


def test_a_good_file_is_clean() -> None:
    assert lint([("model.yaml", GOOD.encode())]) == Report(1, 1, 0, ())


@pytest.mark.parametrize("case", TABLE["refused"], ids=lambda case: case["case"])
def test_everything_that_the_api_server_refuses_is_found(case: dict[str, Any]) -> None:
    model = yaml.safe_load(GOOD)
    model["spec"] = case.get("spec", model["spec"])
    model["metadata"]["name"] = case.get("name", "digits")
    report = lint([("model.yaml", yaml.safe_dump(model).encode())])
    assert report.problems
    assert all(problem.message and problem.remedy and problem.line > 0 for problem in report.problems)


def test_problems_of_values_stand_at_their_line_with_the_words_of_the_api() -> None:
    text = GOOD + '  serving:\n    batching: {maxRows: "64"}\n    env:\n    - name: AIMODEL_X\n      value: a\n'
    lines = [(line, field) for line, field, _, _ in found(text)]
    assert lines == [(9, "spec.serving.batching.maxRows"), (11, "spec.serving.env[0].name")]
    assert found(text)[1][2:] == (
        "must not begin with AIMODEL_, LD_ or PYTHON, which the serving pod keeps for itself",
        "use another name",
    )


@pytest.mark.parametrize(
    ("line", "field", "remedy"),
    [
        ("  sorce: {}", "spec.sorce", "did you mean source?"),
        ("  maxrows: 3", "spec.maxrows", "remove it; spec has image, "),
        ("  maxRows: 3", "spec.maxRows", "move it to spec.serving.batching.maxRows"),
        ("  serving: {maxInflight: 3}", "spec.serving.maxInflight", "did you mean maxInFlight?"),
        ("  serving: {env: [{nam: A, value: b, name: C}]}", "spec.serving.env[0].nam", "did you mean name?"),
    ],
)
def test_an_unknown_field_is_answered_with_what_was_probably_meant(line: str, field: str, remedy: str) -> None:
    ((number, where, message, advice),) = found(f"{GOOD}{line}\n")
    assert (number, where, message) == (8, field, "is not a field of this version")
    assert advice.startswith(remedy)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            GOOD.replace("v1alpha1", "v1"),
            (1, "apiVersion", "is 'aimodel.dev/v1'", "write apiVersion: aimodel.dev/v1alpha1"),
        ),
        (GOOD.replace("kind: AIModel", "kind: AiModel"), (2, "kind", "is 'AiModel'", "write kind: AIModel")),
        (GOOD.replace("metadata:\n  name: digits\n", ""), (1, "metadata", "is required", "add metadata with a name")),
        (GOOD.replace("  name: digits", "  labels: {}"), (3, "metadata.name", "is required", "add it")),
        (
            GOOD.replace("  source:", "  sauce: 1\nspek:"),
            (7, "spek", "is not a field of an AIModel", "did you mean spec?"),
        ),
        (GOOD[: GOOD.index("spec:")], (1, "spec", "is required", "add spec with a source")),
        (GOOD[: GOOD.index("  source:")], (5, "spec", "is required", "add spec with a source")),
        (GOOD.replace("    uri", "    uri: null\n    urj"), (7, "spec.source.uri", "is required", "add it")),
    ],
    ids=["version", "kind", "no metadata", "no name", "top level", "no spec", "empty spec", "null"],
)
def test_what_stands_around_a_spec_is_checked(text: str, problem: tuple[int, str, str, str]) -> None:
    assert problem in found(text)


def test_a_name_that_makes_no_service_is_refused() -> None:
    ((line, field, message, _),) = found(GOOD.replace("name: digits", "name: Digits_3"))
    assert (line, field) == (4, "metadata.name")
    assert message.startswith("must have at most 40 characters")


def test_a_key_given_twice_is_found_where_it_stands_again() -> None:
    assert found(GOOD + "  replicas: 1\n  replicas: 2\n") == [
        (9, "replicas", "stands here a second time", "keep one of the two")
    ]


def test_text_that_is_no_yaml_is_found_after_the_documents_before_it() -> None:
    broken = found(GOOD.replace("digits\n", "Digits\n") + "---\na: [1,\n")
    assert [line for line, _, _, _ in broken] == [4, 10]
    assert broken[1][2].startswith("is not YAML: ")


def test_a_date_stays_text_as_in_kubernetes() -> None:
    assert found(GOOD + "  serving: {env: [{name: DAY, value: 2026-11-23}]}\n") == []


def test_null_is_a_field_left_out() -> None:
    assert found(GOOD + "  serving: null\n  image: {repository: null}\n") == []


def test_an_anchor_that_holds_itself_is_a_problem_and_no_endless_loop() -> None:
    ((line, _, message, _),) = found(GOOD + "  serving: &a\n    env: [*a]\n")
    assert (line, message) == (8, "contains itself")


@pytest.mark.parametrize(
    "text",
    ["[" * 3000, GOOD + "  x: " + "[" * 3000 + "]" * 3000, "{a: " * 3000],
    ids=["never closed", "in a spec", "mappings"],
)
def test_a_file_that_is_nested_too_deeply_is_refused(
    text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(text)
    assert main.main(["lint", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"error: {path} is nested too deeply\n next: remove brackets or levels of indentation\n"


def test_a_fifo_is_refused_and_not_waited_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "pipe.yaml"
    os.mkfifo(path)
    assert main.main(["lint", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"error: {path} is no regular file\n next: give a YAML file, or - to read stdin\n"


def test_other_kinds_are_passed_over_and_lists_are_opened() -> None:
    item = "\n".join("  " + line for line in GOOD.replace("digits\n", "Digits\n").splitlines())
    item = item.replace("  api", "- api", 1)
    text = f"apiVersion: v1\nkind: ConfigMap\n---\n---\napiVersion: v1\nkind: List\nitems:\n{item}\n- 3\n"
    report = lint([("a.yaml", text.encode())])
    assert (report.models, report.skipped) == (1, 2)
    assert [(problem.line, problem.field) for problem in report.problems] == [(11, "metadata.name")]


def test_problems_come_file_by_file_in_the_order_of_lines() -> None:
    bad = (GOOD.replace("name: digits", "name: Digits") + "  replicas: 1\n  replicas: 0\n").encode()
    report = lint([("b.yaml", bad), ("a.yaml", bad)])
    assert [(problem.file, problem.line) for problem in report.problems] == [
        ("b.yaml", 4), ("b.yaml", 9), ("b.yaml", 9), ("a.yaml", 4), ("a.yaml", 9), ("a.yaml", 9),
    ]  # fmt: skip


def test_the_report_as_a_person_sees_it() -> None:
    report = lint([("model.yaml", (GOOD + "  maxRows: 3\n").encode())])
    assert draw(report, Terminal()) == [
        "model.yaml:8: spec.maxRows is not a field of this version",
        "    move it to spec.serving.batching.maxRows",
        "1 problem: 1 AIModel in 1 file",
    ]


def test_a_file_without_any_aimodel_is_not_called_good(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("kind: ConfigMap\n")
    assert main.main(["lint", str(path)]) == 1
    assert capsys.readouterr().out == "nothing was checked: 0 AIModels in 1 file, 1 object of other kinds passed over\n"


def test_json_has_every_problem(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(GOOD + "  maxRows: 3\n")
    assert main.main(["lint", str(path), "--output", "json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "files": 1,
        "models": 1,
        "skipped": 0,
        "problems": [
            {
                "file": str(path),
                "line": 8,
                "field": "spec.maxRows",
                "message": "is not a field of this version",
                "remedy": "move it to spec.serving.batching.maxRows",
            }
        ],
        "clean": False,
    }
