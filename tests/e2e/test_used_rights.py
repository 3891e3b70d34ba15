"""The operator's rights against what the API server saw it do in this run: nothing missing, nothing unused.

conftest.py puts it after the other files of this folder, whose work it looks back at.
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
OPERATOR = "app.kubernetes.io/name=aimodel-operator"
LONG = "test_long.py"
WHOLE_FOLDER = 'pytest -p no:randomly -m "not long" tests/e2e'
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
    """Everything that operators of this user asked of the local cluster's API server in its life."""
    log = Path(LocalCluster().info()["auditLog"])
    assert log.exists(), "this test needs the audit log of the local cluster: run it without CLUSTER"
    entries = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())
    return [entry for entry in entries if entry["user"].get("username") == USER and "objectRef" in entry]


@pytest.fixture(scope="module")
def recent(cluster: ClusterTarget, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those since the running operator was started; earlier ones may be of another version, with other rights."""
    path = "jsonpath={.items[*].metadata.creationTimestamp}"
    started = min(cluster.kubectl("-n", "aimodel-system", "get", "pods", "-l", OPERATOR, "--output", path).split())
    return [entry for entry in requests if entry["requestReceivedTimestamp"] >= started]


def rights(entries: list[dict[str, Any]]) -> Iterator[Right]:
    for entry in entries:
        target = entry["objectRef"]
        parts = [target["resource"], *([target["subresource"]] if "subresource" in target else [])]
        yield target.get("apiGroup", ""), "/".join(parts), entry["verb"]


def granted() -> set[Right]:
    rules = (*MODEL_RULES, *OWN_RULES)
    return {(rule.group, resource, verb) for rule in rules for resource in rule.resources for verb in rule.verbs}


def test_operator_asked_for_nothing_it_may_not(recent: list[dict[str, Any]]) -> None:
    denied = [entry for entry in recent if entry.get("responseStatus", {}).get("code") == 403]
    # A write into a namespace that is being deleted is forbidden whatever the rights are.
    refused = [entry for entry in denied if "being terminated" not in entry["responseStatus"].get("message", "")]
    assert [entry["requestURI"] for entry in refused] == []
    assert set(rights(recent)) - granted() == set()


def test_operator_used_every_right_it_has(requests: list[dict[str, Any]], request: pytest.FixtureRequest) -> None:
    run = {item.path for item in request.session.items}
    absent = [path.name for path in Path(__file__).parent.glob("test_*.py") if path not in run and path.name != LONG]
    assert absent == [], f"only a run of the whole folder uses every right: {WHOLE_FOLDER}"
    unused = granted() - set(rights(requests)) - ON_CONFLICT - BY_ADMISSION - ON_DRIFT
    assert unused == set(), f"not used; if tests were left out, run the whole folder: {WHOLE_FOLDER}"


def test_operator_touched_only_what_belongs_to_models(requests: list[dict[str, Any]]) -> None:
    writes = [entry for entry in requests if entry["verb"] in ("create", "update", "patch", "delete")]
    places = {entry["objectRef"].get("namespace", "") for entry in writes}
    assert writes
    assert "kube-system" not in places
    assert "" not in places
