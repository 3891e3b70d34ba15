"""The wish: what a person may write under `spec` of an AIModel. Its descriptions are the user documentation.

`api.parse` turns a raw object into these values; `hack.generate` turns these types into the CRD and
docs/api.md. `None` means that the field was left out; what then holds is in `defaults`, never in the schema:
a changed default must not reach a stored object or restart a pod. Only `replicas` has a schema default, as
the scale subresource needs a number.
Must never do more than check values: no look-up, no clock, no environment.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from aimodel_operator.api.resources import Resources
from aimodel_operator.api.schema import ListMap, Part, Rule, matching, not_matching, whole


class Format(StrEnum):
    """How the bytes behind a source are to be read."""

    AUTO = "Auto"
    ONNX = "ONNX"


class Engine(StrEnum):
    """What executes the model in the serving pod."""

    AUTO = "Auto"
    ONNX = "ONNX"


Uri = Annotated[
    str,
    Field(max_length=2048),
    matching(
        '^https?://[!-"$-.0->@-~]+([/?][!-"$-~]*)?$',
        "must be an http:// or https:// address without spaces and '#'; write it like "
        "https://models.example.com/digits/3/model.onnx",
    ),
    not_matching(
        "^[a-z]+://[^/?#]*@",
        "must not carry a user name or password, as everybody who may read the AIModel would see it; serve "
        "the file from an address that needs none",
    ),
]
Digest = Annotated[
    str,
    Field(max_length=71),
    matching(
        "^sha256:[0-9a-f]{64}$",
        "must be 'sha256:' and 64 lower-case hex digits; take them from `sha256sum FILE`",
    ),
]
Repository = Annotated[
    str,
    Field(max_length=255),
    matching(
        "^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+(([.]|__?|-+)[a-z0-9]+)*)+$",
        "must be REGISTRY/PATH in lower case without a tag or digest; write it like registry.example.com/models/digits",
    ),
]
SecretName = Annotated[
    str,
    Field(max_length=253),
    matching(
        "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        "must be the name of a Secret: lower-case letters, digits, '-' and '.'; give a name that `kubectl "
        "get secrets` shows",
    ),
]
SecretKey = Annotated[
    str,
    Field(max_length=253),
    matching(
        "^[-._a-zA-Z0-9]+$",
        "must be a key of the Secret: letters, digits, '-', '_' and '.'; give a key that `kubectl describe "
        "secret` shows",
    ),
]
EnvName = Annotated[
    str,
    Field(max_length=128),
    matching(
        "^[A-Za-z_][A-Za-z0-9_]*$",
        "must be a name of letters, digits and '_' that does not begin with a digit; rename the variable",
    ),
    not_matching(
        "^(AIMODEL_|LD_|PYTHON)",
        "must not begin with AIMODEL_, LD_ or PYTHON, which the serving pod keeps for itself; use another name",
    ),
]


Replicas = Annotated[
    int,
    Field(strict=True, le=1000),
    Rule(
        "self >= 1",
        "must be at least 1; to stop serving, delete the AIModel: its image stays in the registry",
        lambda replicas: replicas >= 1,
    ),
]


class SecretRef(Part):
    """A Secret in the namespace of the AIModel, by name."""

    name: SecretName = Field(description="Name of a Secret in the namespace of the AIModel.")


class SecretKeyRef(Part):
    """One key of a Secret in the namespace of the AIModel."""

    name: SecretName = Field(description="Name of a Secret in the namespace of the AIModel.")
    key: SecretKey = Field(description="Key in the data of the Secret.")


class Source(Part):
    """Where the finished model is fetched from."""

    uri: Uri = Field(
        description="Address of the model, http:// or https://: one file (model.onnx) or a tar archive "
        "(.tar, .tar.gz) of the model and its files. It is fetched by the operator's build Job, not by the "
        "serving pods."
    )
    digest: Digest | None = Field(
        default=None,
        description="Digest of the bytes as downloaded: sha256: and 64 hex digits, as `sha256sum FILE` "
        "prints them. When set, other bytes are refused before anything is unpacked (reason "
        "ModelDigestMismatch). When absent, what the address serves is taken; its digest is in "
        "status.active.modelDigest.",
    )
    format: Format | None = Field(
        default=None,
        description="Format of the model. Auto: told from the content. ONNX: any other content is refused "
        "(reason ModelRejected). When absent: Auto.",
    )


class Image(Part):
    """Where the image that holds the model is pushed to and pulled from."""

    repository: Repository | None = Field(
        default=None,
        description="Repository that the model's image is pushed to: REGISTRY/PATH without tag and digest. "
        "When absent: PREFIX/NAMESPACE/NAME, with the operator's own registry setting as PREFIX.",
    )
    push_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret of type kubernetes.io/dockerconfigjson that the build Job pushes with. When "
        "absent: pushed without credentials.",
    )
    pull_secret_refs: Annotated[tuple[SecretRef, ...], Field(max_length=8), ListMap("name")] | None = Field(
        default=None,
        description="Secrets of type kubernetes.io/dockerconfigjson with which the pods' image is pulled. "
        "When absent: none but those of the node.",
    )


class Batching(Part):
    """How requests that arrive together are executed together."""

    max_rows: Annotated[int, whole(1, 4096)] | None = Field(
        default=None,
        description="Most rows (first dimension of the inputs) executed in one call of the engine. 1: every "
        "request alone. When absent: 64.",
    )
    max_delay_milliseconds: Annotated[int, whole(0, 1000)] | None = Field(
        default=None,
        description="Longest that a request waits for others while the engine is idle, in milliseconds. 0: "
        "never, batches form only while the engine is busy. When absent: 0.",
    )


class EnvVar(Part):
    """One environment variable of the serving container."""

    name: EnvName = Field(description="Name of the variable. AIMODEL_*, LD_* and PYTHON* are refused.")
    value: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None,
        description="Value, taken as it is: $(NAME) is not replaced. Not for secrets.",
    )
    secret_key_ref: SecretKeyRef | None = Field(
        default=None, description="Takes the value from a key of a Secret in the namespace of the AIModel."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.value) != has(self.secretKeyRef)",
            "must have exactly one of value and secretKeyRef; set one and remove the other",
            lambda env: (env.value is None) != (env.secret_key_ref is None),
        ),
    )


class Serving(Part):
    """How the model is served. A change here makes a new revision: pods are replaced, without a gap."""

    engine: Engine | None = Field(
        default=None,
        description="What executes the model: ONNX is ONNX Runtime. Auto: chosen by the model's form. When "
        "absent: Auto.",
    )
    batching: Batching | None = Field(
        default=None,
        description="How requests are executed together. When absent: the defaults of its fields.",
    )
    max_in_flight: Annotated[int, whole(1, 65536)] | None = Field(
        default=None,
        description="Most requests that one pod holds, waiting or executing. One more is refused at once "
        "with RESOURCE_EXHAUSTED and may be retried. When absent: 256.",
    )
    timeout_seconds: Annotated[int, whole(1, 3600)] | None = Field(
        default=None,
        description="Longest that one request may take, in seconds; a shorter deadline of the client wins. "
        "When absent: 30.",
    )
    drain_seconds: Annotated[int, whole(1, 300)] | None = Field(
        default=None,
        description="How long a pod that is to stop goes on taking new requests, so that every client and "
        "proxy has seen it leave, in seconds. Requests in flight are finished after that. When absent: 5.",
    )
    resources: Resources | None = Field(
        default=None,
        description="Resources of each serving pod. When absent: requests cpu 100m and memory 128Mi, limit "
        "memory 1Gi. When present, it is taken as a whole: nothing is added to it.",
    )
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64), ListMap("name")] | None = Field(
        default=None, description="More environment variables of the serving container, unique by name."
    )


class Rollout(Part):
    """How a new revision replaces the one that serves."""

    progress_deadline_seconds: Annotated[int, whole(2, 86400)] | None = Field(
        default=None,
        description="How long a new revision may take to become ready, in seconds, before the rollout is "
        "reported as stuck (reason RolloutStalled or its cause). The old revision goes on serving. When "
        "absent: 600.",
    )


class AIModelSpec(Part):
    """The model that is wanted, and how it is to be served."""

    source: Source = Field(description="Where the finished model is fetched from.")
    image: Image | None = Field(
        default=None,
        description="Where the image that holds the model is pushed to and pulled from. When absent: the "
        "operator's own registry, without credentials.",
    )
    serving: Serving | None = Field(
        default=None, description="How the model is served. When absent: the defaults of its fields."
    )
    replicas: Replicas = Field(
        default=1,
        description="Number of serving pods; also written by `kubectl scale` and by autoscalers.",
    )
    rollout: Rollout | None = Field(
        default=None,
        description="How a new revision replaces the one that serves. When absent: the defaults of its fields.",
    )
    revision_history_limit: Annotated[int, whole(0, 100)] | None = Field(
        default=None,
        description="Number of revisions kept besides those that serve or are about to; the oldest are "
        "deleted. When absent: 10.",
    )
