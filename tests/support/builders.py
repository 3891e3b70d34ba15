"""Objects for tests: `a_model().with_spec(replicas=2).build()` and the settings of a made-up installation."""

import copy
from dataclasses import dataclass, field
from typing import Any

from aimodel_operator.kinds import AIMODEL, Obj
from aimodel_operator.settings import Settings

DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64
BASE_IMAGE = "registry.test:5000/aimodel/serving@sha256:" + "1" * 64
SETTINGS = Settings(
    serving_image=BASE_IMAGE,
    operator_image="registry.test:5000/aimodel/operator@sha256:" + "2" * 64,
    registry="registry.test:5000/models",
    namespace="aimodel-system",
    pod_name="operator-0",
)


@dataclass
class ModelBuilder:
    """An AIModel as `kubectl apply` sends it."""

    name: str = "digits"
    namespace: str = "default"
    spec: dict[str, Any] = field(
        default_factory=lambda: {
            "source": {"uri": "http://models.test/digits.onnx", "digest": DIGEST},
            "replicas": 1,
        }
    )

    def named(self, name: str) -> "ModelBuilder":
        """The same under another name."""
        return ModelBuilder(name, self.namespace, copy.deepcopy(self.spec))

    def within(self, namespace: str) -> "ModelBuilder":
        """The same in another namespace."""
        return ModelBuilder(self.name, namespace, copy.deepcopy(self.spec))

    def with_source(self, **source: str | None) -> "ModelBuilder":
        """The same with other source fields; `None` takes a field out."""
        merged = {**self.spec["source"], **source}
        kept = {key: value for key, value in merged.items() if value is not None}
        return ModelBuilder(self.name, self.namespace, {**copy.deepcopy(self.spec), "source": kept})

    def with_spec(self, **fields: Any) -> "ModelBuilder":
        """The same with other fields of spec."""
        return ModelBuilder(self.name, self.namespace, {**copy.deepcopy(self.spec), **fields})

    def build(self) -> Obj:
        """The object."""
        metadata = {"name": self.name, "namespace": self.namespace}
        return {**AIMODEL.stamp(), "metadata": metadata, "spec": copy.deepcopy(self.spec)}

    def stored(self, uid: str = "uid-model", generation: int = 1) -> Obj:
        """The object as a watch shows it."""
        obj = self.build()
        obj["metadata"] |= {"uid": uid, "generation": generation, "resourceVersion": "1"}
        return obj


def a_model() -> ModelBuilder:
    """A small valid AIModel with a pinned source."""
    return ModelBuilder()
