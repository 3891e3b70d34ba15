"""Command line of the generator: `python -m hack.generate [--check]`."""

import argparse
import sys

from hack.generate.files import stale, write
from hack.paths import ROOT


def main() -> int:
    """Write the files that are not current, or with --check name them and return 1."""
    parser = argparse.ArgumentParser(
        prog="python -m hack.generate", description="Generate CRD, RBAC rules, API pages and stubs."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    is_check = parser.parse_args().check
    found = stale(ROOT)
    if is_check:
        for path in found:
            print(f"{path} is not current: run `python -m hack.generate` and commit it", file=sys.stderr)
        return 1 if found else 0
    write(ROOT, found)
    for path in found:
        print(f"{'removed' if found[path] is None else 'wrote'} {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
