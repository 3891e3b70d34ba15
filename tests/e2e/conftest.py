"""The cluster that every end-to-end test uses; which one it is, the environment says (see hack.cluster.targets)."""

import pytest

from hack.cluster.targets import ClusterTarget, target_from_env


@pytest.fixture(scope="session")
def cluster() -> ClusterTarget:
    """A cluster with a registry, brought up when it is ours and not up."""
    return target_from_env()
