"""The operator's Prometheus series, in a registry of their own. Labels are bounded: no model names."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Counts passes and says how many models wait for a worker."""

    def __init__(self, backlog: Callable[[], int], models: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.passes = Counter(
            "aimodel_operator_reconcile",
            "Passes over a model, by how they ended.",
            ["result"],
            registry=self._registry,
        )
        self.pass_seconds = Histogram(
            "aimodel_operator_reconcile_duration_seconds",
            "How long one pass over a model took.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
            registry=self._registry,
        )
        self.leading = Gauge("aimodel_operator_leader", "1 when this process holds the Lease.", registry=self._registry)
        waiting = Gauge("aimodel_operator_queue_depth", "Models that wait for a worker.", registry=self._registry)
        waiting.set_function(backlog)
        known = Gauge("aimodel_operator_models", "AIModels that this operator watches.", registry=self._registry)
        known.set_function(models)

    def exposition(self) -> bytes:
        """All series in the text format."""
        return generate_latest(self._registry)
