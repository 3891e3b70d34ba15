"""`make bench`: every part in turn, or those that are named; tables on the screen, JSON in bench/results."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench import demo, footprint, life, serving, start
from hack import record
from hack.errors import HackError

# The demo first: it leaves the cluster as `life` and `footprint` need it.
PARTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "demo": demo.measure,
    "life": life.measure,
    "footprint": footprint.measure,
    "start": start.measure,
    "serving": serving.measure,
}


def main(arguments: Sequence[str]) -> int:
    """Measure the parts; 2 when one is unknown, 1 when one cannot be measured."""
    unknown = [name for name in arguments if name not in PARTS]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    for name in arguments or PARTS:
        try:
            print(f"→ {record.write(name, PARTS[name]())}\n")
        except HackError as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
