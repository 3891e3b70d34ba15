"""kopf's part: watch the AIModels and hand every event to the controller. The only package that imports kopf."""

from aimodel_operator.handlers.watch import watch_models

__all__ = ["watch_models"]
