"""How long `make demo` takes where everything has been made before, step by step.

Runs `python -m hack.demo` twice: once so that all is warm, once to be measured. The times are those that the demo
itself keeps (`hack.demo.steps`).
"""

import json
import sys
from typing import Any

from hack import commands, record
from hack.demo.__main__ import TIMES
from hack.paths import ROOT

GOAL_S = 30


def measure() -> dict[str, Any]:
    """Returns the figures and prints them."""
    for _ in range(2):
        commands.run([sys.executable, "-m", "hack.demo"], cwd=ROOT)
    report = json.loads(TIMES.read_text())
    rows = [(name, f"{seconds:.2f} s", "") for name, seconds in report["seconds"].items()]
    rows.append(("in all", f"{report['totalSeconds']:.2f} s", f"goal ≤ {GOAL_S} s"))
    print(record.table("make demo, warm", rows))
    return {"seconds": report["seconds"], "totalSeconds": report["totalSeconds"], "goalSeconds": GOAL_S}
