"""The operator's rights against what the API server saw it do in this run: nothing missing, nothing unused.

Runs after the other files of this folder, whose work it looks back at.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aimodel_operator.cluster.permissions import MODEL_RULES, OWN_RULES
from hack.cluster.local import LocalCluster
from hack.cluster.targets import ClusterTarget

USER = "system:serviceaccount:aimodel-system:aimodel-operator"
Right = tuple[str, str, str]

# Read only when a write met an object that the watch had not shown yet, or one that had changed.
ON_CONFLICT = {
    (rule.group, resource, "get") for rule in MODEL_RULES for resource in rule.resources if "get" in rule.verbs
}
# Asked for by OwnerReferencesPermissionEnforcement, an admission plugin that the local cluster does not run.
BY_ADMISSION = {("aimodel.dev", "aimodels/finalizers", "update")}
# Written only to put right what somebody changed or what a newer version renders differently.
ON_DRIFT = {("", "serviceaccounts", "patch")}


@pytest.fixture(scope="module")
def requests(cluster: ClusterTarget, demo: str) -> list[dict[str, Any]]:
    """Everything the operator asked of the local cluster's API server."""
    log = Path(LocalCluster().info()["auditLog"])
    assert log.exists(), "this test needs the audit log of the local cluster: run it without CLUSTER"
    entries = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())
    return [entry for entry in entries if entry["user"]["username"] == USER and "objectRef" in entry]


def rights(entries: list[dict[str, Any]]) -> Iterator[Right]:
    for entry in entries:
        target = entry["objectRef"]
        parts = [target["resource"], *([target["subresource"]] if "subresource" in target else [])]
        yield target.get("apiGroup", ""), "/".join(parts), entry["verb"]


def granted() -> set[Right]:
    rules = (*MODEL_RULES, *OWN_RULES)
    return {(rule.group, resource, verb) for rule in rules for resource in rule.resources for verb in rule.verbs}


def test_operator_asked_for_nothing_it_may_not(requests: list[dict[str, Any]]) -> None:
    denied = [entry for entry in requests if entry.get("responseStatus", {}).get("code") == 403]
    # A write into a namespace that is being deleted is forbidden whatever the rights are.
    refused = [entry for entry in denied if "being terminated" not in entry["responseStatus"].get("message", "")]
    assert [entry["requestURI"] for entry in refused] == []


def test_operator_used_every_right_it_has(requests: list[dict[str, Any]]) -> None:
    used = set(rights(requests))
    assert granted() - used - ON_CONFLICT - BY_ADMISSION - ON_DRIFT == set()
    assert used - granted() == set()


def test_operator_touched_only_what_belongs_to_models(requests: list[dict[str, Any]]) -> None:
    writes = [entry for entry in requests if entry["verb"] in ("create", "update", "patch", "delete")]
    places = {entry["objectRef"].get("namespace", "") for entry in writes}
    assert writes
    assert "kube-system" not in places
    assert "" not in places
