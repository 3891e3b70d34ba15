"""The build as the Job runs it: a process of its own, its environment, exit code and termination message."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from fileserver import FileServer, running_fileserver
from registry import RunningRegistry, a_tar, running_registry

ECHO = b'{"delayMilliseconds": 0}'
OPERATOR = Path(__file__).resolve().parents[2] / "operator"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running_fileserver() as files:
        yield files


@pytest.fixture
def reg(tmp_path: Path) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path / "registry") as started:
        yield started


def a_request(reg: RunningRegistry, uri: str, **changes: Any) -> dict[str, Any]:
    return {
        "model": "echo",
        "source": {"uri": uri, "digest": None, "format": "Auto"},
        "repository": f"{reg.address}/team/echo",
        "base": f"{reg.address}/aimodel/serving@{reg.push_base('aimodel/serving')}",
        "plainHttpRegistries": [reg.address],
        "allowedPrivateHosts": ["127.0.0.1"],
        "limits": {"maxBytes": 1_000_000, "timeoutSeconds": 60},
    } | changes


BUILD = (sys.executable, "-m", "aimodel_operator.imagebuild")


def start(
    folder: Path, request: object, command: tuple[str, ...] = BUILD, **environment: str
) -> "subprocess.Popen[str]":
    (folder / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(OPERATOR),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(folder / "tmp"),
            "AIMODEL_TERMINATION_LOG": str(folder / "termination-log"),
            "AIMODEL_BUILD_REQUEST": request if isinstance(request, str) else json.dumps(request),
        }
        | environment,
    )


def finish(process: "subprocess.Popen[str]", folder: Path) -> tuple[int, dict[str, Any], str]:
    with process:
        output, _ = process.communicate(timeout=120)
    return process.returncode, json.loads((folder / "termination-log").read_text()), output


def test_a_build_ends_with_the_image_in_the_message(reg: RunningRegistry, server: FileServer, tmp_path: Path) -> None:
    request = a_request(reg, server.put("/echo.tar?X-Sig=s3cret", a_tar({"echo.json": ECHO})))

    code, message, output = finish(start(tmp_path, request), tmp_path)

    assert code == 0, output
    _, digest = reg.get_manifest("team/echo", message["image"].split("@")[1])
    assert message == {
        "image": f"{reg.address}/team/echo@{digest}",
        "modelDigest": f"sha256:{hashlib.sha256(a_tar({'echo.json': ECHO})).hexdigest()}",
        "format": "Echo",
        "reused": False,
        "seconds": message["seconds"],
    }
    assert sorted(message["seconds"]) == ["fetch", "push", "scan"]
    assert [line.split(":")[0] for line in output.splitlines()[:-1]] == [
        "fetch",
        "fetch",
        "scan",
        "scan",
        "push",
        "push",
    ]
    assert "s3cret" not in output
    assert list((tmp_path / "tmp").iterdir()) == [], "the work folder is gone"


@pytest.mark.parametrize(
    ("path", "changes", "code", "reason", "said"),
    [
        ("/missing", {}, 1, "ModelNotFound", "HTTP 404"),
        ("/forbidden", {}, 1, "ModelAccessDenied", "HTTP 403"),
        ("/away", {}, 1, "BuildFailed", "HTTP 503"),
        ("/echo.tar", {"allowedPrivateHosts": []}, 1, "ModelAccessDenied", "allowedPrivateHosts"),
        ("/echo.tar", {"limits": {"maxBytes": 5, "timeoutSeconds": 60}}, 1, "NoSpaceLeft", "5 bytes"),
        (
            "/slow",
            {"limits": {"maxBytes": 10**7, "timeoutSeconds": 1}},
            1,
            "BuildFailed",
            "1 s; it was at the step fetch",
        ),
        ("/short", {}, 1, "BuildFailed", "ended before all of it had come"),
        ("/error", {}, 1, "ModelRejected", "JSON document"),
        ("/model.pkl", {}, 1, "ModelRejected", "pickle"),
        (
            "/echo.tar",
            {"repository": "127.0.0.1:1/team/echo", "plainHttpRegistries": ["127.0.0.1:1"]},
            1,
            "BuildFailed",
            "127.0.0.1:1 could not be reached",
        ),
        ("/echo.tar", {"plainHttpRegistries": []}, 1, "BuildFailed", "AIMODEL_PLAIN_HTTP_REGISTRIES"),
        ("/echo.tar", {"model": "../etc"}, 1, "BuildFailed", "model"),
        ("/echo.tar", {"base": "example.com/base:latest"}, 1, "BuildFailed", "base"),
    ],
)
def test_a_failure_ends_with_its_reason(
    reg: RunningRegistry,
    server: FileServer,
    tmp_path: Path,
    path: str,
    changes: dict[str, Any],
    code: int,
    reason: str,
    said: str,
) -> None:
    server.fail("/forbidden", 403)
    server.put("/error", b'{"error": {"code": 404}}')
    server.fail("/away", 503)
    server.put("/echo.tar", a_tar({"echo.json": ECHO}))
    server.stall("/slow", b"{")
    server.cut_short("/short", b"{", 100)
    server.put("/model.pkl", b"\x80\x04K\x01.")

    got_code, message, output = finish(
        start(tmp_path, a_request(reg, f"http://{server.address}{path}", **changes)), tmp_path
    )

    assert (got_code, message["reason"]) == (code, reason), output
    assert said in message["message"]
    assert len(message["message"]) <= 1024
    assert not reg.exists("/v2/team/echo/tags/list")
    assert "Traceback" not in output


def test_a_request_that_does_not_read_says_which_field_without_its_value(tmp_path: Path) -> None:
    code, message, _ = finish(start(tmp_path, '{"model": "s3cret"}'), tmp_path)

    assert (code, message["reason"]) == (1, "BuildFailed")
    assert "source: Field required" in message["message"]
    assert "s3cret" not in message["message"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "The Secret push (spec.image.pushSecretRef) does not exist or has no key .dockerconfigjson. Make it"),
        ('{"auths": "s3cret"', "The Secret push (spec.image.pushSecretRef) cannot be used. The docker configuration"),
    ],
    ids=["is missing", "does not read"],
)
def test_a_push_secret_that_cannot_be_used_is_named_before_anything_is_fetched(
    reg: RunningRegistry, server: FileServer, tmp_path: Path, content: str | None, said: str
) -> None:
    request = a_request(reg, server.put("/echo.tar", a_tar({"echo.json": ECHO})), pushSecret="push")
    # An optional Secret that does not exist is mounted as an empty folder.
    (tmp_path / "registry-login").mkdir()
    if content is not None:
        (tmp_path / "registry-login/config.json").write_text(content)

    process = start(tmp_path, request, DOCKER_CONFIG=str(tmp_path / "registry-login"))
    code, message, output = finish(process, tmp_path)

    assert (code, message["reason"]) == (1, "ParameterInvalid")
    assert message["message"].startswith(said)
    assert ".dockerconfigjson" in message["message"]
    assert "s3cret" not in output
    assert server.requests == []


def test_being_stopped_is_no_verdict_on_the_model(reg: RunningRegistry, server: FileServer, tmp_path: Path) -> None:
    process = start(tmp_path, a_request(reg, server.stall("/slow", b"{")))
    assert process.stdout is not None
    assert process.stdout.readline().startswith("fetch: ")
    process.send_signal(signal.SIGTERM)

    code, message, _ = finish(process, tmp_path)

    assert (code, message["reason"]) == (1, "BuildFailed")
    assert "stopped at the step fetch" in message["message"]


def test_a_full_disk_is_said(reg: RunningRegistry, server: FileServer, tmp_path: Path) -> None:
    request = a_request(reg, server.put("/echo.tar", a_tar({"echo.json": ECHO, "big.txt": bytes(900_000)})))
    # A file size limit of 512 blocks stands for the disk: the write fails in the same place with EFBIG.
    limited = ("sh", "-c", 'ulimit -f 512; exec "$@"', "sh", *BUILD)

    code, message, output = finish(start(tmp_path, request, limited), tmp_path)

    assert (code, message["reason"]) == (1, "NoSpaceLeft"), output
    assert "emptyDir" in message["message"]


PEAK = """
import os, sys
from aimodel_operator.imagebuild.__main__ import main
code = main(os.environ)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


def test_memory_does_not_grow_with_the_model(reg: RunningRegistry, server: FileServer, tmp_path: Path) -> None:
    peaks = []
    for size_bytes in (1_000, 100_000_000):
        weights = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[size_bytes], raw_data=bytes(size_bytes))
        end = helper.make_tensor_value_info("y", TensorProto.UINT8, [size_bytes])
        graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [end], [weights])
        uri = server.put(f"/{size_bytes}.onnx", helper.make_model(graph).SerializeToString())
        request = a_request(reg, uri, limits={"maxBytes": 10**9, "timeoutSeconds": 60})
        code, _, output = finish(start(tmp_path, request, (sys.executable, "-c", PEAK)), tmp_path)
        assert code == 0, output
        peaks.append(int(output.splitlines()[-1]))

    assert peaks[1] - peaks[0] < 16_000, f"peaks in KiB: {peaks}"
