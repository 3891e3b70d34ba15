"""Which revision a spec asks for: the part of the spec that reaches the pod template, hashed.

`NAME-HASH` covers the model's digest, `serving` and `image` as written and nothing else: scaling, rollout and
monitoring fields make no revision, and neither does a new operator with other defaults.
"""

import json
from typing import Any

from pydantic import BaseModel

from aimodel_operator import api
from aimodel_operator.observe import Artefact


def revision_name(model: api.AIModel, artefact: Artefact) -> str:
    """The name of the revision that serves this spec with this artefact."""
    spec = model.spec
    content = {
        "modelDigest": artefact.model_digest,
        "serving": _as_written(spec.serving),
        "image": _as_written(spec.image, exclude={"push_secret_ref"}),
    }
    return api.names.revision(model.name, api.names.short_hash(json.dumps(content, sort_keys=True).encode()))


def _as_written(part: BaseModel | None, exclude: set[str] | None = None) -> dict[str, Any]:
    # Fields left out stay out: a field that a later version adds leaves every existing hash as it is.
    if part is None:
        return {}
    return part.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=exclude)
