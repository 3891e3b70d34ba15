"""Which cluster is used is decided by what somebody said, never by what happens to be current."""

import pytest

from hack.cluster.paths import ClusterError
from hack.cluster.targets import target_from_env


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"CLUSTER": "prod"}, "use local, kind or current"),
        ({"CLUSTER": "current"}, "set CONTEXT"),
        ({"CLUSTER": "current", "CONTEXT": "work"}, "REGISTRY"),
        ({"CLUSTER": "current", "REGISTRY": "registry.example.com/team"}, "set CONTEXT"),
        ({"CLUSTER": "kind-aimodel"}, "use local, kind or current"),
    ],
)
def test_a_cluster_that_is_not_named_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        target_from_env(environment)
