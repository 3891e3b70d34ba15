"""Random edits, accidents and restarts: what holds at every step, and an end state that knows nothing of the way."""

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aimodel_operator.kinds import (
    AIMODEL,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    JOB,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Obj,
    annotations_of,
    labels_of,
)
from builders import a_model
from world import FakeWorld

DIGESTS = ["sha256:" + letter * 64 for letter in "abc"]
EDITS: list[Obj] = [
    *({"replicas": count} for count in (1, 2, 3)),
    *({"source": {"digest": digest}} for digest in DIGESTS),
    *(
        {"serving": serving}
        for serving in (None, {"maxInFlight": 8}, {"drainSeconds": 9}, {"env": [{"name": "A", "value": "1"}]})
    ),
    *({"image": image} for image in (None, {"repository": "r.test/elsewhere/digits"})),
    *({"revisionHistoryLimit": limit} for limit in (None, 0, 1)),
    *({"rollout": rollout} for rollout in (None, {"progressDeadlineSeconds": 30})),
]
OWNED = (CONTROLLER_REVISION, DEPLOYMENT, JOB, SERVICE, SERVICE_ACCOUNT)
FOREIGN = {
    **SERVICE.stamp(),
    "metadata": {"name": "somebody", "namespace": "default", "labels": {"aimodel.dev/model": "digits"}},
    "spec": {"selector": {"app": "somebody"}, "ports": [{"port": 80}]},
}
MOST_WRITES = 14
"""The most that one event can cause: every child of two revisions, a Job, and a status for each of the passes."""


def image_for(spec: Obj) -> str:
    """What a build of this spec ends with."""
    repository = (spec.get("image") or {}).get("repository", "registry.test:5000/models/default/digits")
    return f"{repository}@{spec['source']['digest']}"


async def running_job(world: FakeWorld) -> bool:
    return any(not job.get("status", {}).get("conditions") for job in (await world.objects(JOB)).values())


async def finish_build(world: FakeWorld) -> None:
    spec = (await world.cluster.get(AIMODEL, "default", "digits"))["spec"]
    await world.finish_build(image=image_for(spec), model_digest=spec["source"]["digest"])


async def bring_to_rest(world: FakeWorld) -> None:
    """Builds succeed, pods become ready, time passes, until the spec is served."""
    for _ in range(8):
        await world.settle()
        if await running_job(world):
            await finish_build(world)
        for name, deployment in (await world.objects(DEPLOYMENT)).items():
            await world.make_ready(name, deployment["spec"]["replicas"])
        world.advance(timedelta(minutes=6))
    await world.settle()


async def at_rest(world: FakeWorld) -> str:
    """The children that serve, and what is said of them; neither uids and numbers nor history."""
    model = await world.cluster.get(AIMODEL, "default", "digits")
    seen: dict[str, Any] = {}
    for kind in (DEPLOYMENT, JOB, SERVICE, SERVICE_ACCOUNT):
        for name, obj in (await world.objects(kind)).items():
            labels = {key: value for key, value in labels_of(obj).items() if key != "aimodel.dev/uid"}
            seen[f"{kind.name}/{name}"] = [labels, obj.get("spec"), obj.get("automountServiceAccountToken")]
    active = model["status"]["active"]["revision"]
    seen["revision"] = (await world.objects(CONTROLLER_REVISION))[active]["data"]
    seen["status"] = [
        model["status"]["active"],
        [
            (entry["type"], entry["status"], entry["reason"], entry["message"])
            for entry in model["status"]["conditions"]
        ],
    ]
    uid = model["metadata"]["uid"]
    return json.dumps(seen, sort_keys=True, indent=1).replace(uid, "UID")


class History(RuleBasedStateMachine):
    """One model and everything that can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = FakeWorld()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    @initialize()
    def create(self) -> None:
        self.run(self.world.create(FOREIGN))
        self.run(self.world.create_model(a_model().build()))
        self.world.fake.on_write = self._watch_write
        self.react()

    def _watch_write(self, moment: str, obj: Obj) -> None:
        assert obj["metadata"]["name"] != "somebody", "I3: a foreign object is touched"

    def react(self) -> None:
        """Let the operator react; I9: with a bounded number of writes, and then with none."""
        before = self.world.write_count()
        self.run(self.world.settle())
        assert self.world.write_count() - before <= MOST_WRITES

    @rule(change=st.sampled_from(EDITS))
    def edit(self, change: Obj) -> None:
        self.run(self.world.edit(AIMODEL, "digits", {"spec": change}))
        self.react()

    @rule(changes=st.lists(st.sampled_from(EDITS), min_size=2, max_size=4))
    def edit_quickly(self, changes: list[Obj]) -> None:
        for change in changes:
            self.run(self.world.edit(AIMODEL, "digits", {"spec": change}))
        self.react()

    @precondition(lambda self: self.run(running_job(self.world)))
    @rule()
    def build_succeeds(self) -> None:
        self.run(finish_build(self.world))
        self.react()

    @precondition(lambda self: self.run(running_job(self.world)))
    @rule()
    def build_fails(self) -> None:
        self.run(self.world.fail_build("BuildFailed", "The registry does not answer."))
        self.react()

    @rule(data=st.data(), share=st.sampled_from([0, 1, 1000]))
    def pods_change(self, data: st.DataObject, share: int) -> None:
        deployments = self.run(self.world.objects(DEPLOYMENT))
        if not deployments:
            return
        name = data.draw(st.sampled_from(sorted(deployments)))
        self.run(self.world.make_ready(name, min(share, deployments[name]["spec"]["replicas"])))
        self.react()

    @rule(data=st.data(), kind=st.sampled_from(OWNED))
    def child_is_deleted(self, data: st.DataObject, kind: Kind) -> None:
        names = sorted(set(self.run(self.world.objects(kind))) - {"somebody"})
        if not names:
            return
        child = self.run(self.world.objects(kind))[data.draw(st.sampled_from(names))]
        self.world.fake.remove(child)
        self.world.cache.remove(child)
        self.react()

    @rule(data=st.data(), selector=st.sampled_from([{"aimodel.dev/revision": "digits-none"}, {"app": "x"}]))
    def service_is_bent(self, data: st.DataObject, selector: dict[str, str]) -> None:
        names = sorted(set(self.run(self.world.objects(SERVICE))) - {"somebody"})
        if names:
            name = data.draw(st.sampled_from(names))
            self.run(self.world.edit(SERVICE, name, {"spec": {"selector": selector}}))
            self.react()

    @rule(
        data=st.data(),
        change=st.sampled_from([{"spec": {"replicas": 7}}, {"metadata": {"labels": {"aimodel.dev/revision": None}}}]),
    )
    def deployment_is_bent(self, data: st.DataObject, change: Obj) -> None:
        names = sorted(self.run(self.world.objects(DEPLOYMENT)))
        if names:
            self.run(self.world.edit(DEPLOYMENT, data.draw(st.sampled_from(names)), change))
            self.react()

    @rule(seconds=st.sampled_from([6, 60, 600]))
    def time_passes(self, seconds: int) -> None:
        self.world.advance(timedelta(seconds=seconds))
        self.react()

    @rule()
    def operator_restarts(self) -> None:
        before = self.world.write_count()
        self.world.restart_operator()
        self.react()
        assert self.world.write_count() == before, "a restart is no event"

    @invariant()
    def one_build_at_a_time(self) -> None:
        """I5: at most one live build per inputs."""
        live = Counter(
            annotations_of(job)["aimodel.dev/build-key"]
            for job in self.run(self.world.objects(JOB)).values()
            if not job.get("status", {}).get("conditions")
        )
        assert max(live.values(), default=0) <= 1

    @invariant()
    def traffic_goes_where_pods_are_ready(self) -> None:
        """I6: our action leaves no Service without ready pods while some revision has them."""
        ready = self._ready()
        for name, service in self.run(self.world.objects(SERVICE)).items():
            if name != "somebody" and any(ready.values()):
                selected = service["spec"]["selector"]["aimodel.dev/revision"]
                assert ready.get(selected, 0) > 0, f"{name} selects {selected} of {ready}"

    @invariant()
    def conditions_are_true(self) -> None:
        """I8: Ready only for this generation with matching children; Available exactly when a selected pod is ready."""
        model = self.run(self._model())
        if "status" not in model:
            return
        said = {entry["type"]: entry["status"] == "True" for entry in model["status"]["conditions"]}
        service = self.run(self.world.objects(SERVICE)).get("digits")
        selected = service and service["spec"]["selector"]["aimodel.dev/revision"]
        assert said["Available"] == (self._ready().get(selected or "", 0) > 0)
        assert model["status"]["observedGeneration"] == model["metadata"]["generation"]
        if said["Ready"]:
            active = self.run(self.world.objects(DEPLOYMENT))[selected]
            image = active["spec"]["template"]["spec"]["containers"][0]["image"]
            assert image == image_for(model["spec"])
            assert active["spec"]["replicas"] == model["spec"]["replicas"] <= self._ready()[selected]

    def _ready(self) -> dict[str, int]:
        return {
            name: deployment.get("status", {}).get("readyReplicas", 0)
            for name, deployment in self.run(self.world.objects(DEPLOYMENT)).items()
        }

    async def _model(self) -> Obj:
        return self.world.fake.objects.get(("AIModel", "default", "digits"), {})

    def teardown(self) -> None:
        if self.run(self._model()):
            self.run(self._compare_with_a_fresh_apply())
        self.runner.close()

    async def _compare_with_a_fresh_apply(self) -> None:
        await bring_to_rest(self.world)
        model = await self._model()
        fresh = FakeWorld()
        await fresh.create(FOREIGN)
        await fresh.create_model(
            {**AIMODEL.stamp(), "metadata": {"name": "digits", "namespace": "default"}, "spec": model["spec"]}
        )
        await bring_to_rest(fresh)
        assert await at_rest(self.world) == await at_rest(fresh), "I2"


TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=120,
    stateful_step_count=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
