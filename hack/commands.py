"""Runs other programs; their output is shown only when they fail. Every program in hack/ calls them by this."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hack.errors import HackError

_TAIL_LINES = 25
_NOTHING: Mapping[str, str] = {}


class CommandError(HackError):
    """Another program failed or is not installed; the message ends with the last lines that it wrote."""


def run(argv: Sequence[str], *, given: str = "", cwd: Path | None = None, env: Mapping[str, str] = _NOTHING) -> str:
    """Run to the end with `given` as standard input and `env` added to ours; gives back standard output."""
    try:
        done = subprocess.run(
            argv, input=given, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as exc:
        raise _not_installed(argv) from exc
    if done.returncode != 0:
        raise _failed(argv, done.returncode, (done.stdout + done.stderr).splitlines())
    return done.stdout


def watch(argv: Sequence[str], seen: Callable[[str], None], *, cwd: Path, env: Mapping[str, str] = _NOTHING) -> None:
    """Run to the end and pass each line of output to `seen` as it comes; a failure raises as in `run`."""
    lines: list[str] = []
    try:
        process = subprocess.Popen(
            argv, cwd=cwd, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except FileNotFoundError as exc:
        raise _not_installed(argv) from exc
    with process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            seen(lines[-1])
    if process.returncode != 0:
        raise _failed(argv, process.returncode, lines)


def succeeds(argv: Sequence[str]) -> bool:
    """Whether the program is there and ends with 0."""
    try:
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _not_installed(argv: Sequence[str]) -> CommandError:
    return CommandError(f"{argv[0]} is not installed: install it and run the command again")


def _failed(argv: Sequence[str], status: int, lines: Sequence[str]) -> CommandError:
    return CommandError("\n".join([f"`{' '.join(argv)}` ended with {status}:", *lines[-_TAIL_LINES:]]))
