"""Processes are known by more than their pid, ended exactly, and explained when they die."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hack.cluster import process
from hack.cluster.process import Component, ComponentError, Processes
from hack.waiting import wait_until

SLEEPER = Component("sleeper", ("/bin/sleep", "600"))


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path)
    yield started
    for name in started.names():
        started.stop(name, kill=True)


def test_a_started_process_runs_until_it_is_stopped(processes: Processes) -> None:
    processes.start(SLEEPER)
    pid = processes.pid("sleeper")
    assert pid is not None
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"/bin/sleep\x00600\x00"
    processes.stop("sleeper")
    assert not Path(f"/proc/{pid}").exists()
    assert processes.names() == []


def test_starting_twice_starts_once(processes: Processes) -> None:
    processes.start(SLEEPER)
    first = processes.pid("sleeper")
    processes.start(SLEEPER)
    assert processes.pid("sleeper") == first


@pytest.mark.parametrize("change", [{"started": 1}, {"boot": "another-boot"}])
def test_a_pid_that_belongs_to_another_process_is_left_alone(
    processes: Processes, tmp_path: Path, change: dict[str, int | str]
) -> None:
    with subprocess.Popen(["/bin/sleep", "600"]) as stranger:
        identity = process.identify(stranger.pid)
        assert identity is not None
        record = tmp_path / "pids" / "sleeper.json"
        record.parent.mkdir()
        record.write_text(json.dumps(asdict(replace(identity, **change))))
        assert not processes.is_running("sleeper")
        processes.stop("sleeper")
        assert stranger.poll() is None
        stranger.kill()


def test_a_zombie_does_not_count_as_running(processes: Processes) -> None:
    processes.start(SLEEPER)
    pid = processes.pid("sleeper")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not processes.is_running("sleeper"), 5)
    assert processes.dead() == ["sleeper"]
    processes.forget_dead()
    assert processes.names() == []
    assert not Path(f"/proc/{pid}").exists()


def test_a_dead_component_is_named_with_the_end_of_its_log(processes: Processes) -> None:
    processes.start(SLEEPER)
    processes.start(Component("broken", ("/bin/sh", "-c", "echo cannot bind port 53; exit 3")))
    with pytest.raises(ComponentError, match=r"(?s)^broken ended within .* s; the end of .*cannot bind port 53"):
        processes.wait("sleeper", "readiness", lambda: False, limit_s=5)


def test_a_component_that_is_never_ready_is_named_after_the_limit(processes: Processes) -> None:
    processes.start(SLEEPER)
    with pytest.raises(ComponentError, match="sleeper: no open port after 0 s"):
        processes.wait("sleeper", "open port", lambda: False, limit_s=0.1)


def test_a_process_that_ignores_the_polite_signal_is_killed(processes: Processes, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = f"trap '' TERM; touch {ready}; exec sleep 600"
    processes.start(Component("stubborn", ("/bin/sh", "-c", script), {"PATH": "/usr/bin:/bin"}))
    pid = processes.pid("stubborn")
    assert pid is not None
    assert wait_until(ready.exists, 5)
    process.end([pid], signal.SIGTERM, limit_s=0.2)
    assert not Path(f"/proc/{pid}").exists()
