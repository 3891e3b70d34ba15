"""Runs clients that others wrote in their own environment (tests/clients, pinned by its own lock file)."""

import json
import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "clients"
CACHE = Path(os.environ.get("AIMODEL_CACHE", Path.home() / ".cache" / "aimodel"))


def triton_calls(target: str, model: str, input_file: Path) -> dict[str, Any]:
    """What tritonclient says of a server; raises with its words."""
    done = _run([str(_python()), str(FOLDER / "triton_calls.py"), target, model, str(input_file)])
    answer: dict[str, Any] = json.loads(done)
    return answer


def _python() -> Path:
    """The environment's interpreter, made on first use and kept by the hash of its lock file."""
    lock = sha256((FOLDER / "uv.lock").read_bytes()).hexdigest()[:12]
    environment = CACHE / f"clients-{lock}"
    python = environment / "bin" / "python"
    if not python.exists():
        uv = next(CACHE.glob("uv-*/bin/uv"), None) or shutil.which("uv")
        assert uv is not None, "uv is missing: run hack/bootstrap"
        sync = [str(uv), "sync", "--frozen", "--quiet", "--project", str(FOLDER)]
        _run(sync, {"UV_PROJECT_ENVIRONMENT": str(environment), "UV_PYTHON_DOWNLOADS": "never"})
    return python


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    whole = {**os.environ, **(environment or {})}
    done = subprocess.run(command, env=whole, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
    return done.stdout
