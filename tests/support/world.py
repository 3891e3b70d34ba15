"""A cluster with one model in it, driven step by step: what the laws of reconciling are written against.

`FakeWorld` runs on `FakeCluster`, `ApiWorld` (tests/apiserver) on a real API server. Both play the parts that
no controller plays there: the kubelet that makes pods ready and the build that ends.
"""

import json
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any

from aimodel_operator.decide import LookUp
from aimodel_operator.kinds import AIMODEL, DEPLOYMENT, JOB, POD, SERVICE, Kind, Obj, labels_of, name_of, uid_of
from aimodel_operator.observe import Artefact
from aimodel_operator.reconcile import Cache, Cluster, Reconciler
from aimodel_operator.reconcile.reconciler import Outcome
from aimodel_operator.settings import Settings
from builders import DIGEST, SETTINGS
from fake_cluster import FakeCluster


class FakeImages:
    """A registry that knows what it was told."""

    def __init__(self) -> None:
        self.known: dict[str, Artefact] = {}
        self.asked: list[LookUp] = []

    async def find(self, look_up: LookUp) -> Artefact | None:
        self.asked.append(look_up)
        return self.known.get(look_up.repository)


class World(ABC):
    """One cluster, one operator without its own loop: `settle` runs passes until nothing is left to write."""

    def __init__(self, cluster: Cluster, namespace: str = "default", settings: Settings = SETTINGS) -> None:
        self.cluster = cluster
        self.images = FakeImages()
        self.namespace = namespace
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.settings = settings
        self.restart_operator()

    def restart_operator(self) -> None:
        """A new operator that remembers nothing."""
        self.cache = Cache()
        self.reconciler = Reconciler(self.cluster, self.images, self.cache, self.settings, lambda: self.now)

    @abstractmethod
    async def create_model(self, obj: Obj) -> Obj:
        """`kubectl create` of an AIModel."""

    @abstractmethod
    async def edit(self, kind: Kind, name: str, change: Obj) -> Obj:
        """A merge patch by somebody else, the status included."""

    @abstractmethod
    async def objects(self, kind: Kind) -> dict[str, Obj]:
        """All objects of a kind in the namespace, by name."""

    @abstractmethod
    async def create(self, obj: Obj) -> Obj:
        """Create any object, as somebody else."""

    @abstractmethod
    def write_count(self) -> int:
        """How many writes of ours changed something."""

    async def reconcile(self, name: str = "digits") -> Outcome:
        """One pass with a cache that has seen everything."""
        obj = await self.cluster.get(AIMODEL, self.namespace, name)
        for child in await self.cluster.children(self.namespace, obj["metadata"]["uid"]):
            self.cache.put(child)
        return await self.reconciler.reconcile(obj)

    async def settle(self, name: str = "digits") -> Obj:
        """Passes until one writes nothing; returns the AIModel. More than ten passes are a hot loop."""
        for _ in range(10):
            before = self.write_count()
            await self.reconcile(name)
            if self.write_count() == before:
                return await self.cluster.get(AIMODEL, self.namespace, name)
        raise AssertionError("the operator goes on writing although nothing happens")

    async def finish_build(self, *, image: str, model_digest: str = DIGEST) -> None:
        """Let the running build Job succeed."""
        report = {"image": image, "modelDigest": model_digest, "format": "ONNX"}
        await self._end_build("Complete", report, exit_code=0)

    async def fail_build(self, reason: str, message: str) -> None:
        """Let the running build Job fail with a reason of its own."""
        await self._end_build("Failed", {"reason": reason, "message": message}, exit_code=1)

    async def make_ready(self, revision: str, ready: int) -> None:
        """Play kubelet and Deployment controller for one revision."""
        deployment = (await self.objects(DEPLOYMENT))[revision]
        counts = {"replicas": ready, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": ready}
        observed = {"observedGeneration": deployment["metadata"]["generation"]}
        await self.edit(DEPLOYMENT, revision, {"status": {**counts, **observed}})

    async def add_pod(self, revision: str, container_status: Obj, name: str = "pod-0") -> None:
        """A pod of a revision whose only container is in the given state."""
        deployment = (await self.objects(DEPLOYMENT))[revision]
        await self._add_pod(name, labels_of({"metadata": deployment["spec"]["template"]["metadata"]}), container_status)

    async def selected_revision(self, name: str = "digits") -> str | None:
        """The revision that the model's Service points to."""
        service = (await self.objects(SERVICE)).get(name)
        return None if service is None else service["spec"]["selector"]["aimodel.dev/revision"]

    def advance(self, delta: timedelta) -> None:
        """Let time pass."""
        self.now += delta

    async def _end_build(self, condition: str, report: Obj, exit_code: int) -> None:
        jobs = await self.objects(JOB)
        running = [job for job in jobs.values() if not job.get("status", {}).get("conditions")]
        assert len(running) == 1, f"one build should be running, not {len(running)}"
        job = running[0]
        labels = {**labels_of(job), "batch.kubernetes.io/controller-uid": uid_of(job)}
        terminated = {"exitCode": exit_code, "reason": "Completed", "message": json.dumps(report)}
        await self._add_pod(
            f"build-{uid_of(job)}", labels, {"name": "build", "ready": False, "state": {"terminated": terminated}}
        )
        stamp = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        await self.edit(JOB, name_of(job), {"status": _job_status(condition, stamp)})

    async def _add_pod(self, name: str, labels: Any, container_status: Obj) -> None:
        container = container_status["name"]
        pod = {
            **POD.stamp(),
            "metadata": {"name": name, "namespace": self.namespace, "labels": dict(labels)},
            "spec": {"containers": [{"name": container, "image": "registry.test/x:1"}]},
        }
        await self.create(pod)
        whole = {"image": "registry.test/x:1", "imageID": "", "restartCount": 0, "ready": False, **container_status}
        await self.edit(POD, name, {"status": {"phase": "Running", "containerStatuses": [whole]}})


def _job_status(condition: str, stamp: str) -> Obj:
    first = "SuccessCriteriaMet" if condition == "Complete" else "FailureTarget"
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": stamp, "lastProbeTime": stamp}
        for kind in (first, condition)
    ]
    status: Obj = {"startTime": stamp, "conditions": conditions}
    return {**status, "completionTime": stamp, "succeeded": 1} if condition == "Complete" else {**status, "failed": 1}


class FakeWorld(World):
    """A world in memory."""

    def __init__(self) -> None:
        self.fake = FakeCluster()
        super().__init__(self.fake)

    async def create_model(self, obj: Obj) -> Obj:
        return await self.create(obj)

    async def create(self, obj: Obj) -> Obj:
        with self.fake.as_somebody_else():
            return await self.fake.create(obj)

    async def edit(self, kind: Kind, name: str, change: Obj) -> Obj:
        return self.fake.edit(kind, self.namespace, name, change)

    async def objects(self, kind: Kind) -> dict[str, Obj]:
        return {name: obj for (held, _, name), obj in self.fake.objects.items() if held == kind.name}

    def write_count(self) -> int:
        return len(self.fake.writes)
