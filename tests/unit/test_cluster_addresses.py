"""Address ranges, names and contexts of local clusters."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from hack.cluster.network import first_free
from hack.cluster.paths import SLOTS, AddressPlan, ClusterError, check_name, context_name


def test_the_first_cluster_has_these_addresses() -> None:
    plan = AddressPlan(0)
    assert plan.pods == IPv4Network("10.64.0.0/18")
    assert plan.services == IPv4Network("10.64.128.0/18")
    assert plan.dns == IPv4Address("10.64.128.10")
    assert (plan.host, plan.node) == (IPv4Address("10.64.192.1"), IPv4Address("10.64.192.2"))


def test_the_ranges_of_all_clusters_are_disjoint() -> None:
    ranges = [part for plan in map(AddressPlan, range(SLOTS)) for part in (plan.pods, plan.services, plan.link)]
    assert not any(a.overlaps(b) for i, a in enumerate(ranges) for b in ranges[i + 1 :])


@pytest.mark.parametrize(
    ("taken", "networks", "slot"),
    [
        pytest.param([], [], 0, id="nothing is in the way"),
        pytest.param([0, 1], [], 2, id="two clusters run"),
        pytest.param([], ["10.64.3.0/24", "10.65.0.0/16"], 2, id="routes lead into the first two ranges"),
        pytest.param([], ["10.0.0.0/8"], 0, id="a very broad route is overruled by ours"),
    ],
)
def test_a_new_cluster_gets_the_first_free_range(taken: list[int], networks: list[str], slot: int) -> None:
    assert first_free(map(AddressPlan, taken), map(IPv4Network, networks)) == AddressPlan(slot)


def test_no_free_range_is_said_with_the_remedy() -> None:
    with pytest.raises(ClusterError, match="remove one with"):
        first_free(map(AddressPlan, range(SLOTS)), [])


@pytest.mark.parametrize("name", ["aimodel", "ci-7", "a2"])
def test_a_possible_name_is_taken_as_it_is(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a", "../x", "Upper", "7up", "ends-", "a" * 21, "two words"])
def test_an_impossible_name_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="is not possible"):
        check_name(name)


def test_only_the_default_cluster_has_the_short_context() -> None:
    assert (context_name("aimodel"), context_name("ci")) == ("aimodel-local", "aimodel-local-ci")
