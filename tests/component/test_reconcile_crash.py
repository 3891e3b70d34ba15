"""The operator dies before and after each of its writes; a new one with an empty memory ends in the same state."""

import json
from collections import Counter

import pytest

from aimodel_operator.kinds import (
    AIMODEL,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    JOB,
    SERVICE,
    SERVICE_ACCOUNT,
    Obj,
    annotations_of,
    labels_of,
)
from builders import DIGEST, OTHER_DIGEST, a_model
from world import FakeWorld

IMAGES = {
    DIGEST: "registry.test:5000/models/d@sha256:" + "c" * 64,
    OTHER_DIGEST: "registry.test:5000/d@sha256:" + "d" * 64,
}
FOREIGN = {
    **SERVICE.stamp(),
    "metadata": {"name": "somebody", "namespace": "default", "labels": {"aimodel.dev/model": "digits"}},
    "spec": {"selector": {"app": "somebody"}, "ports": [{"port": 80}]},
}
WRITES = 22
"""Creates, applies, deletes and status writes of one life; the learning run holds this number to what happens."""


class Died(Exception):
    """The operator's process is gone."""


class Life:
    """One model from creation over a new digest to the pruning of its first revision, with an operator that dies."""

    def __init__(self, dies_at: int | None = None, moment: str = "before") -> None:
        self.world = FakeWorld()
        self.dies_at = dies_at
        self.moment = moment
        self.written = 0
        self.world.fake.on_write = self._on_write

    async def run(self) -> None:
        world = self.world
        await world.create(FOREIGN)
        await world.create_model(a_model().with_spec(replicas=2, revisionHistoryLimit=0).build())
        await self.settle()
        await world.finish_build(image=IMAGES[DIGEST], model_digest=DIGEST)
        await self.settle()
        await self._all_ready()
        await world.edit(AIMODEL, "digits", {"spec": {"source": {"digest": OTHER_DIGEST}}})
        await self.settle()
        await world.finish_build(image=IMAGES[OTHER_DIGEST], model_digest=OTHER_DIGEST)
        await self.settle()
        await self._all_ready()

    async def settle(self) -> None:
        """Passes until quiet; after a death a new operator goes on."""
        try:
            await self.world.settle()
        except Died:
            self.world.restart_operator()
            await self.world.settle()

    async def _all_ready(self) -> None:
        for revision in await self.world.objects(DEPLOYMENT):
            await self.world.make_ready(revision, 2)
        await self.settle()

    def _on_write(self, moment: str, obj: Obj) -> None:
        self._check(obj)
        if moment == "before":
            self.written += 1
        if self.written == self.dies_at and moment == self.moment:
            self.dies_at = None
            raise Died

    def _check(self, obj: Obj) -> None:
        objects = self.world.fake.objects
        builds = Counter(
            annotations_of(held)["aimodel.dev/build-key"]
            for (kind, _, _), held in objects.items()
            if kind == JOB.name and not held.get("status", {}).get("conditions")
        )
        assert max(builds.values(), default=0) <= 1, "two builds of the same inputs run"
        assert labels_of(obj).get("app") != "somebody"
        assert obj["metadata"]["name"] != "somebody", "a foreign object is touched"
        ready = {
            name: held.get("status", {}).get("readyReplicas", 0)
            for (kind, _, name), held in objects.items()
            if kind == DEPLOYMENT.name
        }
        for name in ("digits", "digits-headless"):
            service = objects.get((SERVICE.name, "default", name))
            selected = service and service["spec"]["selector"]["aimodel.dev/revision"]
            assert not selected or ready.get(selected, 0) > 0 or not any(ready.values()), "traffic goes to no pod"


async def end_state(world: FakeWorld) -> str:
    """Everything but versions, uids and times."""
    seen = {}
    for kind in (AIMODEL, CONTROLLER_REVISION, DEPLOYMENT, JOB, SERVICE, SERVICE_ACCOUNT):
        for name, obj in (await world.objects(kind)).items():
            seen[f"{kind.name}/{name}"] = {key: value for key, value in obj.items() if key != "metadata"} | {
                "labels": dict(labels_of(obj)),
                "annotations": dict(annotations_of(obj)),
            }
    return json.dumps(seen, sort_keys=True, indent=1)


async def test_learning_run_writes_what_is_counted() -> None:
    life = Life()
    await life.run()
    assert life.written == WRITES
    assert sorted(kind for kind, _, _ in life.world.fake.objects) == [
        "AIModel", "ControllerRevision", "Deployment", "Pod", "Pod",
        "Service", "Service", "Service", "ServiceAccount",
    ]  # fmt: skip


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, WRITES + 1))
async def test_death_at_a_write_changes_nothing_in_the_end(number: int, moment: str) -> None:
    undisturbed = Life()
    await undisturbed.run()
    life = Life(dies_at=number, moment=moment)
    await life.run()
    assert life.dies_at is None, "it died"
    assert await end_state(life.world) == await end_state(undisturbed.world)
