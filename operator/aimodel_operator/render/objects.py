"""Every object that must exist for a decision: account, Services, build Job, revisions with their Deployments."""

from aimodel_operator import api
from aimodel_operator.api.names import Component
from aimodel_operator.decide import Decision
from aimodel_operator.kinds import CONTROLLER_REVISION, DEPLOYMENT, SERVICE, SERVICE_ACCOUNT, Obj, name_of
from aimodel_operator.observe import Artefact, Facts, revisions_by_name
from aimodel_operator.render.build_job import build_job
from aimodel_operator.render.metadata import child
from aimodel_operator.render.pod_template import RENDERER_VERSION, pod_template
from aimodel_operator.settings import Settings


def render(facts: Facts, decision: Decision, settings: Settings) -> tuple[Obj, ...]:
    """The wanted objects in the order in which they are to be written."""
    model = facts.model
    wanted = [_service_account(model)]
    if decision.build.attempt is not None:
        wanted.append(build_job(model, decision.build, settings))
    revisions = dict(revisions_by_name(facts))
    if decision.target is not None and decision.build.artefact is not None and decision.target not in revisions:
        revisions[decision.target] = _new_revision(facts, decision, decision.build.artefact)
    wanted += [revision for name, revision in revisions.items() if name == decision.target]
    # A Deployment whose ControllerRevision somebody deleted is kept as it is until the revision is recorded again.
    wanted += [
        _deployment(model, revisions[name], count) for name, count in decision.replicas.items() if name in revisions
    ]
    if decision.active is not None:
        wanted += [_service(model, decision.active), _headless_service(model, decision.active)]
    return tuple(wanted)


def _service_account(model: api.AIModel) -> Obj:
    account = child(model, SERVICE_ACCOUNT, api.names.service_account(model.name), Component.SERVING)
    return {**account, "automountServiceAccountToken": False}


def _new_revision(facts: Facts, decision: Decision, artefact: Artefact) -> Obj:
    assert decision.target is not None  # noqa: S101 - the caller asked for a revision
    number = max((int(revision["revision"]) for revision in facts.revisions), default=0) + 1
    revision = child(facts.model, CONTROLLER_REVISION, decision.target, Component.SERVING, decision.target)
    data = {
        "buildKey": decision.build.key,
        "image": artefact.image,
        "modelDigest": artefact.model_digest,
        "format": artefact.format,
        "rendererVersion": RENDERER_VERSION,
        "template": pod_template(facts.model, decision.target, artefact),
    }
    return {**revision, "revision": number, "data": data}


def _deployment(model: api.AIModel, revision: Obj, replicas: int) -> Obj:
    name = name_of(revision)
    deployment = child(model, DEPLOYMENT, name, Component.SERVING, name)
    deployment["spec"] = {
        "replicas": replicas,
        "revisionHistoryLimit": 0,
        "progressDeadlineSeconds": api.defaults.progress_deadline_seconds(model.spec),
        "selector": {"matchLabels": api.names.selector_for(model, Component.SERVING, name)},
        "template": revision["data"]["template"],
    }
    return deployment


def _service(model: api.AIModel, revision: str) -> Obj:
    service = child(model, SERVICE, api.names.service(model.name), Component.SERVING)
    service["spec"] = {
        "type": "ClusterIP",
        "selector": api.names.selector_for(model, Component.SERVING, revision),
        "ports": [_grpc_port()],
    }
    return service


def _headless_service(model: api.AIModel, revision: str) -> Obj:
    service = child(model, SERVICE, api.names.headless_service(model.name), Component.SERVING)
    service["spec"] = {
        "clusterIP": "None",
        "selector": api.names.selector_for(model, Component.SERVING, revision),
        "ports": [_grpc_port()],
    }
    return service


def _grpc_port() -> Obj:
    return {
        "name": "grpc",
        "port": api.ports.GRPC,
        "targetPort": "grpc",
        "protocol": "TCP",
        "appProtocol": "kubernetes.io/h2c",
    }
