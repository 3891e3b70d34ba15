"""How fast the serving program answers, beside the least server that can: `bench/baseline`.

Both serve the same 100-64-64-10 classifier as ONNX by the same library; h2load sends one-row requests over four
connections with 4, 64 and 256 in flight. Rounds alternate between the servers, because a shared machine drifts;
the median counts. The baseline has no limits, deadlines, checks, metrics or drain: all of these together may cost at
most a tenth. CPU time per request is the figure that a busy machine disturbs least.

Runs by itself too: `python -m bench.serving [ROUNDS]`; ends with 1 when the goal is missed.
"""

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it ships no types

from aimodel_operator.cli.oip import inference_pb2 as oip
from bench import record
from tests.support.onnx_models import mlp, write

GOAL = 0.9
ROUNDS = 7
CONNECTIONS = 4
REQUESTS = {4: 20_000, 64: 80_000, 256: 80_000}
START_LIMIT_S = 20.0
METHOD = "inference.GRPCInferenceService/ModelInfer"
BASELINE = record.ROOT / "bench" / "baseline"


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load."""

    name: str
    process: subprocess.Popen[bytes]
    port: int

    def cpu_s(self) -> float:
        """CPU time of the process so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (kibibytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
        return int(kibibytes) / 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of the load generator."""

    requests_per_s: float
    cpu_us: float


def measure(rounds: int = ROUNDS) -> dict[str, Any]:
    """Returns the figures and prints them beside the goal."""
    if shutil.which("h2load") is None:
        raise FileNotFoundError("h2load is missing; install the package nghttp2-client")
    binary, baseline = _build(record.ROOT / "serving", "aimodel-serving"), _build(BASELINE, "aimodel-baseline")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        models = Path(folder) / "models"
        model = write(mlp(), models)
        body = Path(folder) / "body"
        body.write_bytes(_body())
        ports = ("--bind=127.0.0.1", "--grpc-port={port}", "--admin-port=0", "--health-port=0")
        files = (f"--ort-library={_library()}", f"--termination-log={folder}/end")
        commands: dict[str, Sequence[object]] = {
            "aimodel-serving": [binary, models, *ports, *files],
            "baseline": [baseline, _library(), model, "100", "{port}"],
        }
        servers = [stack.enter_context(_running(name, command)) for name, command in commands.items()]
        samples = _rounds(servers, body, rounds)
        memory = {server.name: round(server.resident_mib(), 1) for server in servers}
    return _report(samples, memory)


def _build(crate: Path, name: str) -> Path:
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked"], cwd=crate, check=True)
    return crate / "target" / "release" / name


def _library() -> Path:
    (found,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")
    return found


def _body() -> bytes:
    row = np.random.default_rng(7).random((1, 100), np.float32)
    message = oip.ModelInferRequest(model_name="m")
    message.inputs.add(name="x", datatype="FP32", shape=row.shape)
    message.raw_input_contents.append(row.tobytes())
    serialized: bytes = message.SerializeToString()
    return b"\0" + len(serialized).to_bytes(4, "big") + serialized


@contextmanager
def _running(name: str, command: Sequence[object]) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = [str(argument).format(port=port) for argument in command]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield Server(name, process, port)
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            # The port is open before the model is loaded, which takes milliseconds.
            time.sleep(1)
            return
    raise RuntimeError(f"{process.args!r} does not listen on port {port}")


def _rounds(servers: Sequence[Server], body: Path, rounds: int) -> dict[tuple[str, int], list[Sample]]:
    samples: dict[tuple[str, int], list[Sample]] = {}
    for number in range(rounds):
        for in_flight in REQUESTS:
            for server in servers if number % 2 else reversed(servers):
                samples.setdefault((server.name, in_flight), []).append(_load(server, body, in_flight))
    return samples


def _load(server: Server, body: Path, in_flight: int) -> Sample:
    count = REQUESTS[in_flight]
    shape = ["-n", str(count), "-c", str(CONNECTIONS), "-m", str(in_flight // CONNECTIONS), "-d", str(body)]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    before = server.cpu_s()
    done = subprocess.run(
        ["h2load", *shape, *headers, f"http://127.0.0.1:{server.port}/{METHOD}"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"([\d.]+) req/s.*?(\d+) succeeded", done.stdout, re.DOTALL)
    if found is None or int(found[2]) != count:
        raise RuntimeError(f"{server.name} failed requests:\n{done.stdout}")
    return Sample(float(found[1]), (server.cpu_s() - before) / count * 1e6)


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


def main(arguments: Sequence[str]) -> int:
    """Measure, write the figures, and tell by the exit code whether the goal is met."""
    figures = measure(*(int(argument) for argument in arguments))
    print(f"→ {record.write('serving', figures)}")
    return int(any(point["ratio"] < GOAL for point in figures["inFlight"].values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
