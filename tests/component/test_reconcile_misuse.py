"""What people and clusters do to a model that they should not: refusals, lost children, name-sakes, bent objects."""

import copy
from typing import Any

import pytest

from aimodel_operator.kinds import (
    AIMODEL,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    JOB,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Obj,
    labels_of,
    uid_of,
)
from aimodel_operator.reconcile.ports import (
    ClusterError,
    Forbidden,
    Invalid,
    QuotaExceeded,
    Stale,
    Unavailable,
)
from builders import OTHER_DIGEST, a_model
from reconcile_laws import IMAGE, condition, served, verdict
from world import FakeWorld

REFUSALS = [
    (Forbidden("the webhook says no"), "Forbidden"),
    (QuotaExceeded("exceeded quota: small"), "QuotaExceeded"),
    (Invalid("spec.x: Invalid value"), "ParameterInvalid"),
    (Unavailable("failed calling webhook"), "Progressing"),
    (Stale("the object has been modified"), "Progressing"),
]
FIRST_WRITES = [
    ("create", SERVICE_ACCOUNT),
    ("create", JOB),
    ("create", CONTROLLER_REVISION),
    ("create", DEPLOYMENT),
    ("create", SERVICE),
]
OPTIONAL: list[dict[str, Any]] = [
    {"image": {"repository": "r.test/other/digits"}},
    {"image": {"pushSecretRef": {"name": "push"}}},
    {"image": {"pullSecretRefs": [{"name": "pull"}]}},
    {"serving": {"engine": "ONNX"}},
    {"serving": {"batching": {"maxRows": 4}}},
    {"serving": {"batching": {"maxDelayMilliseconds": 7}}},
    {"serving": {"maxInFlight": 3}},
    {"serving": {"timeoutSeconds": 9}},
    {"serving": {"drainSeconds": 11}},
    {"serving": {"resources": {"limits": {"memory": "2Gi"}}}},
    {"serving": {"env": [{"name": "GREETING", "value": "hello"}]}},
    {"rollout": {"progressDeadlineSeconds": 77}},
    {"revisionHistoryLimit": 2},
    {"source": {"format": "ONNX"}},
]


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


async def live(world: FakeWorld) -> None:
    """Let every build succeed and every pod become ready, until nothing is left to do."""
    for _ in range(4):
        await world.settle()
        jobs = await world.objects(JOB)
        if any(not job.get("status", {}).get("conditions") for job in jobs.values()):
            await world.finish_build(image=IMAGE)
        for name, deployment in (await world.objects(DEPLOYMENT)).items():
            await world.make_ready(name, deployment["spec"]["replicas"])
    await world.settle()


async def contents(world: FakeWorld) -> dict[str, Any]:
    """What the children are, without what the API server adds."""
    kinds = (SERVICE, SERVICE_ACCOUNT, DEPLOYMENT)
    return {
        f"{kind.name}/{name}": [labels_of(obj), obj.get("spec")]
        for kind in kinds
        for name, obj in (await world.objects(kind)).items()
    }


@pytest.mark.parametrize("fields", OPTIONAL, ids=str)
async def test_field_that_is_set_and_removed_leaves_nothing_behind(world: FakeWorld, fields: dict[str, Any]) -> None:
    await world.create_model(a_model().build())
    await live(world)
    before = await contents(world)
    await world.edit(AIMODEL, "digits", {"spec": copy.deepcopy(fields)})
    await live(world)
    (field, value), *_ = fields.items()
    removed = dict.fromkeys(value) if field == "source" else None
    await world.edit(AIMODEL, "digits", {"spec": {field: removed}})
    await live(world)
    assert await contents(world) == before
    assert verdict(await world.settle(), "Ready") == ("True", "Serving")


@pytest.mark.parametrize(("error", "reason"), REFUSALS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(("verb", "kind"), FIRST_WRITES, ids=lambda value: getattr(value, "name", value))
async def test_refused_write_is_named_and_made_up_for(
    world: FakeWorld, verb: str, kind: Kind, error: ClusterError, reason: str
) -> None:
    world.fake.refusals[(verb, kind.name)] = error
    await world.create_model(a_model().build())
    if kind not in (SERVICE_ACCOUNT, JOB):
        await world.settle()
        await world.finish_build(image=IMAGE)
    model = await world.settle()
    assert verdict(model, "Ready") == ("False", reason)
    assert str(error) in condition(model, "Ready")["message"]
    assert verdict(model, "Available")[0] == "False"
    outcome = await world.reconcile()
    assert outcome.again_after_s in (2.0, 15.0), "nobody has to touch anything"
    world.fake.refusals.clear()
    await live(world)
    assert verdict(await world.settle(), "Ready") == ("True", "Serving")


@pytest.mark.parametrize(("error", "reason"), REFUSALS, ids=lambda value: type(value).__name__)
async def test_refused_switch_leaves_the_old_revision_serving(
    world: FakeWorld, error: ClusterError, reason: str
) -> None:
    old = await served(world, replicas=2)
    await world.edit(AIMODEL, "digits", {"spec": {"serving": {"maxInFlight": 8}}})
    await world.settle()
    (new,) = set(await world.objects(DEPLOYMENT)) - {old}
    await world.make_ready(new, 2)
    world.fake.refusals[("apply", "Service")] = error
    model = await world.settle()
    assert await world.selected_revision() == old
    assert (await world.objects(DEPLOYMENT))[old]["spec"]["replicas"] == 2
    assert verdict(model, "Ready") == ("False", reason)
    assert verdict(model, "Available") == ("True", "Serving")
    assert model["status"]["active"]["revision"] == old
    world.fake.refusals.clear()
    model = await world.settle()
    assert set(await world.objects(DEPLOYMENT)) == {new}
    assert verdict(model, "Ready") == ("True", "Serving")


async def test_headless_service_that_cannot_move_keeps_the_pods_it_points_to(world: FakeWorld) -> None:
    old = await served(world)
    await world.edit(AIMODEL, "digits", {"spec": {"serving": {"maxInFlight": 8}}})
    await world.settle()
    (new,) = set(await world.objects(DEPLOYMENT)) - {old}
    await world.make_ready(new, 1)

    def refuse(moment: str, obj: Obj) -> None:
        if obj["metadata"]["name"] == "digits-headless":
            raise Forbidden("the webhook says no")

    world.fake.on_write = refuse
    await world.settle()
    assert await world.selected_revision() == new
    assert old in await world.objects(DEPLOYMENT), "the headless Service still sends clients there"
    world.fake.on_write = lambda moment, obj: None
    await world.settle()
    assert set(await world.objects(DEPLOYMENT)) == {new}


async def test_refused_job_does_not_keep_a_running_model_from_scaling(world: FakeWorld) -> None:
    revision = await served(world)
    world.fake.refusals[("create", "Job")] = Unavailable("failed calling webhook")
    change = {"replicas": 3, "source": {"digest": OTHER_DIGEST}}
    await world.edit(AIMODEL, "digits", {"spec": change})
    model = await world.settle()
    assert (await world.objects(DEPLOYMENT))[revision]["spec"]["replicas"] == 3
    assert verdict(model, "Available") == ("True", "Serving")


async def test_refused_deletion_is_named_and_traffic_moved(world: FakeWorld) -> None:
    old = await served(world)
    await world.edit(AIMODEL, "digits", {"spec": {"serving": {"maxInFlight": 8}}})
    await world.settle()
    (new,) = set(await world.objects(DEPLOYMENT)) - {old}
    await world.make_ready(new, 1)
    world.fake.refusals[("delete", "Deployment")] = Forbidden("deployments.apps is forbidden")
    model = await world.settle()
    assert await world.selected_revision() == new
    assert verdict(model, "Ready") == ("False", "Forbidden")
    assert verdict(model, "Available") == ("True", "Serving")


@pytest.mark.parametrize("error", [error for error, _ in REFUSALS], ids=lambda value: type(value).__name__)
async def test_status_that_cannot_be_written_keeps_no_child_from_being_written(
    world: FakeWorld, error: ClusterError
) -> None:
    world.fake.refusals[("apply_status", "AIModel")] = error
    await world.create_model(a_model().build())
    for _ in range(2):
        with pytest.raises(type(error)):
            await world.reconcile()
    assert len(await world.objects(JOB)) == 1
    assert world.fake.writes == [
        ("create", "ServiceAccount", "digits-aimodel"),
        ("create", "Job", "digits-build-" + _key(world)),
    ]
    world.fake.refusals.clear()
    assert verdict(await world.settle(), "Ready") == ("False", "Progressing")


def _key(world: FakeWorld) -> str:
    (name,) = (name for kind, _, name in world.fake.objects if kind == "Job")
    return name.removeprefix("digits-build-")


async def test_terminating_namespace_is_named_and_quiet(world: FakeWorld) -> None:
    await world.create_model(a_model().build())
    for kind in (SERVICE_ACCOUNT, JOB):
        refusal = Forbidden("unable to create new content in namespace default because it is being terminated")
        world.fake.refusals[("create", kind.name)] = refusal
    model = await world.settle()
    assert verdict(model, "Ready") == ("False", "Forbidden")
    before = world.write_count()
    await world.reconcile()
    assert world.write_count() == before


async def test_model_made_again_waits_for_the_children_of_its_predecessor(world: FakeWorld) -> None:
    revision = await served(world)
    world.fake.remove(await world.cluster.get(AIMODEL, "default", "digits"))
    predecessors = {name: uid_of(obj) for name, obj in (await world.objects(DEPLOYMENT)).items()}
    again = await world.create_model(a_model().build())
    await world.settle()
    await world.finish_build(image=IMAGE)
    model = await world.settle()
    assert verdict(model, "Ready") == ("False", "NameConflict")
    assert "earlier AIModel of this name" in condition(model, "Ready")["message"]
    assert verdict(model, "Available")[0] == "False", "those pods are about to go"
    assert {name: uid_of(obj) for name, obj in (await world.objects(DEPLOYMENT)).items()} == predecessors
    assert (await world.reconcile()).again_after_s == 2.0
    world.fake.collect_garbage()
    await live(world)
    model = await world.settle()
    assert verdict(model, "Ready") == ("True", "Serving")
    (deployment,) = (await world.objects(DEPLOYMENT)).values()
    assert deployment["metadata"]["ownerReferences"][0]["uid"] == uid_of(again)
    assert deployment["metadata"]["name"] == revision


async def test_name_sake_that_vanishes_while_it_is_looked_at_is_tried_again(world: FakeWorld) -> None:
    await world.create({**SERVICE_ACCOUNT.stamp(), "metadata": {"name": "digits-aimodel", "namespace": "default"}})
    await world.create_model(a_model().build())
    original = world.fake.get

    async def vanishing(kind: Kind, namespace: str, name: str) -> Obj:
        if kind is SERVICE_ACCOUNT:
            world.fake.objects.pop((kind.name, namespace, name), None)
        return await original(kind, namespace, name)

    world.fake.get = vanishing  # type: ignore[method-assign]  # the fake is ours
    assert (await world.reconcile()).again_after_s == 2.0
    world.fake.get = original  # type: ignore[method-assign]
    await live(world)
    assert verdict(await world.settle(), "Ready") == ("True", "Serving")


async def test_deployment_stuck_in_deletion_gets_no_traffic_and_is_made_again(world: FakeWorld) -> None:
    old = await served(world)
    await world.edit(AIMODEL, "digits", {"spec": {"serving": {"maxInFlight": 8}}})
    await world.settle()
    (new,) = set(await world.objects(DEPLOYMENT)) - {old}
    await world.edit(DEPLOYMENT, new, {"metadata": {"finalizers": ["example.test/stuck"]}})
    world.fake.remove((await world.objects(DEPLOYMENT))[new])
    await world.make_ready(new, 1)
    model = await world.settle()
    assert await world.selected_revision() == old
    assert verdict(model, "Available") == ("True", "Serving")
    del world.fake.objects[("Deployment", "default", new)]
    world.restart_operator()
    await live(world)
    assert await world.selected_revision() == new


async def test_model_that_is_being_deleted_is_left_alone(world: FakeWorld) -> None:
    await served(world)
    await world.edit(AIMODEL, "digits", {"metadata": {"finalizers": ["foregroundDeletion"]}})
    world.fake.remove(await world.cluster.get(AIMODEL, "default", "digits"))
    await world.edit(AIMODEL, "digits", {"spec": {"replicas": 5}})
    before = world.write_count()
    await world.settle()
    assert world.write_count() == before
