"""Runs other programs for the image build; their output is shown only when they fail."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hack.images.paths import ImageError

_TAIL_LINES = 25


def run(argv: Sequence[str], *, cwd: Path | None = None) -> str:
    """Run to the end and give back standard output; a failure raises with the last lines it wrote."""
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as exc:
        raise _not_installed(argv) from exc
    if done.returncode != 0:
        raise _failed(argv, done.returncode, (done.stdout + done.stderr).splitlines())
    return done.stdout


def watch(argv: Sequence[str], seen: Callable[[str], None], *, cwd: Path, env: Mapping[str, str]) -> None:
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


def _not_installed(argv: Sequence[str]) -> ImageError:
    return ImageError(f"{argv[0]} is not installed: install it and run the command again")


def _failed(argv: Sequence[str], status: int, lines: Sequence[str]) -> ImageError:
    return ImageError("\n".join([f"`{' '.join(argv)}` ended with {status}:", *lines[-_TAIL_LINES:]]))
