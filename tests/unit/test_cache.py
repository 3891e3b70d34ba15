"""The cache of children: newer wins, ghosts go, successors stay."""

from typing import Any

from aimodel_operator.kinds import SERVICE
from aimodel_operator.reconcile import Cache


def service(name: str = "digits", *, version: int = 1, owner: str = "m1", uid: str = "u1") -> dict[str, Any]:
    return {
        **SERVICE.stamp(),
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": uid,
            "resourceVersion": str(version),
            "labels": {"aimodel.dev/uid": owner},
        },
    }


def test_older_version_does_not_replace_a_newer_one() -> None:
    cache = Cache()
    cache.put(service(version=10))
    cache.put(service(version=9))
    (held,) = cache.children("m1")
    assert held["metadata"]["resourceVersion"] == "10"


def test_deletion_of_a_predecessor_keeps_the_successor() -> None:
    cache = Cache()
    cache.put(service(version=5, uid="u2"))
    cache.remove(service(version=4, uid="u1"))
    assert len(cache.children("m1")) == 1


def test_list_drops_ghosts_and_names_the_owners_that_changed() -> None:
    cache = Cache()
    cache.put(service("ghost", owner="m1"))
    cache.put(service("same", owner="m2"))
    changed = cache.replace(SERVICE, None, [service("same", owner="m2"), service("new", owner="m3")])
    assert changed == {"m1", "m3"}
    assert cache.children("m1") == ()
    assert len(cache) == 2


def test_list_of_one_namespace_leaves_the_others() -> None:
    cache = Cache()
    cache.put(service("kept"))
    assert cache.replace(SERVICE, "elsewhere", []) == set()
    assert len(cache) == 1


def test_object_that_changes_its_owner_moves() -> None:
    cache = Cache()
    cache.put(service(version=1, owner="m1"))
    cache.put(service(version=2, owner="m2"))
    assert cache.children("m1") == ()
    assert len(cache.children("m2")) == 1
