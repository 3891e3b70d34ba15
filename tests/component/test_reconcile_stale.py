"""A cache that is behind the cluster: what cannot be taken back is decided on a fresh read, and only on that."""

from datetime import timedelta

import pytest

from aimodel_operator.kinds import AIMODEL, DEPLOYMENT, JOB, SERVICE, Obj, name_of
from aimodel_operator.reconcile.ports import Forbidden, Stale
from builders import a_model
from reconcile_laws import served
from world import FakeWorld


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


async def blind_pass(world: FakeWorld) -> None:
    """A pass whose cache has not heard of what happened since the last one."""
    await world.reconciler.reconcile(await world.cluster.get(AIMODEL, "default", "digits"))


async def switched(world: FakeWorld) -> tuple[str, str]:
    """Both Services have just moved; the Deployment they left is still there."""
    old = await served(world)
    await world.edit(AIMODEL, "digits", {"spec": {"serving": {"maxInFlight": 8}}})
    await world.settle()
    (new,) = set(await world.objects(DEPLOYMENT)) - {old}
    await world.make_ready(new, 1)
    await world.reconcile()
    assert await world.selected_revision() == new
    assert old in await world.objects(DEPLOYMENT)
    return old, new


async def test_nothing_is_deleted_on_a_view_that_is_no_longer_true(world: FakeWorld) -> None:
    old, new = await switched(world)
    await world.make_ready(new, 0)
    for name in ("digits", "digits-headless"):
        await world.edit(SERVICE, name, {"spec": {"selector": {"aimodel.dev/revision": old}}})
    await blind_pass(world)
    assert old in await world.objects(DEPLOYMENT), "it has the only pods that are ready"


async def test_no_second_build_is_started_beside_one_not_seen_yet(world: FakeWorld) -> None:
    await world.create_model(a_model().build())
    await world.settle()
    await world.fail_build("BuildFailed", "The registry does not answer.")
    world.advance(timedelta(seconds=6))
    await world.settle()
    (first,) = (name for name in await world.objects(JOB) if name.endswith("-1"))
    world.fake.remove((await world.objects(JOB))[first])
    world.restart_operator()
    await blind_pass(world)
    assert [name.rpartition("-")[2] for name in await world.objects(JOB)] == ["2"]


async def test_ghost_in_the_cache_is_forgotten_after_one_look(world: FakeWorld) -> None:
    await served(world)
    (deployment,) = (await world.objects(DEPLOYMENT)).values()
    ghost = {**deployment, "metadata": {**deployment["metadata"], "name": "digits-ghost", "uid": "ghost"}}
    world.cache.put(ghost)
    before = world.write_count()
    await blind_pass(world)
    names = {name_of(obj) for obj in world.cache.children(deployment["metadata"]["labels"]["aimodel.dev/uid"])}
    assert "digits-ghost" not in names
    assert world.write_count() == before


async def test_nothing_is_deleted_after_a_write_that_came_too_late(world: FakeWorld) -> None:
    old, _ = await switched(world)
    await world.edit(AIMODEL, "digits", {"spec": {"replicas": 2}})
    world.fake.refusals[("apply", "Deployment")] = Stale("the object has been modified")
    await world.reconcile()
    assert old in await world.objects(DEPLOYMENT)
    world.fake.refusals.clear()
    await world.settle()
    assert old not in await world.objects(DEPLOYMENT)


async def test_object_with_our_labels_and_another_owner_is_not_ours(world: FakeWorld) -> None:
    await served(world)
    (deployment,) = (await world.objects(DEPLOYMENT)).values()
    owner = {**deployment["metadata"]["ownerReferences"][0], "uid": "somebody", "name": "somebody"}
    foreign: Obj = {
        **DEPLOYMENT.stamp(),
        "metadata": {
            "name": "lookalike",
            "namespace": "default",
            "labels": deployment["metadata"]["labels"],
            "ownerReferences": [owner],
        },
        "spec": deployment["spec"],
        "status": {"readyReplicas": 9},
    }
    await world.create(foreign)
    model = await world.settle()
    assert "lookalike" in await world.objects(DEPLOYMENT)
    assert model["status"]["readyReplicas"] == 1


async def test_status_that_is_still_true_is_not_sent(world: FakeWorld) -> None:
    await served(world)
    world.fake.refusals[("apply_status", "AIModel")] = Forbidden("not to be asked")
    await world.reconcile()
