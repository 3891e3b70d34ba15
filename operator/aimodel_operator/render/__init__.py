"""The objects a decision asks for, as plain dicts. Follows `decide`; next is `reconcile.diff`.

Pure, and the only place that knows how a child looks. What a revision's pods look like is rendered once, kept
in its ControllerRevision and copied from there ever after.
"""

from aimodel_operator.render.objects import render
from aimodel_operator.render.pod_template import RENDERER_VERSION
from aimodel_operator.render.preview import preview

__all__ = ["RENDERER_VERSION", "preview", "render"]
