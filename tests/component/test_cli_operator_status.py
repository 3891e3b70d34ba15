"""`aimodel status` over the statuses that the operator itself writes, from the first look to a failed update."""

from aimodel_operator.cli.timeline import State, progress_of
from aimodel_operator.kinds import DEPLOYMENT
from builders import DIGEST, a_model
from world import World

IMAGE = "registry.test:5000/models/default/digits@sha256:" + "c" * 64


def states(model: dict[str, object]) -> list[State]:
    return [stage.state for stage in progress_of(model).stages]


async def test_the_way_of_a_model_from_source_to_serving(world: World) -> None:
    await world.create_model(a_model().build())
    model = await world.settle()
    assert states(model) == [State.RUNNING, State.WAITING, State.WAITING, State.WAITING]

    await world.finish_build(image=IMAGE, model_digest=DIGEST)
    model = await world.settle()
    assert states(model) == [State.DONE, State.DONE, State.RUNNING, State.WAITING]

    (revision,) = await world.objects(DEPLOYMENT)
    await world.make_ready(revision, 1)
    progress = progress_of(await world.settle())
    assert [stage.state for stage in progress.stages] == [State.DONE] * 4
    assert progress.is_settled
    assert (progress.revision, progress.image, progress.remedy) == (revision, IMAGE, "")
    assert progress.url


async def test_a_refused_model_fails_at_its_source(world: World) -> None:
    await world.create_model(a_model().build())
    await world.settle()
    await world.fail_build("ModelRejected", "model.pkl is a pickle. Export the model as ONNX.")
    progress = progress_of(await world.settle())
    assert [stage.state for stage in progress.stages] == [State.FAILED, *[State.WAITING] * 3]
    assert progress.stages[0].reason == "ModelRejected"
    assert progress.remedy


async def test_a_failed_push_fails_at_the_build(world: World) -> None:
    await world.create_model(a_model().build())
    await world.settle()
    await world.fail_build("RegistryDenied", "registry.test:5000 refused the push with 403.")
    assert states(await world.settle()) == [State.UNKNOWN, State.FAILED, State.WAITING, State.WAITING]


async def test_pods_out_of_memory_fail_the_rollout(world: World) -> None:
    await world.create_model(a_model().build())
    await world.settle()
    await world.finish_build(image=IMAGE, model_digest=DIGEST)
    await world.settle()
    (revision,) = await world.objects(DEPLOYMENT)
    killed = {"exitCode": 137, "reason": "OOMKilled"}
    await world.add_pod(revision, {"name": "server", "restartCount": 1, "state": {"terminated": killed}})
    progress = progress_of(await world.settle())
    assert [stage.state for stage in progress.stages] == [State.DONE, State.DONE, State.FAILED, State.WAITING]
    assert progress.reason == "OutOfMemory"
