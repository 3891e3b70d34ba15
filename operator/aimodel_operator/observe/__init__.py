"""What is known of one model: objects in, frozen facts out. First step after `api.parse`; next is `decide`.

Nothing here talks to the API server: `cluster` fills the cache, `reconcile` asks it for the `Facts` of a model.
"""

from aimodel_operator.observe.build_outcome import (
    KEY_ANNOTATION,
    BuildOutcome,
    BuildState,
    attempt_of,
    read_build,
)
from aimodel_operator.observe.facts import Artefact, Facts, deployment_of, observe, revisions_by_name
from aimodel_operator.observe.failures import Finding, worst_finding

__all__ = [
    "KEY_ANNOTATION",
    "Artefact",
    "BuildOutcome",
    "BuildState",
    "Facts",
    "Finding",
    "attempt_of",
    "deployment_of",
    "observe",
    "read_build",
    "revisions_by_name",
    "worst_finding",
]
