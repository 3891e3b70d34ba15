"""Is there an image for the source as written, and if not, what brings it about?

A chain of small questions, cheapest first: a revision that was made from the same inputs, a build Job that
ended, the registry (for a pinned source), and only then a new Job. Called by `plan`; `render` makes the Job.
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from aimodel_operator import api
from aimodel_operator.imagebuild.plan import input_tag
from aimodel_operator.imagebuild.reference import PinnedImage
from aimodel_operator.kinds import Obj, annotations_of
from aimodel_operator.observe import (
    KEY_ANNOTATION,
    Artefact,
    BuildOutcome,
    BuildState,
    Facts,
    attempt_of,
    read_build,
)
from aimodel_operator.settings import Settings

SETTINGS_ANNOTATION = "aimodel.dev/build-settings"
_FIRST_RETRY = timedelta(seconds=5)
_LONGEST_RETRY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the registry whether `repository:tag` exists already."""

    repository: str
    tag: str


@dataclass(frozen=True, slots=True)
class BuildDecision:
    """Exactly one of: `artefact` is there, `look_up` is needed, a Job is to start (`attempt`), or wait.

    `outcome` is what the current Job says (for the conditions); `obsolete` are Jobs that nobody waits for.
    """

    key: str
    repository: str
    artefact: Artefact | None = None
    look_up: LookUp | None = None
    attempt: int | None = None
    outcome: BuildOutcome | None = None
    retry_at: datetime | None = None
    obsolete: tuple[Obj, ...] = ()


def decide_build(facts: Facts, settings: Settings, now: datetime) -> BuildDecision:
    """What the image of the model as written needs next."""
    model = facts.model
    repository = default_repository(model, settings)
    key = build_key(model, repository)
    attempts = sorted((job for job in facts.jobs if annotations_of(job).get(KEY_ANNOTATION) == key), key=attempt_of)
    # The attempt before the current one stays too: while a build is repeated, its failure is still what is wrong.
    last_two = attempts[-2:]
    others = tuple(job for job in facts.jobs if job not in last_two)
    recorded = _recorded_artefact(facts, key)
    if recorded is not None:
        return BuildDecision(key, repository, recorded, obsolete=facts.jobs)
    if last_two:
        return _from_jobs(BuildDecision(key, repository, obsolete=others), last_two, facts, settings, now)
    if facts.registry_artefact is not None:
        return BuildDecision(key, repository, facts.registry_artefact, obsolete=others)
    digest = model.spec.source.digest
    if digest is not None and not facts.is_registry_asked and _is_own_registry(repository, settings):
        tag = input_tag(model.name, digest, PinnedImage.parse(settings.serving_image))
        return BuildDecision(key, repository, look_up=LookUp(repository, tag), obsolete=others)
    return BuildDecision(key, repository, attempt=1, obsolete=others)


def default_repository(model: api.AIModel, settings: Settings) -> str:
    """`spec.image.repository`, or the installation's prefix with namespace and name."""
    image = model.spec.image
    if image is not None and image.repository is not None:
        return image.repository
    return f"{settings.registry}/{model.namespace}/{model.name}"


def build_key(model: api.AIModel, repository: str) -> str:
    """Identifies what a build is asked for: the source as written and where the image goes."""
    source = model.spec.source
    asked = {
        "uri": source.uri,
        "digest": source.digest,
        "format": api.defaults.source_format(model.spec),
        "repository": repository,
    }
    return api.names.short_hash(json.dumps(asked, sort_keys=True).encode())


def build_job_name(model: api.AIModel, key: str, attempt: int) -> str:
    """The Job of one attempt: deterministic, so that two operators cannot start two."""
    return api.names.build_job(model.name, f"{key}-{attempt}")


def retry_delay(attempt: int) -> timedelta:
    """Doubles from 5 seconds to 5 minutes; a fixed source is noticed without anybody touching the AIModel."""
    doublings = min(attempt - 1, 10)
    return min(_FIRST_RETRY * (1 << doublings), _LONGEST_RETRY)


def _is_own_registry(repository: str, settings: Settings) -> bool:
    # The operator itself talks to no host that a person merely names in a spec; the Job, in their namespace, does.
    return repository.partition("/")[0] == settings.registry.partition("/")[0]


def _recorded_artefact(facts: Facts, key: str) -> Artefact | None:
    for revision in reversed(facts.revisions):
        data = revision["data"]
        if data["buildKey"] == key:
            return Artefact(data["image"], data["modelDigest"], data["format"])
    return None


def settings_key(settings: Settings) -> str:
    """Identifies the part of the settings that a build depends on: when it changes, a failure says nothing any more."""
    relevant = (
        settings.operator_image,
        settings.serving_image,
        settings.plain_http_registries,
        settings.allowed_private_hosts,
        settings.build_timeout_s,
        settings.build_max_bytes,
        settings.build_resources.model_dump(exclude_none=True),
        settings.build_pull_secrets,
    )
    return api.names.short_hash(json.dumps(relevant).encode())


def _from_jobs(
    base: BuildDecision, last_two: list[Obj], facts: Facts, settings: Settings, now: datetime
) -> BuildDecision:
    outcome = read_build(last_two[-1], facts.pods)
    if outcome.state is BuildState.SUCCEEDED:
        return replace(base, artefact=outcome.artefact, outcome=outcome)
    if outcome.state is BuildState.FAILED and outcome.finished_at is not None:
        retry_at = outcome.finished_at + retry_delay(outcome.attempt)
        has_other_settings = annotations_of(last_two[-1]).get(SETTINGS_ANNOTATION) != settings_key(settings)
        if now >= retry_at or has_other_settings:
            return replace(base, attempt=outcome.attempt + 1, outcome=outcome)
        return replace(base, outcome=outcome, retry_at=retry_at)
    if outcome.finding is None and len(last_two) > 1:
        outcome = replace(outcome, finding=read_build(last_two[0], facts.pods).finding)
    return replace(base, outcome=outcome)
