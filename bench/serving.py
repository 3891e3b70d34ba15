"""How fast the serving program answers, beside the least server that can: `bench/baseline`.

Both serve the same 100-64-64-10 classifier as ONNX by the same library; h2load sends one-row requests over four
connections with 4, 64 and 256 in flight. Rounds alternate between the servers, because a shared machine drifts;
the median counts. The baseline has no limits, deadlines, checks, metrics or drain: all of these together may cost at
most a tenth. CPU time per request is the figure that a busy machine disturbs least.

h2load counts HTTP status 200, which a gRPC error has too. So the server's own count of calls that ended with OK must
be the number of those sent. The baseline counts nothing; its only error is a dead engine, which stays dead, so a
prediction after each round shows that it answered all along.
"""

import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import program
from bench.program import Running
from hack import commands, oip, record
from hack.errors import HackError
from hack.paths import ROOT
from hack.ports import LOOPBACK
from hack.serving_program import library

GOAL = 0.9
ROUNDS = 7
CONNECTIONS = 4
REQUESTS = {4: 20_000, 64: 80_000, 256: 80_000}
START_LIMIT_S = 20.0
METHOD = "inference.GRPCInferenceService/ModelInfer"
BASELINE = ROOT / "bench" / "baseline"


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of the load generator."""

    requests_per_s: float
    cpu_us: float


def measure() -> dict[str, Any]:
    """Returns the figures and prints them beside the goal."""
    if shutil.which("h2load") is None:
        raise HackError("h2load is missing: apt-get install nghttp2-client")
    server, baseline = program.program(), _baseline()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        model, body = program.lay_out(folder), folder / "body"
        body.write_bytes(_body())
        (port, admin_port), (other_port, _) = program.ports(), program.ports()
        ours = program.command(server, folder, port, admin_port)
        least = [str(baseline), str(library()), str(model), "100", str(other_port)]
        servers = [
            stack.enter_context(_running("aimodel-serving", ours, port, admin_port)),
            stack.enter_context(_running("baseline", least, other_port)),
        ]
        samples = _rounds(servers, body)
        memory = {each.name: round(each.resident_mib(), 1) for each in servers}
    return _report(samples, memory)


def _baseline() -> Path:
    commands.run(["cargo", "build", "--quiet", "--release", "--locked"], cwd=BASELINE)
    return BASELINE / "target" / "release" / "aimodel-baseline"


def _body() -> bytes:
    serialized: bytes = oip.request({"x": program.ROW}).SerializeToString()
    return b"\0" + len(serialized).to_bytes(4, "big") + serialized


@contextmanager
def _running(name: str, arguments: Sequence[str], port: int, admin_port: int | None = None) -> Iterator[Running]:
    with program.started(arguments) as process:
        _wait_for(port, process)
        yield Running(name, process, port, admin_port)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            # The port is open before the model is loaded, which takes milliseconds.
            time.sleep(1)
            return
    raise HackError(f"{process.args!r} does not listen on port {port}")


def _rounds(servers: Sequence[Running], body: Path) -> dict[tuple[str, int], list[Sample]]:
    samples: dict[tuple[str, int], list[Sample]] = {}
    for number in range(ROUNDS):
        for in_flight in REQUESTS:
            for server in servers if number % 2 else reversed(servers):
                samples.setdefault((server.name, in_flight), []).append(_load(server, body, in_flight))
    return samples


def _load(server: Running, body: Path, in_flight: int) -> Sample:
    count = REQUESTS[in_flight]
    shape = ["-n", str(count), "-c", str(CONNECTIONS), "-m", str(in_flight // CONNECTIONS), "-d", str(body)]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    answered, cpu_s = server.answered(), server.cpu_s()
    said = commands.run(["h2load", *shape, *headers, f"http://{LOOPBACK}:{server.port}/{METHOD}"])
    cpu_s = server.cpu_s() - cpu_s
    found = re.search(r"([\d.]+) req/s.*?(\d+) succeeded", said, re.DOTALL)
    if found is None or int(found[2]) != count:
        raise HackError(f"{server.name} failed requests:\n{said}")
    now = server.answered()
    if answered is not None and now is not None and now - answered != count:
        raise HackError(f"{server.name} answered {now - answered} of {count} requests with OK")
    server.ask()
    return Sample(float(found[1]), cpu_s / count * 1e6)


def _report(samples: dict[tuple[str, int], list[Sample]], memory: dict[str, float]) -> dict[str, Any]:
    rows = [("in flight", "aimodel-serving / baseline", "goal")]
    figures: dict[str, Any] = {"residentMebibytes": memory, "inFlight": {}}
    for in_flight in REQUESTS:
        ours, least = samples["aimodel-serving", in_flight], samples["baseline", in_flight]
        speed = [statistics.median(sample.requests_per_s for sample in each) for each in (ours, least)]
        cpu = [statistics.median(sample.cpu_us for sample in each) for each in (ours, least)]
        ratio = speed[0] / speed[1]
        shown = f"{speed[0]:,.0f} / {speed[1]:,.0f} requests/s = {ratio:.2f}; CPU {cpu[0]:.1f} / {cpu[1]:.1f} us"
        rows.append((str(in_flight), shown, f"at least {GOAL}"))
        figures["inFlight"][str(in_flight)] = {
            name: {
                "requestsPerSecond": record.spread([sample.requests_per_s for sample in each]),
                "cpuMicrosecondsPerRequest": record.spread([sample.cpu_us for sample in each]),
            }
            for name, each in (("aimodel-serving", ours), ("baseline", least))
        } | {"ratio": round(ratio, 3)}
    print(record.table("Serving: one-row requests to a 100-64-64-10 classifier as ONNX, h2load on the same CPUs", rows))
    return figures
