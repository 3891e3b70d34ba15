"""What the operator tells about itself: logs, metrics, liveness and readiness. Decides nothing."""

from aimodel_operator.telemetry.endpoint import Endpoint
from aimodel_operator.telemetry.log import set_up_logging
from aimodel_operator.telemetry.metrics import Metrics

__all__ = ["Endpoint", "Metrics", "set_up_logging"]
