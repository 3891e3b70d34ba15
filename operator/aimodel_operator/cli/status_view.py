"""Turns a `Progress` into lines for a terminal, and into the document of `--output json`.

Called by `status`. Every line fits the terminal's width; colour only repeats what glyphs and words say.
"""

import re
from datetime import datetime
from typing import Any

from aimodel_operator.cli.terminal import Terminal, Tint
from aimodel_operator.cli.timeline import Progress, Stage, State

NAME_WIDTH = 9
TIME_WIDTH = 9
TOOK_WIDTH = 6
LABEL_WIDTH = 10

_GLYPHS = {
    State.DONE: ("✔", "+", Tint.GOOD),
    State.RUNNING: ("◐", "~", Tint.ACCENT),
    State.WAITING: ("○", ".", Tint.DIM),
    State.UNKNOWN: ("?", "?", Tint.DIM),
    State.DEGRADED: ("▲", "!", Tint.WARN),
    State.FAILED: ("✘", "x", Tint.BAD),
}

_WITHOUT_MESSAGE = {State.WAITING: "waiting", State.UNKNOWN: "not known"}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SHORT_DIGEST = len("sha256:") + 12


def draw(progress: Progress, terminal: Terminal, now: datetime) -> list[str]:
    """The whole picture of one model."""
    lines = [*_headline(progress, terminal, now), ""]
    for stage in progress.stages:
        lines += _stage(stage, terminal, now, is_last=stage is progress.stages[-1])
    lines += ["", *_facts(progress, terminal)]
    advice = _advice(progress)
    if advice:
        label = terminal.paint("  next", Tint.ACCENT, Tint.BOLD)
        wrapped = terminal.wrap(advice, "  ", "next".ljust(LABEL_WIDTH))
        lines += ["", label + wrapped[0][len("  next") :], *wrapped[1:]]
    return lines


def as_document(progress: Progress) -> dict[str, Any]:
    """The same as JSON-ready values; times in RFC 3339, null for what is not known."""
    return {
        "name": progress.name,
        "namespace": progress.namespace,
        "ready": progress.ready,
        "available": progress.available,
        "reason": progress.reason or None,
        "message": progress.message or None,
        "remedy": progress.remedy or None,
        "url": progress.url or None,
        "revision": progress.revision or None,
        "targetRevision": progress.target_revision or None,
        "image": progress.image or None,
        "replicas": {"wanted": progress.replicas, "ready": progress.ready_replicas},
        "statusIsCurrent": not progress.is_stale,
        "deleting": progress.is_deleting,
        "stages": [
            {
                "name": stage.name,
                "state": stage.state.value,
                "since": stage.since.isoformat() if stage.since else None,
                "tookSeconds": stage.took_s,
                "reason": stage.reason or None,
                "message": stage.message or None,
            }
            for stage in progress.stages
        ],
    }


def duration(seconds: int) -> str:
    """A duration in its two largest units: 45s, 3m20s, 2h05m, 3d04h."""
    for size, unit, next_size, next_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size:
            return f"{seconds // size}{unit}{seconds % size // next_size:02}{next_unit}"
    return f"{max(0, seconds)}s"


def _headline(progress: Progress, terminal: Terminal, now: datetime) -> list[str]:
    state, word = _verdict(progress)
    symbol, plain, tint = _GLYPHS[state]
    verdict = f"{terminal.pick(symbol, plain)} {word}"
    if progress.remedy:
        verdict += f" ({progress.reason})"
    gap = " " * max(2, terminal.width - len(progress.name) - len(verdict))
    age = f", created {duration(int((now - progress.created).total_seconds()))} ago" if progress.created else ""
    return [
        terminal.paint(progress.name, Tint.BOLD) + gap + terminal.paint(verdict, tint, Tint.BOLD),
        terminal.paint(f"namespace {progress.namespace}{age}", Tint.DIM),
    ]


def _verdict(progress: Progress) -> tuple[State, str]:
    if progress.is_deleting:
        return State.RUNNING, "being deleted"
    if progress.ready and not progress.is_stale:
        return State.DONE, "Ready"
    if any(stage.state is State.FAILED for stage in progress.stages):
        return (State.DEGRADED, "answers, update failed") if progress.available else (State.FAILED, "not ready")
    return State.RUNNING, "answers, updating" if progress.available else "in progress"


def _stage(stage: Stage, terminal: Terminal, now: datetime, *, is_last: bool) -> list[str]:
    symbol, plain, tint = _GLYPHS[stage.state]
    when = _clock(stage, now).ljust(TIME_WIDTH) + _took(stage, now).rjust(TOOK_WIDTH)
    indent = " " * (4 + NAME_WIDTH + len(when) + 2)
    first, rest = _texts(stage, terminal, indent)
    rail = " " if is_last else terminal.paint(terminal.pick("│", "|"), Tint.DIM)
    lines = [
        f"  {terminal.paint(terminal.pick(symbol, plain), tint)} {stage.name.ljust(NAME_WIDTH)}{when}  {first}",
        *(f"  {rail}{line[3:]}" for line in rest),
    ]
    return [line.rstrip() for line in (lines if is_last else [*lines, f"  {rail}"])]


def _texts(stage: Stage, terminal: Terminal, indent: str) -> tuple[str, list[str]]:
    """What stands beside a stage and what below it. A failure gets the whole width: digests must fit a line."""
    if stage.state in _WITHOUT_MESSAGE:
        return terminal.paint(_WITHOUT_MESSAGE[stage.state], Tint.DIM), []
    if stage.state is State.FAILED:
        return terminal.paint(stage.reason, Tint.BAD, Tint.BOLD), terminal.wrap(stage.message, " " * 6)
    dots = terminal.pick("…", "...")
    message = _DIGEST.sub(lambda digest: digest.group()[:SHORT_DIGEST] + dots, stage.message)
    lines = terminal.wrap(message, indent, break_long_words=True)
    return lines[0].strip(), lines[1:]


def _clock(stage: Stage, now: datetime) -> str:
    """When the stage got its state, in local time: the time of day, or the day when it was not today."""
    if stage.since is None:
        return ""
    local = stage.since.astimezone(now.tzinfo)
    return local.strftime("%H:%M:%S") if local.date() == now.date() else local.strftime("%Y-%m-%d")


def _took(stage: Stage, now: datetime) -> str:
    if stage.state is State.RUNNING and stage.since is not None:
        return duration(int((now - stage.since).total_seconds()))
    return "" if stage.took_s is None else duration(stage.took_s)


def _facts(progress: Progress, terminal: Terminal) -> list[str]:
    revision = progress.revision
    if progress.target_revision and progress.target_revision != revision:
        arrow = terminal.pick("→", "->")
        revision = f"{revision or 'none'} {arrow} {progress.target_revision}"
    wanted, ready = progress.replicas, progress.ready_replicas
    facts = {
        "url": progress.url,
        "revision": revision,
        "image": progress.image,
        "replicas": f"{ready} of {wanted} ready",
    }
    room = terminal.width - 2 - LABEL_WIDTH
    return [
        "  " + terminal.paint(name.ljust(LABEL_WIDTH), Tint.DIM) + terminal.shorten(value, room)
        for name, value in facts.items()
        if value
    ]


def _advice(progress: Progress) -> str:
    where = f"{progress.name} -n {progress.namespace}"
    if progress.is_deleting:
        return ""
    if progress.is_stale and not progress.reason:
        return (
            "The operator has not looked at this AIModel yet. If that stays, see whether it runs: "
            "kubectl get pods -A -l app.kubernetes.io/name=aimodel-operator"
        )
    if progress.remedy:
        return progress.remedy
    if progress.is_settled:
        return f"aimodel predict {where} FILE"
    return f"aimodel status {where} --watch"
