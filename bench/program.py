"""The serving program as benches start it: on known ports, with the 100-64-64-10 classifier that all of them ask.

`serving` and `start` use it. The program is the one that the image carries, made anew when its sources changed;
AIMODEL_SERVING_BINARY names another one, which is taken as it is.
"""

import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hack import oip, onnx_models
from hack.images.__main__ import build_programs
from hack.ports import LOOPBACK, free_ports
from hack.serving_program import OVERRIDE, binary, library

ROW = np.random.default_rng(7).random((1, 100), np.float32)
CLASSES = 10


@dataclass(frozen=True, slots=True)
class Running:
    """A server under measurement; `admin_port` is None for one that has none."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    admin_port: int | None = None

    def cpu_s(self) -> float:
        """CPU time of the process so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (kibibytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
        return int(kibibytes) / 1024

    def ask(self) -> None:
        """One prediction over a channel of its own; raises unless it is one."""
        with oip.stub(f"{LOOPBACK}:{self.port}") as stub:
            (answer,) = oip.infer(stub, {"x": ROW}).values()
        if answer.shape != (1, CLASSES) or abs(float(answer.sum()) - 1.0) > 1e-3:
            raise RuntimeError(f"{self.name} does not answer with probabilities: {answer}")

    def answered(self) -> int | None:
        """How many calls it says to have answered with OK; None when it does not count."""
        if self.admin_port is None:
            return None
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.admin_port}/metrics", timeout=10) as response:
            text = response.read().decode()
        counts = re.findall(r'^aimodel_serving_requests_total\{[^}]*code="OK"[^}]*\} (\S+)$', text, re.MULTILINE)
        return round(sum(map(float, counts)))


def program() -> Path:
    """The server to measure."""
    if OVERRIDE not in os.environ:
        build_programs()
    return binary()


def lay_out(folder: Path) -> Path:
    """Write the classifier below `folder`; returns its file."""
    return onnx_models.write(onnx_models.mlp(), folder / "models")


def command(server: Path, folder: Path, port: int, admin_port: int) -> list[str]:
    """How the server is started on what `lay_out` wrote."""
    ports = [f"--bind={LOOPBACK}", f"--grpc-port={port}", f"--admin-port={admin_port}", "--health-port=0"]
    files = [f"--ort-library={library()}", f"--termination-log={folder}/end"]
    return [str(server), str(folder / "models"), *ports, *files]


@contextmanager
def started(arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output nobody reads; killed at the end."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ports() -> tuple[int, int]:
    """A port for gRPC and one for the metrics."""
    port, admin_port = free_ports(2)
    return port, admin_port
