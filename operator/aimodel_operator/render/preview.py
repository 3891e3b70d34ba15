"""What the operator would make of a manifest on an empty cluster, for `aimodel render`.

The build Job and, as if it had succeeded, the objects that follow it; the image's digest is not known before
the build and stands as zeros.
"""

from dataclasses import replace
from datetime import UTC, datetime

from aimodel_operator import api
from aimodel_operator.decide import decide
from aimodel_operator.kinds import Obj
from aimodel_operator.observe import Artefact, Facts
from aimodel_operator.render.objects import render
from aimodel_operator.settings import Settings

_UNKNOWN = "sha256:" + "0" * 64


def preview(model: api.AIModel, settings: Settings) -> list[Obj]:
    """All objects of a first rollout, in the order in which they are written."""
    now = datetime.fromtimestamp(0, UTC)
    asked = Facts(model=model, is_registry_asked=True)
    building = decide(asked, settings, now)
    source = model.spec.source
    artefact = Artefact(f"{building.build.repository}@{_UNKNOWN}", source.digest or _UNKNOWN, "ONNX")
    built = replace(asked, registry_artefact=artefact)
    objects = (*render(asked, building, settings), *render(built, decide(built, settings, now), settings))
    return list({(obj["kind"], obj["metadata"]["name"]): obj for obj in objects}.values())
