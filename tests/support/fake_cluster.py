"""An API server in memory: implements `reconcile.Cluster` and refuses what a real one refuses.

The laws in `reconcile_laws` run against this and against a real API server, which keeps it honest.
"""

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aimodel_operator import api
from aimodel_operator.kinds import (
    AIMODEL,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    JOB,
    SERVICE,
    Kind,
    Obj,
    kind_of,
    labels_of,
    name_of,
)
from aimodel_operator.reconcile.ports import AlreadyExists, ClusterError, Invalid, NotFound, Stale

_IMMUTABLE = {
    CONTROLLER_REVISION: ("data",),
    DEPLOYMENT: ("spec", "selector"),
    JOB: ("spec", "template"),
}


class FakeCluster:
    """Objects by kind, namespace and name. `writes` lists every write that changed something."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Obj] = {}
        self.writes: list[tuple[str, str, str]] = []
        self.refusals: dict[tuple[str, str], ClusterError] = {}
        """Errors to raise for a (verb, kind), until taken out again."""
        self.on_write: Callable[[str, Obj], None] = lambda moment, obj: None
        """Called with "before" and "after" around every write that is not refused; may raise."""
        self._versions = itertools.count(1)
        self._uids = itertools.count(1)

    async def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        return copy.deepcopy(self._held(kind, namespace, name))

    async def children(self, namespace: str, owner_uid: str) -> list[Obj]:
        return [
            copy.deepcopy(obj)
            for (_, where, _), obj in sorted(self.objects.items())
            if where == namespace and labels_of(obj).get(api.names.UID) == owner_uid
        ]

    async def create(self, obj: Obj) -> Obj:
        self._refuse("create", obj)
        key = _key(obj)
        if key in self.objects:
            raise AlreadyExists(f'{key[0]} "{key[2]}" already exists')
        return self._store("create", self._admitted(obj))

    async def apply(self, obj: Obj) -> Obj:
        self._refuse("apply", obj)
        held = self._checked_uid(obj)
        for kind, path in _IMMUTABLE.items():
            if kind_of(obj) is kind and _at(held, path) != _at(obj, path):
                raise Invalid(f"{'.'.join(path)}: field is immutable")
        merged = _merged(held, obj)
        if kind_of(obj) is SERVICE:
            merged["spec"]["selector"] = copy.deepcopy(obj["spec"]["selector"])  # an atomic map
        return self._store("apply", merged)

    async def apply_status(self, obj: Obj) -> Obj:
        self._refuse("apply_status", obj)
        held = self._checked_uid(obj)
        return self._store("apply_status", {**held, "status": copy.deepcopy(obj["status"])})

    async def delete(self, obj: Obj) -> None:
        self._refuse("delete", obj)
        held = self.objects.get(_key(obj))
        if held is None or held["metadata"]["uid"] != obj["metadata"]["uid"]:
            return
        self.on_write("before", held)
        self.writes.append(("delete", held["kind"], name_of(held)))
        self.remove(held)
        self.on_write("after", held)

    def remove(self, held: Obj) -> None:
        """Delete for anybody: an object with finalizers stays, marked, until they are gone."""
        if held["metadata"].get("finalizers"):
            held["metadata"].setdefault("deletionTimestamp", "2026-01-01T00:00:00Z")
            self._put(held)
        else:
            del self.objects[_key(held)]

    def collect_garbage(self) -> None:
        """Remove what belongs to owners that are gone, as the garbage collector does sooner or later."""
        alive = {obj["metadata"]["uid"] for obj in self.objects.values()}
        for obj in list(self.objects.values()):
            owners = {owner["uid"] for owner in obj["metadata"].get("ownerReferences", ())}
            if owners and not owners & alive:
                self.remove(obj)

    @contextmanager
    def as_somebody_else(self) -> Iterator[None]:
        """Writes in here are not ours: neither counted, refused nor told of."""
        writes, refusals, on_write = len(self.writes), self.refusals, self.on_write
        self.refusals, self.on_write = {}, lambda moment, obj: None
        try:
            yield
        finally:
            self.refusals, self.on_write = refusals, on_write
            del self.writes[writes:]

    def edit(self, kind: Kind, namespace: str, name: str, change: Obj) -> Obj:
        """Somebody else's merge patch: of the spec (a new generation) or of the status."""
        held = self._held(kind, namespace, name)
        merged = _merged(held, change)
        if merged.get("spec") != held.get("spec"):
            merged["metadata"]["generation"] = held["metadata"].get("generation", 1) + 1
        return self._put(merged)

    def _refuse(self, verb: str, obj: Obj) -> None:
        error = self.refusals.get((verb, obj["kind"]))
        if error is not None:
            raise error

    def _held(self, kind: Kind, namespace: str, name: str) -> Obj:
        try:
            return self.objects[(kind.name, namespace, name)]
        except KeyError:
            raise NotFound(f'{kind.plural} "{name}" not found') from None

    def _checked_uid(self, obj: Obj) -> Obj:
        held = self.objects.get(_key(obj))
        if held is None and kind_of(obj) is not AIMODEL:
            raise Stale("uid mismatch: the object does not exist")  # an apply with a uid creates nothing
        held = self._held(kind_of(obj), obj["metadata"]["namespace"], name_of(obj))
        if obj["metadata"]["uid"] != held["metadata"]["uid"]:
            raise Stale("uid mismatch: the object is another one")
        return held

    def _admitted(self, obj: Obj) -> Obj:
        admitted = copy.deepcopy(obj)
        admitted["metadata"] |= {
            "uid": f"uid-{next(self._uids)}",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        return admitted

    def _store(self, verb: str, obj: Obj) -> Obj:
        held = self.objects.get(_key(obj))
        if held is not None and _content(held) == _content(obj):
            return copy.deepcopy(held)  # as a real one: a write that changes nothing makes no new version
        if held is not None and held.get("spec") != obj.get("spec"):
            obj["metadata"]["generation"] = held["metadata"].get("generation", 1) + 1
        self.on_write("before", obj)
        self.writes.append((verb, obj["kind"], name_of(obj)))
        stored = self._put(obj)
        self.on_write("after", obj)
        return stored

    def _put(self, obj: Obj) -> Obj:
        obj["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[_key(obj)] = obj
        return copy.deepcopy(obj)


def _key(obj: Obj) -> tuple[str, str, str]:
    return kind_of(obj).name, obj["metadata"]["namespace"], name_of(obj)


def _at(obj: Obj, path: tuple[str, ...]) -> Any:
    value: Any = obj
    for part in path:
        value = value.get(part, {})
    return value


def _content(obj: Obj) -> str:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ("resourceVersion", "generation")}
    return json.dumps({**obj, "metadata": metadata}, sort_keys=True)


def _merged(held: Any, change: Any) -> Any:
    if isinstance(held, dict) and isinstance(change, dict):
        merged = copy.deepcopy(held)
        for key, value in change.items():
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = _merged(held.get(key), value)
        return merged
    return copy.deepcopy(change)
