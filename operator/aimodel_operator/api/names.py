"""Every name and label of an object that belongs to an AIModel, one function for each.

Called by `observe` (to select), `render` (to make) and `cli` (to find). A model name has at most 40
characters (see `model.NAME_RULE`) and a hash 10, so that each name fits the 63 of a DNS label and a Job's or
Deployment's pods keep theirs. Names are part of the public contract: changing one orphans objects.
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum

from aimodel_operator.api.model import GROUP, AIModel

FIELD_MANAGER = "aimodel-operator"

MANAGED_BY = "app.kubernetes.io/managed-by"
APP_NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
MODEL = f"{GROUP}/model"
UID = f"{GROUP}/uid"
REVISION = f"{GROUP}/revision"

# Kubernetes' own alphabet for generated names (apimachinery's util/rand): no vowels, so no words, and none of
# the characters that are read wrongly.
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
HASH_LENGTH = 10


class Component(StrEnum):
    """What an object is for."""

    SERVING = "serving"
    BUILD = "build"


def short_hash(payload: bytes) -> str:
    """Ten safe characters that stand for the bytes (47 bits of their sha256)."""
    number = int.from_bytes(hashlib.sha256(payload).digest(), "big")
    letters = []
    for _ in range(HASH_LENGTH):
        number, index = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[index])
    return "".join(letters)


def revision(model: str, revision_hash: str) -> str:
    """A revision: its ControllerRevision and its Deployment."""
    return f"{model}-{revision_hash}"


def service(model: str) -> str:
    """The Service with one address for all pods."""
    return model


def headless_service(model: str) -> str:
    """The Service that resolves to the pods, for clients that balance themselves."""
    return f"{model}-headless"


def service_account(model: str) -> str:
    """The account of the model's pods, without rights or token. Not NAME: a model may be called `default`."""
    return f"{model}-aimodel"


def build_job(model: str, build_hash: str) -> str:
    """The Job that builds one image."""
    return f"{model}-build-{build_hash}"


def labels_for(model: AIModel, component: Component, revision: str | None = None) -> dict[str, str]:
    """All labels of a child; `revision` is the full name of the revision it belongs to."""
    labels = {
        MANAGED_BY: FIELD_MANAGER,
        APP_NAME: "aimodel",
        INSTANCE: model.name,
        COMPONENT: component.value,
        MODEL: model.name,
        UID: model.uid,
    }
    return labels if revision is None else {**labels, REVISION: revision}


def selector_for(model: AIModel, component: Component, revision: str | None = None) -> dict[str, str]:
    """The labels that select the model's pods of one component, or of one revision, and no others."""
    selector = {COMPONENT: component.value, UID: model.uid}
    return selector if revision is None else {**selector, REVISION: revision}


def as_query(selector: Mapping[str, str]) -> str:
    """A selector in the string form of a LIST and of `status.selector`, in one order."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
