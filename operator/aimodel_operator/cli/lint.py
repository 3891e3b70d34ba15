"""`aimodel lint FILE…`: says what the cluster would refuse, without a cluster."""

import argparse
import stat
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aimodel_operator.cli.errors import UsageError
from aimodel_operator.cli.options import add_output, print_json
from aimodel_operator.cli.terminal import Terminal, Tint

if TYPE_CHECKING:
    from aimodel_operator.cli.manifest import Document, Problem

HELP = "check AIModels in YAML files without a cluster"
DESCRIPTION = """\
Check every AIModel in the files, without a cluster. Objects of other kinds are passed over. Exits 1 when there
is a problem, or no AIModel at all. `-` reads stdin."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found; `skipped` counts objects of other kinds."""

    files: int
    models: int
    skipped: int
    problems: "tuple[Problem, ...]"

    @property
    def is_clean(self) -> bool:
        """Whether something was checked and nothing is wrong."""
        return self.models > 0 and not self.problems


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="YAML files; - for stdin")
    add_output(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Check the files and print what is wrong; 1 when anything is."""
    report = lint([(name_of(file), read(file)) for file in arguments.files])
    if arguments.output == "json":
        print_json({**asdict(report), "clean": report.is_clean})
    else:
        print("\n".join(draw(report, terminal)))
    return 0 if report.is_clean else 1


def read(file: str) -> bytes:
    """A regular file's content, or stdin's for `-`; raises UsageError."""
    if file == "-":
        return sys.stdin.buffer.read()
    path = Path(file)
    try:
        # NB: a FIFO that nobody writes to would be waited for without end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{file} is no regular file", "give a YAML file, or - to read stdin")
        return path.read_bytes()
    except OSError as exc:
        raise UsageError(f"{file} cannot be read: {exc.strerror}", "correct the path") from exc


def name_of(file: str) -> str:
    """How a file is called in messages."""
    return "<stdin>" if file == "-" else file


def lint(files: Sequence[tuple[str, bytes]]) -> Report:
    """The report on files, given as names and contents."""
    from aimodel_operator.cli import lint_rules

    documents: list[Document] = []
    problems: list[Problem] = []
    for name, content in files:
        try:
            found, wrong = _checked(name, content)
        except RecursionError as exc:
            raise UsageError(f"{name} is nested too deeply", "remove brackets or levels of indentation") from exc
        documents += found
        problems += wrong
    order = {name: place for place, (name, _) in enumerate(files)}
    problems.sort(key=lambda problem: (order[problem.file], problem.line))
    models = sum(lint_rules.is_aimodel(document.value) for document in documents)
    return Report(len(files), models, len(documents) - models, tuple(problems))


def _checked(name: str, content: bytes) -> "tuple[list[Document], list[Problem]]":
    """The objects of one file, and what is wrong with it and with its AIModels."""
    from aimodel_operator.cli import lint_rules, manifest

    found, problems = manifest.load(manifest.decode(content, name), name)
    for document in found:
        if lint_rules.is_aimodel(document.value):
            problems += lint_rules.check(document)
    return found, problems


def draw(report: Report, terminal: Terminal) -> list[str]:
    """The report as lines, in the FILE:LINE form that editors jump to."""
    lines: list[str] = []
    for problem in report.problems:
        place = terminal.paint(f"{problem.file}:{problem.line}:", Tint.BOLD)
        field = terminal.paint(problem.field, Tint.BAD) + " " * bool(problem.field)
        lines += [f"{place} {field}{problem.message}", *terminal.wrap(problem.remedy, "    ")]
    return [*lines, _summary(report, terminal)]


def _summary(report: Report, terminal: Terminal) -> str:
    checked = f"{count(report.models, 'AIModel')} in {count(report.files, 'file')}"
    skipped = f", {count(report.skipped, 'object')} of other kinds passed over" if report.skipped else ""
    if report.problems:
        return terminal.paint(f"{count(len(report.problems), 'problem')}: {checked}{skipped}", Tint.BAD, Tint.BOLD)
    if not report.models:
        return terminal.paint(f"nothing was checked: {checked}{skipped}", Tint.BAD, Tint.BOLD)
    return terminal.paint(f"no problems: {checked}{skipped}", Tint.GOOD)


def count(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}" + "s" * (number != 1)
