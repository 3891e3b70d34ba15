"""The command line itself: verbs, exit codes, where messages go, and how fast it starts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import aimodel_operator
from aimodel_operator.cli import main, predict
from aimodel_operator.cli.errors import UsageError
from aimodel_operator.cli.image import Scale

SLOW = ("grpc", "kubernetes", "numpy", "PIL", "pydantic", "yaml", "google.protobuf")


def test_help_imports_nothing_that_is_slow() -> None:
    code = (
        "import sys\n"
        "from aimodel_operator.cli import main\n"
        "main.build_parser('aimodel').format_help()\n"
        f"print([name for name in {SLOW!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main([verb, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "--output" in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_no_verb_prints_the_help_and_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: aimodel" in captured.err


@pytest.mark.parametrize("arguments", [["fly"], ["status"], ["lint"], ["version", "--output", "xml"]])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error", "next_step"),
    [
        (["lint", "/no/such"], "/no/such cannot be read: No such file or directory", "correct the path"),
        (["status", "", "-n", "x"], 'NAME is "", which names no AIModel', "give the name of one: kubectl get aimodels"),
        (["status", ".."], 'NAME is "..", which names no AIModel', "give the name of one: kubectl get aimodels"),
        (["predict", "", "/dev/null"], 'NAME is "", which names no AIModel', "give the name of one: kubectl get"),
        (["status", "x", "--kubeconfig", "/no/such"], "the kubeconfig cannot be used", "name one with --kubeconfig"),
        (["predict", "x", "/no/such"], "/no/such cannot be read", "correct the path"),
        (["predict", "x", "/dev/null", "--address", "here"], "--address here is no HOST:PORT", "write it like"),
        (["predict", "x", "/dev/null", "--scale", "1"], "--scale 1 is no LOW:HIGH", "write it like 0:1"),
    ],
)
def test_an_error_goes_to_stderr_with_a_next_step(
    arguments: list[str], error: str, next_step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert first.startswith(f"error: {error}")
    assert second.startswith(f" next: {next_step}")


def test_version_names_ours_and_the_apis(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["version"]) == 0
    assert capsys.readouterr().out.startswith(f"aimodel {aimodel_operator.__version__} (aimodel.dev/v1alpha1, Python 3")
    assert main.main(["version", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["version"], document["apiVersion"]) == (aimodel_operator.__version__, "aimodel.dev/v1alpha1")


def test_kubectl_is_named_when_it_called() -> None:
    assert main.program_name("/usr/bin/kubectl-aimodel") == "kubectl aimodel"
    assert main.program_name("/usr/bin/aimodel") == "aimodel"
    assert "kubectl aimodel status digits" in main.build_parser("kubectl aimodel").format_help()


def test_a_reader_that_goes_away_is_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text("kind: AIModel\n---\n" * 5000)
    code = "import sys; from aimodel_operator.cli.main import main; sys.exit(main())"
    reader = subprocess.Popen(
        [sys.executable, "-c", code, "lint", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert reader.stdout is not None
    assert reader.stderr is not None
    reader.stdout.readline()
    reader.stdout.close()
    assert reader.stderr.read() == b""
    reader.stderr.close()
    assert reader.wait() == 1


@pytest.mark.parametrize(
    ("text", "scale"), [("0:1", Scale(0, 1)), ("-1:1", Scale(-1, 1)), ("1:0", Scale(1, 0)), ("0:16", Scale(0, 16))]
)
def test_scales_are_read(text: str, scale: Scale) -> None:
    assert predict.parse_scale(text) == scale


@pytest.mark.parametrize("text", ["", "1", "a:b", "1:1", "0:inf", "nan:1", "1:2:3"])
def test_scales_without_a_range_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--scale"):
        predict.parse_scale(text)


@pytest.mark.parametrize("address", ["127.0.0.1:8001", "digits.demo.svc:8001", "[::1]:8001"])
def test_addresses_are_taken(address: str) -> None:
    assert predict.direct(address).address == address


@pytest.mark.parametrize("address", ["127.0.0.1", "grpc://digits:8001", "digits:port", "a b:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is no HOST:PORT"):
        predict.direct(address)
