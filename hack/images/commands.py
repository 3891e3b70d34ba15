"""Runs other programs for the image build; their output is shown only when they fail."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.images.paths import ImageError

_TAIL_LINES = 25


def run(argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run to the end and give back standard output; a failure raises with the last lines it wrote."""
    merged = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(argv, cwd=cwd, env=merged, capture_output=True, text=True, check=False)
    except FileNotFoundError as exc:
        raise ImageError(f"{argv[0]} is not installed: install it and run the command again") from exc
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-_TAIL_LINES:])
        raise ImageError(f"`{' '.join(argv)}` ended with {done.returncode}:\n{tail}")
    return done.stdout
