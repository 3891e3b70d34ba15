"""How long the serving program takes from its start to ready and to its first answer, and the memory it has then.

A new process for each run, with the 100-64-64-10 classifier. Ready means that `/readyz` says 200, asked every
millisecond; the first answer is that of a gRPC channel opened at the moment of ready.
"""

import http.client
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import program
from hack import record
from hack.ports import LOOPBACK

RUNS = 20
POLL_S = 0.001
LIMIT_S = 20.0
GOAL_READY_S = 0.1
GOAL_MIB = 60


def measure() -> dict[str, Any]:
    """Returns the figures and prints them beside the goals."""
    server = program.program()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program.lay_out(folder)
        runs = [_run(server, folder) for _ in range(RUNS)]
    ready, first, memory = (record.spread(list(values)) for values in zip(*runs, strict=True))
    rows = [
        ("start → ready", _shown(ready, "s"), f"goal ≤ {GOAL_READY_S} s"),
        ("start → first answer", _shown(first, "s"), ""),
        ("memory after it", _shown(memory, "MiB"), f"goal ≤ {GOAL_MIB} MiB"),
    ]
    print(record.table(f"Start of the server, median of {RUNS} (least - most)", rows))
    return {
        "startToReadySeconds": ready,
        "startToFirstAnswerSeconds": first,
        "residentMebibytes": memory,
        "goals": {"startToReadySeconds": GOAL_READY_S, "residentMebibytes": GOAL_MIB},
    }


def _run(server: Path, folder: Path) -> tuple[float, float, float]:
    port, admin_port = program.ports()
    arguments = program.command(server, folder, port, admin_port)
    begun = time.monotonic()
    with program.started(arguments) as process:
        running = program.Running("aimodel-serving", process, port, admin_port)
        _await_ready(process, admin_port, begun + LIMIT_S)
        ready_s = time.monotonic() - begun
        running.ask()
        return ready_s, time.monotonic() - begun, running.resident_mib()


def _await_ready(process: subprocess.Popen[bytes], admin_port: int, deadline: float) -> None:
    while time.monotonic() < deadline and process.poll() is None:
        if _is_ready(admin_port):
            return
        time.sleep(POLL_S)
    raise RuntimeError(f"{process.args!r} is not ready; exit code {process.poll()}")


def _is_ready(admin_port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, admin_port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _shown(spread: dict[str, float], unit: str) -> str:
    return f"{spread['median']:.3g} {unit} ({spread['min']:.3g} - {spread['max']:.3g})"
