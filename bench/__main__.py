"""`make bench`: every part in turn, or those that are named; tables on the screen, JSON in bench/results."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench import footprint, life, record

PARTS: Mapping[str, Callable[[], dict[str, Any]]] = {"life": life.measure, "footprint": footprint.measure}


def main(arguments: Sequence[str]) -> int:
    """Measure the parts; 2 when one is unknown."""
    unknown = [name for name in arguments if name not in PARTS]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    for name in arguments or PARTS:
        print(f"→ {record.write(name, PARTS[name]())}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
