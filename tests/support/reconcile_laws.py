"""What must hold of reconciling, whatever the API server behind it. Imported by a component test module (fake)
and by an apiserver test module (real); the fixture `world` decides."""

from dataclasses import replace
from datetime import timedelta

from aimodel_operator.kinds import (
    AIMODEL,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    JOB,
    SERVICE,
    SERVICE_ACCOUNT,
    Obj,
    labels_of,
    uid_of,
)
from aimodel_operator.observe import Artefact
from builders import DIGEST, OTHER_DIGEST, a_model
from world import World

IMAGE = "registry.test:5000/models/default/digits@sha256:" + "c" * 64
OTHER_IMAGE = "registry.test:5000/models/default/digits@sha256:" + "d" * 64


def condition(model: Obj, kind: str) -> Obj:
    return next(entry for entry in model["status"]["conditions"] if entry["type"] == kind)


def verdict(model: Obj, kind: str) -> tuple[str, str]:
    entry = condition(model, kind)
    return entry["status"], entry["reason"]


async def served(world: World, replicas: int = 1) -> str:
    """Bring the small model to Ready; returns its revision."""
    await world.create_model(a_model().within(world.namespace).with_spec(replicas=replicas).build())
    await world.settle()
    await world.finish_build(image=IMAGE)
    await world.settle()
    (revision,) = await world.objects(DEPLOYMENT)
    await world.make_ready(revision, replicas)
    await world.settle()
    return revision


async def test_new_model_starts_one_build_and_says_so(world: World) -> None:
    await world.create_model(a_model().within(world.namespace).build())
    model = await world.settle()
    (job,) = (await world.objects(JOB)).values()
    assert job["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    assert verdict(model, "Ready") == ("False", "Progressing")
    assert verdict(model, "Available") == ("False", "Progressing")
    assert verdict(model, "SpecValid") == ("True", "Succeeded")
    assert model["status"]["observedGeneration"] == 1


async def test_built_model_gets_a_revision_with_deployment_and_services(world: World) -> None:
    revision = await served(world)
    model = await world.settle()
    assert verdict(model, "Ready") == ("True", "Serving")
    assert model["status"]["active"]["modelDigest"] == DIGEST
    assert model["status"]["url"] == f"grpc://digits.{world.namespace}.svc:8001"
    deployment = (await world.objects(DEPLOYMENT))[revision]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE
    services = await world.objects(SERVICE)
    assert services["digits"]["spec"]["ports"][0]["appProtocol"] == "kubernetes.io/h2c"
    assert services["digits-headless"]["spec"]["clusterIP"] == "None"
    assert "digits-aimodel" in await world.objects(SERVICE_ACCOUNT)


async def test_every_child_is_owned_and_labelled(world: World) -> None:
    await served(world)
    model = await world.cluster.get(AIMODEL, world.namespace, "digits")
    for kind in (CONTROLLER_REVISION, DEPLOYMENT, SERVICE, SERVICE_ACCOUNT):
        for name, obj in (await world.objects(kind)).items():
            if name in ("kubernetes", "default"):
                continue  # the cluster's own
            assert labels_of(obj)["aimodel.dev/uid"] == uid_of(model)
            assert obj["metadata"]["ownerReferences"][0]["uid"] == uid_of(model)


async def test_quiet_when_nothing_changes(world: World) -> None:
    await served(world)
    before = world.write_count()
    for _ in range(3):
        await world.reconcile()
    assert world.write_count() == before


async def test_restarted_operator_writes_nothing(world: World) -> None:
    await served(world)
    before = world.write_count()
    world.restart_operator()
    await world.settle()
    assert world.write_count() == before


async def test_built_image_is_found_again_without_a_build(world: World) -> None:
    world.images.known[f"{world.settings.registry}/{world.namespace}/digits"] = Artefact(IMAGE, DIGEST, "ONNX")
    await world.create_model(a_model().within(world.namespace).build())
    await world.settle()
    assert await world.objects(JOB) == {}
    assert len(await world.objects(DEPLOYMENT)) == 1
    assert world.images.asked[0].tag.startswith("in-")


async def test_new_digest_serves_old_until_new_is_ready(world: World) -> None:
    old = await served(world, replicas=2)
    await world.edit(AIMODEL, "digits", {"spec": {"source": {"digest": OTHER_DIGEST}}})
    model = await world.settle()
    assert await world.selected_revision() == old
    assert verdict(model, "Available") == ("True", "Serving")
    assert verdict(model, "Ready") == ("False", "Progressing")
    await world.finish_build(image=OTHER_IMAGE, model_digest=OTHER_DIGEST)
    await world.settle()
    (new,) = set(await world.objects(DEPLOYMENT)) - {old}
    await world.make_ready(new, 1)
    model = await world.settle()
    assert await world.selected_revision() == old, "one of two new pods is not enough"
    assert (await world.objects(DEPLOYMENT))[old]["spec"]["replicas"] == 2
    await world.make_ready(new, 2)
    model = await world.settle()
    assert await world.selected_revision() == new
    assert set(await world.objects(DEPLOYMENT)) == {new}
    assert verdict(model, "Ready") == ("True", "Serving")
    assert [entry["revision"] for entry in model["status"]["history"]] == [new, old]


async def test_going_back_reuses_the_recorded_revision(world: World) -> None:
    old = await served(world)
    template = (await world.objects(DEPLOYMENT))[old]["spec"]["template"]
    await world.edit(AIMODEL, "digits", {"spec": {"source": {"digest": OTHER_DIGEST}}})
    await world.settle()
    await world.finish_build(image=OTHER_IMAGE, model_digest=OTHER_DIGEST)
    await world.settle()
    (new,) = set(await world.objects(DEPLOYMENT)) - {old}
    await world.make_ready(new, 1)
    await world.settle()
    await world.edit(AIMODEL, "digits", {"spec": {"source": {"digest": DIGEST}}})
    await world.settle()
    again = (await world.objects(DEPLOYMENT))[old]["spec"]["template"]
    assert again == template
    jobs = [job for job in (await world.objects(JOB)).values() if not job.get("status", {}).get("conditions")]
    assert jobs == []


async def test_failed_build_names_its_reason_and_old_version_serves(world: World) -> None:
    old = await served(world)
    await world.edit(AIMODEL, "digits", {"spec": {"source": {"uri": "http://models.test/none.onnx"}}})
    await world.settle()
    await world.fail_build("ModelNotFound", "http://models.test/none.onnx answers 404.")
    model = await world.settle()
    assert verdict(model, "Ready") == ("False", "ModelNotFound")
    assert verdict(model, "SourceReady") == ("False", "ModelNotFound")
    assert verdict(model, "Available") == ("True", "Serving")
    assert await world.selected_revision() == old
    await world.edit(AIMODEL, "digits", {"spec": {"source": {"uri": "http://models.test/digits.onnx"}}})
    model = await world.settle()
    assert verdict(model, "Ready") == ("True", "Serving")


async def test_failed_build_is_tried_again_later_and_counts(world: World) -> None:
    await world.create_model(a_model().within(world.namespace).build())
    await world.settle()
    await world.fail_build("BuildFailed", "The registry does not answer.")
    await world.settle()
    assert len(await world.objects(JOB)) == 1
    world.advance(timedelta(seconds=6))
    model = await world.settle()
    attempts = sorted(
        job["metadata"]["annotations"]["aimodel.dev/attempt"] for job in (await world.objects(JOB)).values()
    )
    assert attempts == ["1", "2"]
    assert verdict(model, "Ready") == ("False", "BuildFailed"), "the cause stays in sight while it is tried again"
    await world.finish_build(image=IMAGE)
    model = await world.settle()
    assert verdict(model, "Ready") == ("False", "Progressing")
    assert len(await world.objects(DEPLOYMENT)) == 1
    assert await world.objects(JOB) == {}


async def test_crash_of_new_pods_is_named_by_its_cause(world: World) -> None:
    old = await served(world)
    await world.edit(AIMODEL, "digits", {"spec": {"serving": {"maxInFlight": 8}}})
    await world.settle()
    (new,) = set(await world.objects(DEPLOYMENT)) - {old}
    report = '{"reason": "ModelLoadFailed", "message": "model.onnx does not load: bad graph."}'
    crashed = {"exitCode": 65, "reason": "Error", "message": report}
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    await world.add_pod(new, {"name": "server", "state": waiting, "lastState": {"terminated": crashed}})
    model = await world.settle()
    assert verdict(model, "Ready") == ("False", "ModelLoadFailed")
    assert "bad graph" in condition(model, "Ready")["message"]
    assert verdict(model, "Available") == ("True", "Serving")


async def test_scaling_makes_no_revision(world: World) -> None:
    revision = await served(world)
    await world.edit(AIMODEL, "digits", {"spec": {"replicas": 3}})
    await world.settle()
    deployments = await world.objects(DEPLOYMENT)
    assert set(deployments) == {revision}
    assert deployments[revision]["spec"]["replicas"] == 3
    assert len(await world.objects(CONTROLLER_REVISION)) == 1


async def test_foreign_object_is_left_alone_and_named(world: World) -> None:
    foreign = {
        **SERVICE.stamp(),
        "metadata": {"name": "digits", "namespace": world.namespace},
        "spec": {"selector": {"app": "somebody"}, "ports": [{"port": 80}]},
    }
    await world.create(foreign)
    await world.create_model(a_model().within(world.namespace).build())
    await world.settle()
    await world.finish_build(image=IMAGE)
    model = await world.settle()
    assert verdict(model, "Ready") == ("False", "NameConflict")
    assert "Service digits" in condition(model, "Ready")["message"]
    assert (await world.objects(SERVICE))["digits"]["spec"]["selector"] == {"app": "somebody"}


async def test_edited_child_is_put_right(world: World) -> None:
    revision = await served(world)
    await world.edit(SERVICE, "digits", {"spec": {"selector": {"aimodel.dev/revision": "somewhere-else"}}})
    await world.edit(DEPLOYMENT, revision, {"spec": {"replicas": 0}})
    await world.settle()
    assert await world.selected_revision() == revision
    assert (await world.objects(DEPLOYMENT))[revision]["spec"]["replicas"] == 1


async def test_deleted_child_comes_back(world: World) -> None:
    revision = await served(world)
    for kind, name in ((SERVICE, "digits"), (DEPLOYMENT, revision)):
        child = (await world.objects(kind))[name]
        await world.cluster.delete(child)
        world.cache.remove(child)
    await world.settle()
    assert await world.selected_revision() == revision
    assert revision in await world.objects(DEPLOYMENT)


async def test_old_revisions_are_pruned_to_the_limit(world: World) -> None:
    await world.create_model(a_model().within(world.namespace).with_spec(revisionHistoryLimit=1).build())
    await world.settle()
    await world.finish_build(image=IMAGE)
    for limit in (10, 20, 30, 40):
        await world.edit(AIMODEL, "digits", {"spec": {"serving": {"maxInFlight": limit}}})
        await world.settle()
        for revision in await world.objects(DEPLOYMENT):
            await world.make_ready(revision, 1)
        await world.settle()
    assert len(await world.objects(CONTROLLER_REVISION)) == 2


async def test_registry_that_a_person_names_is_asked_by_the_job_only(world: World) -> None:
    elsewhere = {"repository": "registry.elsewhere.test/models/digits"}
    await world.create_model(a_model().within(world.namespace).with_spec(image=elsewhere).build())
    await world.settle()
    assert world.images.asked == []
    (job,) = (await world.objects(JOB)).values()
    environment = {entry["name"]: entry["value"] for entry in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert '"repository": "registry.elsewhere.test/models/digits"' in environment["AIMODEL_BUILD_REQUEST"]


async def test_failed_build_is_repeated_at_once_under_other_settings(world: World) -> None:
    await world.create_model(a_model().within(world.namespace).build())
    await world.settle()
    await world.fail_build("ModelAccessDenied", "models.test is a private address.")
    await world.settle()
    world.settings = replace(world.settings, allowed_private_hosts=("models.test",))
    world.restart_operator()
    await world.settle()
    jobs = (await world.objects(JOB)).values()
    assert sorted(job["metadata"]["annotations"]["aimodel.dev/attempt"] for job in jobs) == ["1", "2"]


async def test_child_that_was_lost_unnoticed_is_made_again(world: World) -> None:
    revision = await served(world)
    await world.cluster.delete((await world.objects(DEPLOYMENT))[revision])  # the cache still shows it
    await world.edit(AIMODEL, "digits", {"spec": {"replicas": 2}})
    await world.reconcile()
    await world.settle()
    assert (await world.objects(DEPLOYMENT))[revision]["spec"]["replicas"] == 2


async def test_service_bent_by_one_more_label_is_put_right(world: World) -> None:
    await served(world)
    await world.edit(SERVICE, "digits", {"spec": {"selector": {"app": "other"}}})
    await world.settle()
    assert "app" not in (await world.objects(SERVICE))["digits"]["spec"]["selector"]


async def test_child_that_lost_its_labels_gets_them_back(world: World) -> None:
    revision = await served(world)
    for kind, name in ((DEPLOYMENT, revision), (SERVICE, "digits"), (SERVICE_ACCOUNT, "digits-aimodel")):
        before = (await world.objects(kind))[name]
        await world.edit(kind, name, {"metadata": {"labels": {"aimodel.dev/uid": None}}})
        world.restart_operator()
        await world.settle()
        after = (await world.objects(kind))[name]
        assert (uid_of(after), labels_of(after)) == (uid_of(before), labels_of(before))
    assert await world.selected_revision() == revision


async def test_services_deleted_during_a_rollout_come_back_to_the_ready_pods(world: World) -> None:
    old = await served(world)
    await world.edit(AIMODEL, "digits", {"spec": {"serving": {"maxInFlight": 8}}})
    await world.settle()
    for name in ("digits", "digits-headless"):
        service = (await world.objects(SERVICE))[name]
        await world.cluster.delete(service)
        world.cache.remove(service)
    model = await world.settle()
    assert await world.selected_revision() == old
    assert old in await world.objects(DEPLOYMENT)
    assert verdict(model, "Available") == ("True", "Serving")
