"""Where figures go: one JSON file per part in bench/results, with machine, commit and versions beside them."""

import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hack import commands
from hack.paths import ROOT

RESULTS = ROOT / "bench" / "results"


def write(part: str, figures: Mapping[str, Any]) -> Path:
    """Write one part's figures; returns the file."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{part}.json"
    path.write_text(json.dumps({"part": part, **_circumstances(), "figures": figures}, indent=1) + "\n")
    return path


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most of repeated measurements."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "runs": len(values),
    }


def table(title: str, rows: Sequence[tuple[str, str, str]]) -> str:
    """A table of name, figure, goal."""
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _circumstances() -> dict[str, Any]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _said("git", "rev-parse", "--short", "HEAD"),
        "hasUncommittedChanges": bool(_said("git", "status", "--porcelain", "--untracked-files=no")),
        "machine": {
            "processor": _processor(),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "rust": _said("rustc", "--version"),
        },
    }


def _said(*command: str) -> str:
    return commands.run(command, cwd=ROOT).strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()
