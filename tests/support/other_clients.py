"""Runs clients that others wrote in their own environment (tests/clients, pinned by its own lock file)."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from hack import commands
from hack.images.paths import uv
from hack.paths import cache

FOLDER = Path(__file__).parents[1] / "clients"


def triton_calls(target: str, model: str, input_file: Path) -> dict[str, Any]:
    """What tritonclient says of a server; raises with its words."""
    command = [str(_python()), str(FOLDER / "triton_calls.py"), target, model, str(input_file)]
    answer: dict[str, Any] = json.loads(commands.run(command))
    return answer


def _python() -> Path:
    """The environment's interpreter, made on first use and kept by the hash of its lock file."""
    lock = sha256((FOLDER / "uv.lock").read_bytes()).hexdigest()[:12]
    environment = cache() / f"clients-{lock}"
    python = environment / "bin" / "python"
    if not python.exists():
        sync = [uv(), "sync", "--frozen", "--quiet", "--project", str(FOLDER)]
        commands.run(sync, env={"UV_PROJECT_ENVIRONMENT": str(environment), "UV_PYTHON_DOWNLOADS": "never"})
    return python
