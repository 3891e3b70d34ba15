"""Children deleted or bent by others in the middle of a rollout: traffic stays with the pods that answer."""

import pytest

from aimodel_operator.kinds import (
    AIMODEL,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    JOB,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    labels_of,
)
from builders import DIGEST, OTHER_DIGEST
from reconcile_laws import IMAGE, served, verdict
from world import FakeWorld

BOTH = ("digits", "digits-headless")


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


async def halfway(world: FakeWorld) -> tuple[str, str]:
    """The old revision serves with two pods, of the new one none is ready."""
    old = await served(world, replicas=2)
    await world.edit(AIMODEL, "digits", {"spec": {"serving": {"maxInFlight": 8}}})
    await world.settle()
    (new,) = set(await world.objects(DEPLOYMENT)) - {old}
    return old, new


async def remove(world: FakeWorld, kind: Kind, *names: str) -> None:
    for name in names:
        child = (await world.objects(kind))[name]
        world.fake.remove(child)
        world.cache.remove(child)


@pytest.mark.parametrize("gone", [("digits",), BOTH], ids=["one", "both"])
async def test_deleted_services_come_back_pointing_to_the_pods_that_are_ready(
    world: FakeWorld, gone: tuple[str, ...]
) -> None:
    old, new = await halfway(world)
    await remove(world, SERVICE, *gone)
    model = await world.settle()
    assert await world.selected_revision() == old
    assert (await world.objects(DEPLOYMENT))[old]["spec"]["replicas"] == 2
    assert set(await world.objects(DEPLOYMENT)) == {old, new}
    assert verdict(model, "Available") == ("True", "Serving")


async def test_services_bent_to_a_revision_without_pods_are_put_right(world: FakeWorld) -> None:
    first = await served(world, replicas=2)
    await world.edit(AIMODEL, "digits", {"spec": {"serving": {"maxInFlight": 8}}})
    await world.settle()
    (second,) = set(await world.objects(DEPLOYMENT)) - {first}
    await world.make_ready(second, 2)
    await world.settle()
    await world.edit(AIMODEL, "digits", {"spec": {"serving": {"maxInFlight": 9}}})
    await world.settle()
    for name in BOTH:
        await world.edit(SERVICE, name, {"spec": {"selector": {"aimodel.dev/revision": first}}})
    await world.settle()
    assert await world.selected_revision() == second
    assert first not in await world.objects(DEPLOYMENT), "no pods are made for it"


async def test_label_added_to_the_selector_is_taken_out(world: FakeWorld) -> None:
    await served(world)
    await world.edit(SERVICE, "digits", {"spec": {"selector": {"app": "other"}}})
    await world.settle()
    assert "app" not in (await world.objects(SERVICE))["digits"]["spec"]["selector"]


async def test_deleted_revision_object_stops_no_pod(world: FakeWorld) -> None:
    revision = await served(world, replicas=2)
    await remove(world, CONTROLLER_REVISION, revision)
    model = await world.settle()
    assert await world.selected_revision() == revision
    assert (await world.objects(DEPLOYMENT))[revision]["spec"]["replicas"] == 2
    assert verdict(model, "Available") == ("True", "Serving")
    await world.finish_build(image=IMAGE, model_digest=DIGEST)
    model = await world.settle()
    assert revision in await world.objects(CONTROLLER_REVISION)
    assert verdict(model, "Ready") == ("True", "Serving")


@pytest.mark.parametrize(
    "label", ["aimodel.dev/revision", "aimodel.dev/uid", "app.kubernetes.io/managed-by", "aimodel.dev/model"]
)
@pytest.mark.parametrize("kind", [DEPLOYMENT, SERVICE, SERVICE_ACCOUNT], ids=lambda kind: kind.name)
async def test_removed_label_is_put_back_and_nothing_deleted(world: FakeWorld, kind: Kind, label: str) -> None:
    revision = await served(world)
    name = {DEPLOYMENT: revision, SERVICE: "digits", SERVICE_ACCOUNT: "digits-aimodel"}[kind]
    before = (await world.objects(kind))[name]
    await world.edit(kind, name, {"metadata": {"labels": {label: None}}})
    world.restart_operator()
    await world.settle()
    after = (await world.objects(kind))[name]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert labels_of(after) == labels_of(before)


async def test_revision_that_serves_badly_gives_way_to_a_target_with_any_ready_pod(world: FakeWorld) -> None:
    old, new = await halfway(world)
    await world.make_ready(old, 0)
    await world.settle()
    assert await world.selected_revision() == old, "nobody has pods: no reason to move"
    await world.make_ready(new, 1)
    model = await world.settle()
    assert await world.selected_revision() == new
    assert verdict(model, "Available") == ("True", "Serving")
    assert verdict(model, "Ready")[0] == "False", "one of two pods"


async def test_pod_of_an_earlier_job_of_the_same_name_tells_nothing(world: FakeWorld) -> None:
    await served(world)
    await world.edit(AIMODEL, "digits", {"spec": {"source": {"digest": OTHER_DIGEST}}})
    await world.settle()
    (job,) = (await world.objects(JOB)).values()
    await world.fail_build("ModelNotFound", "answers 404")
    await world.settle()
    await remove(world, JOB, job["metadata"]["name"])  # "to try again at once, delete that Job"; its pod lingers
    model = await world.settle()
    (again,) = (await world.objects(JOB)).values()
    assert again["metadata"]["name"] == job["metadata"]["name"]
    assert verdict(model, "Ready") == ("False", "Progressing")


async def test_available_is_false_while_the_service_belongs_to_somebody_else(world: FakeWorld) -> None:
    revision = await served(world)
    await remove(world, SERVICE, "digits")
    await world.create(
        {
            **SERVICE.stamp(),
            "metadata": {"name": "digits", "namespace": "default"},
            "spec": {"selector": {"app": "somebody"}, "ports": [{"port": 80}]},
        }
    )
    model = await world.settle()
    assert verdict(model, "Ready") == ("False", "NameConflict")
    assert (await world.objects(DEPLOYMENT))[revision]["status"]["readyReplicas"] == 1
    assert (await world.objects(SERVICE))["digits"]["spec"]["selector"] == {"app": "somebody"}
    assert verdict(model, "Available") == ("False", "NameConflict")
