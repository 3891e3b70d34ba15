"""The last seen state of every child object, by kind and by owner.

Filled by the watches of `cluster` and by the answers to our own writes; asked by `reconcile`. An entry is a
hint: before an action that cannot be repeated the objects of one model are read fresh. It never talks to the
API server and never changes an object it was given.
"""

from collections.abc import Iterable

from aimodel_operator import api
from aimodel_operator.kinds import Kind, Obj, kind_of, labels_of, name_of, version_of

_Key = tuple[str, str]


class Cache:
    """Objects by (kind, namespace, name), indexed by the owner's UID label."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[_Key, Obj]] = {}
        self._owned: dict[str, set[tuple[str, _Key]]] = {}

    def put(self, obj: Obj) -> None:
        """Take one object unless a newer version of it is already here."""
        kind, key = kind_of(obj).name, _key(obj)
        held = self._objects.setdefault(kind, {}).get(key)
        if held is not None and version_of(held) > version_of(obj):
            return
        if held is not None:
            self._unindex(kind, key, held)
        self._objects[kind][key] = obj
        self._owned.setdefault(_owner(obj), set()).add((kind, key))

    def remove(self, obj: Obj) -> None:
        """Forget an object that was deleted; a same-named successor with another UID stays."""
        kind, key = kind_of(obj).name, _key(obj)
        held = self._objects.get(kind, {}).get(key)
        if held is not None and held["metadata"]["uid"] == obj["metadata"]["uid"]:
            self._unindex(kind, key, held)
            del self._objects[kind][key]

    def replace(self, kind: Kind, namespace: str | None, objects: Iterable[Obj]) -> set[str]:
        """Take a whole LIST of one kind (ghosts drop out); returns the UIDs of the owners that changed."""
        listed = {_key(obj): obj for obj in objects}
        held = self._objects.setdefault(kind.name, {})
        in_scope = [key for key in held if namespace is None or key[0] == namespace]
        changed = set()
        for key in in_scope:
            if key not in listed:
                changed.add(_owner(held[key]))
                self._unindex(kind.name, key, held[key])
                del held[key]
        for key, obj in listed.items():
            if key not in held or version_of(held[key]) != version_of(obj):
                changed.add(_owner(obj))
            self.put(obj)
        return changed

    def children(self, owner_uid: str) -> tuple[Obj, ...]:
        """Every object that carries the owner's UID label, in a stable order."""
        keys = sorted(self._owned.get(owner_uid, ()))
        return tuple(self._objects[kind][key] for kind, key in keys)

    def __len__(self) -> int:
        return sum(len(objects) for objects in self._objects.values())

    def _unindex(self, kind: str, key: _Key, obj: Obj) -> None:
        owner = _owner(obj)
        owned = self._owned.get(owner, set())
        owned.discard((kind, key))
        if not owned:
            self._owned.pop(owner, None)


def _key(obj: Obj) -> _Key:
    return obj["metadata"]["namespace"], name_of(obj)


def _owner(obj: Obj) -> str:
    return labels_of(obj).get(api.names.UID, "")
