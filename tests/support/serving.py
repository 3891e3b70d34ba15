"""The serving program as a process: started on free ports, watched by its log, called over gRPC and HTTP.

The program is the one that the image carries (`hack.serving_program`); a test without it fails.
"""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hack.serving_program import binary, library

START_LIMIT_S = 30.0
EXIT_LIMIT_S = 60.0
Line = dict[str, Any]


@dataclass
class Serving:
    """A running server."""

    process: subprocess.Popen[str]
    termination_log: Path
    lines: list[Line] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _ended: bool = False

    def address(self, carries: str) -> str:
        """HOST:PORT of the port that carries `inference`, `health` or `admin`."""
        line = self.wait_for(lambda line: line["message"] == "listening" and line.get("carries") == carries)
        return str(line["address"])

    @property
    def target(self) -> str:
        """HOST:PORT of inference."""
        return self.address("inference")

    def wait_ready(self) -> None:
        """Wait until the model is served."""
        self.wait_for(lambda line: line["message"] == "ready")

    def wait_for(self, wanted: Callable[[Line], bool], limit_s: float = START_LIMIT_S) -> Line:
        """Wait for a line of the log; fails with the whole log when the program ended without it."""
        deadline = time.monotonic() + limit_s
        with self._changed:
            while True:
                for line in self.lines:
                    if wanted(line):
                        return line
                left = deadline - time.monotonic()
                assert not self._ended, f"the program ended: {self.lines}"
                assert left > 0, f"not in the log: {self.lines}"
                self._changed.wait(left)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body from the admin port."""
        request = urllib.request.Request(f"http://{self.address('admin')}{path}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the scheme is ours
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read().decode()

    def metric(self, sample: str) -> float:
        """The value of a sample, named as in a scrape without the prefix: `requests_total{…}`."""
        for line in self.get("/metrics")[1].splitlines():
            name, _, value = line.rpartition(" ")
            if name == f"aimodel_serving_{sample}":
                return float(value)
        raise KeyError(sample)

    def terminate(self) -> None:
        """SIGTERM, as the kubelet sends it."""
        self.process.send_signal(signal.SIGTERM)

    def wait_exit(self, limit_s: float = EXIT_LIMIT_S) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(limit_s)

    def reason(self) -> tuple[str, str]:
        """Reason and message of the termination log."""
        written = json.loads(self.termination_log.read_text())
        return written["reason"], written["message"]

    def read_log(self) -> None:
        """Follow the program's log until it ends; runs on a thread of its own."""
        assert self.process.stderr is not None
        for text in self.process.stderr:
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                line = {"message": text}
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


@contextmanager
def started(models: Path, *flags: str, **environment: str) -> Iterator[Serving]:
    """Start the program on `models`; it is killed at the end if it still runs."""
    termination_log = models.parent / f"{models.name}-termination-log"
    ports = ("--bind=127.0.0.1", "--grpc-port=0", "--admin-port=0", "--health-port=0")
    defaults = (f"--ort-library={library()}", f"--termination-log={termination_log}", "--drain-seconds=0")
    process = subprocess.Popen(
        [str(binary()), str(models), *ports, *defaults, *flags],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    serving = Serving(process, termination_log)
    reader = threading.Thread(target=serving.read_log, daemon=True)
    reader.start()
    try:
        yield serving
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        assert process.stderr is not None
        process.stderr.close()


@contextmanager
def serving(models: Path, *flags: str, **environment: str) -> Iterator[Serving]:
    """As `started`, and the model is ready."""
    with started(models, *flags, **environment) as server:
        server.wait_ready()
        yield server


def echo_model(folder: Path, **description: Any) -> Path:
    """Lay out an echo model of one row of UINT8 per request; returns the folder of models."""
    inputs = [{"name": "x", "datatype": "UINT8", "shape": [-1, 4]}]
    file = folder / "models/m/1/echo.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"inputs": inputs, **description}))
    return folder / "models"
