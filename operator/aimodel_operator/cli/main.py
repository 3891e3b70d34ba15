"""Turns a command line into one verb's run and its exit code: 0 done, 1 the answer is bad, 2 wrong usage.

Entry point of `aimodel` and `kubectl-aimodel`. The outermost boundary: `CliError` becomes a message on
stderr here and nowhere else; an exception that is none of ours is a bug and keeps its traceback.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from aimodel_operator.cli import lint, predict, render, status, version
from aimodel_operator.cli.errors import CliError
from aimodel_operator.cli.terminal import Terminal, Tint, detect

VERBS = {"status": status, "predict": predict, "lint": lint, "render": render, "version": version}
INTERRUPTED = 130

EPILOG = """\
examples:
  {prog} status digits -n demo --watch
  {prog} predict digits seven.png -n demo
  {prog} lint models/*.yaml
  {prog} render model.yaml

exit codes: 0 done; 1 what was asked about is not right; 2 wrong usage.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = build_parser(program_name(sys.argv[0]))
    arguments = parser.parse_args(argv)
    if arguments.verb is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        code: int = VERBS[arguments.verb].run(arguments, detect(sys.stdout, os.environ))
        sys.stdout.flush()
    except CliError as error:
        report(error, detect(sys.stderr, os.environ))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our pipe has gone (`aimodel render … | head`); keep the interpreter's last flush quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def build_parser(prog: str) -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Look at AIModels, ask them for predictions, and check their YAML.",
        epilog=EPILOG.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for name, module in VERBS.items():
        verb = verbs.add_parser(
            name,
            help=module.HELP,
            description=module.DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(verb)
    return parser


def program_name(path: str) -> str:
    """How the person called us: `kubectl aimodel` when run as kubectl's plugin."""
    return "kubectl aimodel" if Path(path).name.startswith("kubectl") else "aimodel"


def report(error: CliError, terminal: Terminal) -> None:
    """Print what is wrong and what to do, to stderr."""
    label = terminal.paint("error:", Tint.BAD, Tint.BOLD)
    print(f"{label} {error.message}", file=sys.stderr)
    print(f"{terminal.paint(' next:', Tint.ACCENT)} {error.next_step}", file=sys.stderr)
