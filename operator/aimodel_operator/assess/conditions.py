"""The conditions of a model: a chain from the spec over source and image to the pods. Called by `assess.status`."""

from dataclasses import dataclass

from aimodel_operator.api import Condition, ConditionType, Reason
from aimodel_operator.assess.rollout import RevisionProgress, progress_of
from aimodel_operator.decide import Decision, selected_revision
from aimodel_operator.observe import BuildState, Facts, Finding

_SOURCE_REASONS = {
    Reason.MODEL_NOT_FOUND,
    Reason.MODEL_ACCESS_DENIED,
    Reason.MODEL_DIGEST_MISMATCH,
    Reason.MODEL_REJECTED,
}


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the conditions are derived from, gathered once. `active` is what the Service selects after the writes."""

    facts: Facts
    decision: Decision
    active: RevisionProgress
    target: RevisionProgress
    problem: Finding | None

    @property
    def is_available(self) -> bool:
        """Whether a request sent now would be answered: the selected revision has a ready pod."""
        return self.active.revision is not None and self.active.ready > 0

    @property
    def is_current(self) -> bool:
        """Whether the Service selects what the spec asks for."""
        return self.decision.target is not None and self.active.revision == self.decision.target

    @property
    def is_ready(self) -> bool:
        """Whether the spec as written is what is served, by all wanted pods."""
        return self.is_current and self.active.is_complete and self.problem is None


def gather(facts: Facts, decision: Decision, problems: tuple[Finding, ...]) -> Assessment:
    """Bring together what stands in the way, most useful first."""
    active, target = progress_of(facts, selected_revision(facts)), progress_of(facts, decision.target)
    build = decision.build
    in_the_way = [
        problems[0] if problems else None,
        build.outcome.finding if build.outcome is not None and build.artefact is None else None,
        target.finding,
        active.finding,
    ]
    return Assessment(facts, decision, active, target, next((found for found in in_the_way if found), None))


def conditions(assessment: Assessment) -> tuple[Condition, ...]:
    """All conditions, in the order in which a model comes to life."""
    return (
        Condition(ConditionType.SPEC_VALID, True, Reason.SUCCEEDED, "The spec is well-formed."),
        _source_ready(assessment),
        _image_ready(assessment),
        _progressing(assessment),
        _available(assessment),
        _ready(assessment),
    )


def _source_ready(assessment: Assessment) -> Condition:
    build = assessment.decision.build
    if build.artefact is not None:
        message = f"Fetched {build.artefact.format} model {build.artefact.model_digest}."
        return Condition(ConditionType.SOURCE_READY, True, Reason.SUCCEEDED, message)
    failure = _build_failure(assessment)
    if failure is not None and failure.reason in _SOURCE_REASONS:
        return Condition(ConditionType.SOURCE_READY, False, failure.reason, failure.message)
    return Condition(ConditionType.SOURCE_READY, None, Reason.PROGRESSING, "The model is being fetched.")


def _image_ready(assessment: Assessment) -> Condition:
    build = assessment.decision.build
    if build.artefact is not None:
        return Condition(ConditionType.IMAGE_READY, True, Reason.SUCCEEDED, f"Image {build.artefact.image}.")
    failure = _build_failure(assessment)
    if failure is not None:
        return Condition(ConditionType.IMAGE_READY, False, failure.reason, failure.message)
    return Condition(ConditionType.IMAGE_READY, False, Reason.PROGRESSING, "The image is being built.")


def _build_failure(assessment: Assessment) -> Finding | None:
    outcome = assessment.decision.build.outcome
    return None if outcome is None else outcome.finding


def _progressing(assessment: Assessment) -> Condition:
    if assessment.is_ready:
        return Condition(ConditionType.PROGRESSING, False, Reason.SUCCEEDED, "Nothing is left to do.")
    if assessment.problem is not None:
        # Still trying: builds are repeated and the kubelet restarts containers, so a mended cause clears itself.
        return Condition(ConditionType.PROGRESSING, True, assessment.problem.reason, assessment.problem.message)
    return Condition(ConditionType.PROGRESSING, True, Reason.PROGRESSING, _next_step(assessment))


def _available(assessment: Assessment) -> Condition:
    if assessment.is_available:
        active = assessment.active
        message = f"{active.ready} of {active.wanted} pods of {active.revision} answer."
        return Condition(ConditionType.AVAILABLE, True, Reason.SERVING, message)
    reason, message = _cause(assessment, assessment.active.finding or assessment.problem)
    return Condition(ConditionType.AVAILABLE, False, reason, message)


def _ready(assessment: Assessment) -> Condition:
    if assessment.is_ready:
        active = assessment.active
        return Condition(
            ConditionType.READY, True, Reason.SERVING, f"{active.revision} serves with {active.ready} pods."
        )
    reason, message = _cause(assessment, assessment.problem)
    if assessment.is_available and not assessment.is_current:
        message = f"{message} {assessment.active.revision} goes on serving."
    return Condition(ConditionType.READY, False, reason, message)


def _cause(assessment: Assessment, finding: Finding | None) -> tuple[Reason, str]:
    if finding is not None:
        return finding.reason, finding.message
    return Reason.PROGRESSING, _next_step(assessment)


def _next_step(assessment: Assessment) -> str:
    build, target = assessment.decision.build, assessment.target
    if build.artefact is None:
        state = build.outcome.state if build.outcome else BuildState.RUNNING
        return "The build is about to be tried again." if state is BuildState.FAILED else "The image is being built."
    return f"{target.ready} of {target.wanted} pods of {target.revision} are ready."
