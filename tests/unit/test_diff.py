"""Which writes are missing: intent against what the API server holds."""

import copy
from typing import Any

from aimodel_operator.kinds import DEPLOYMENT, JOB, SERVICE
from aimodel_operator.reconcile.diff import Apply, Create, Delete, diff, is_repeatable, with_intent


def service(selector: str = "a") -> dict[str, Any]:
    return {
        **SERVICE.stamp(),
        "metadata": {"name": "digits", "namespace": "default"},
        "spec": {"selector": {"revision": selector}, "ports": [{"name": "grpc", "port": 8001}]},
    }


def stored(obj: dict[str, Any], **spec: Any) -> dict[str, Any]:
    live = copy.deepcopy(with_intent(obj))
    live["metadata"] |= {"uid": "u1", "resourceVersion": "7"}
    live["spec"] |= spec
    return live


def test_missing_object_is_created() -> None:
    (action,) = diff([service()], [], [])
    assert isinstance(action, Create)


def test_object_with_server_defaults_is_left_alone() -> None:
    live = stored(service(), clusterIP="10.0.0.1", sessionAffinity="None")
    live["spec"]["ports"][0]["protocol"] = "TCP"
    assert diff([service()], [live], []) == ()


def test_changed_intent_is_applied_with_the_uid_that_was_seen() -> None:
    (action,) = diff([service("b")], [stored(service("a"))], [])
    assert isinstance(action, Apply)
    assert action.obj["metadata"]["uid"] == "u1"


def test_field_that_somebody_changed_is_applied_again() -> None:
    live = stored(service())
    live["spec"]["selector"]["revision"] = "elsewhere"
    (action,) = diff([service()], [live], [])
    assert isinstance(action, Apply)


def test_field_that_we_no_longer_want_is_applied_away() -> None:
    richer = service()
    richer["spec"]["selector"]["more"] = "x"
    (action,) = diff([service()], [stored(richer)], [])
    assert isinstance(action, Apply)


def test_quantity_in_another_spelling_is_the_same() -> None:
    wanted = {
        **DEPLOYMENT.stamp(),
        "metadata": {"name": "d", "namespace": "n"},
        "spec": {"cpu": "1000m", "memory": "1024Mi"},
    }
    live = stored(wanted)
    live["spec"] = {"cpu": "1", "memory": "1Gi"}
    assert diff([wanted], [live], []) == ()


def test_empty_value_that_the_server_left_out_is_the_same() -> None:
    wanted = {
        **DEPLOYMENT.stamp(),
        "metadata": {"name": "d", "namespace": "n"},
        "spec": {"env": [{"name": "A", "value": ""}]},
    }
    live = stored(wanted)
    del live["spec"]["env"][0]["value"]
    assert diff([wanted], [live], []) == ()


def test_job_is_never_written_over() -> None:
    job = {**JOB.stamp(), "metadata": {"name": "j", "namespace": "n"}, "spec": {"backoffLimit": 0}}
    other = stored({**job, "spec": {"backoffLimit": 3}})
    assert diff([job], [other], []) == ()


def test_obsolete_object_is_deleted_last_and_only_once() -> None:
    leaving = stored(service())
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    obsolete = {**stored(service()), "metadata": {**stored(service())["metadata"], "name": "old"}}
    actions = diff([service()], [], [obsolete, leaving])
    assert [type(action) for action in actions] == [Create, Delete]
    assert [is_repeatable(action) for action in actions] == [True, False]


def test_field_that_left_the_intent_is_written_although_nothing_in_it_differs() -> None:
    before = service()
    before["spec"]["publishNotReadyAddresses"] = True
    (action,) = diff([service()], [stored(before)], [])
    assert isinstance(action, Apply)
