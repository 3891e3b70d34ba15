"""Command line of the generator: `python -m hack.generate [--check]`, from the root of the checkout."""

import argparse
import sys
from pathlib import Path

from hack.generate.files import outputs


def main() -> int:
    """Write the files, or with --check only name those that are not current; 1 when there are any."""
    parser = argparse.ArgumentParser(prog="python -m hack.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    check = parser.parse_args().check
    root = Path(__file__).parents[2]
    stale = {path: text for path, text in outputs().items() if not _is_current(root / path, text)}
    for path, text in stale.items():
        if check:
            print(f"{path} is not current: run `python -m hack.generate` and commit it", file=sys.stderr)
            continue
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 1 if check and stale else 0


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
