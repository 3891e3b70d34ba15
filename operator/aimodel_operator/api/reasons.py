"""The one word by which a condition says what is the matter, with cause and remedy of each.

`assess` and `imagebuild` choose from `Reason`; docs/reasons.md is generated from `REASONS`. A reason is named
by what a person must act on. The order is that of usefulness: when several hold, the first is reported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Reason(StrEnum):
    """Why a condition has its status; most actionable first."""

    OUT_OF_MEMORY = "OutOfMemory"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_ACCESS_DENIED = "ModelAccessDenied"
    MODEL_DIGEST_MISMATCH = "ModelDigestMismatch"
    MODEL_REJECTED = "ModelRejected"
    NO_SPACE_LEFT = "NoSpaceLeft"
    PARAMETER_INVALID = "ParameterInvalid"
    BUILD_FAILED = "BuildFailed"
    REGISTRY_DENIED = "RegistryDenied"
    ACCELERATOR_UNUSABLE = "AcceleratorUnusable"
    UNSCHEDULABLE = "Unschedulable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    MODEL_LOAD_FAILED = "ModelLoadFailed"
    MODEL_CRASHED = "ModelCrashed"
    CONTAINER_CRASHED = "ContainerCrashed"
    PROBE_FAILED = "ProbeFailed"
    ROLLOUT_STALLED = "RolloutStalled"
    NAME_CONFLICT = "NameConflict"
    FORBIDDEN = "Forbidden"
    PROGRESSING = "Progressing"
    SERVING = "Serving"
    SUCCEEDED = "Succeeded"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What stands behind a reason, and what a person does about it."""

    cause: str
    remedy: str


REASONS: Mapping[Reason, Explanation] = MappingProxyType(
    {
        Reason.OUT_OF_MEMORY: Explanation(
            "A container used more memory than its limit and was killed.",
            "Raise `spec.serving.resources.limits.memory`, or lower `spec.serving.batching.maxRows`. When a "
            "build pod was killed, let the person who installed the operator raise its chart value "
            "`build.resources.limits.memory`.",
        ),
        Reason.IMAGE_PULL_FAILED: Explanation(
            "A node could not pull the image of the model or, for a build pod, that of the operator.",
            "Check with the message whether the registry is reachable from the nodes and whether "
            "`spec.image.pullSecretRefs` (for a build pod: the chart value `build.imagePullSecrets`) names a "
            "Secret that may read the repository.",
        ),
        Reason.MODEL_NOT_FOUND: Explanation(
            "Nothing is at the address in `spec.source.uri`: the host is unknown or answers 404.",
            "Correct `spec.source.uri`, or upload the model there.",
        ),
        Reason.MODEL_ACCESS_DENIED: Explanation(
            "The address in `spec.source.uri` answers 401 or 403, or leads to a network that builds may not reach.",
            "Allow the download without credentials. For a host in the cluster or a private network, let the "
            "person who installed the operator add it to the allowed private hosts.",
        ),
        Reason.MODEL_DIGEST_MISMATCH: Explanation(
            "The downloaded bytes have another digest than `spec.source.digest`.",
            "If the new bytes are right, set the digest that the message names; else find out who changed the file.",
        ),
        Reason.MODEL_REJECTED: Explanation(
            "The content is not a model of the wanted format (for example a web page or a JSON document that the "
            "address answers with), or holds something that is not safe to load, such as a pickle or an archive "
            "member outside its folder.",
            "Export the model as ONNX and upload that; the message says what was found and where.",
        ),
        Reason.NO_SPACE_LEFT: Explanation(
            "A disk is full, or the model is larger than the limit: of the build, of the node, or of the registry.",
            "Free space where the message says, or let the person who installed the operator raise the build's limit.",
        ),
        Reason.PARAMETER_INVALID: Explanation(
            "A value in the spec cannot be used, for example because it names a Secret or key that does not exist.",
            "Correct the field that the message names, or make the Secret.",
        ),
        Reason.BUILD_FAILED: Explanation(
            "The Job that packs the model into an image failed for a cause of its own or ran out of time.",
            "Read the message, then `kubectl logs job/JOB` with the Job it names. To try again at once instead of "
            "waiting for the next attempt, delete that Job.",
        ),
        Reason.REGISTRY_DENIED: Explanation(
            "The registry refused the push or the look-up of the model's image.",
            "Let `spec.image.pushSecretRef` name a Secret that may write `spec.image.repository`.",
        ),
        Reason.ACCELERATOR_UNUSABLE: Explanation(
            "The server was told to use an accelerator and cannot: no driver, no device, or a build without it.",
            "Run the pods on nodes with a working driver, and use a serving image that is built for the accelerator.",
        ),
        Reason.UNSCHEDULABLE: Explanation(
            "No node has room for a pod of the model.",
            "Lower `spec.serving.resources.requests` or `spec.replicas`, or add nodes; the message is the scheduler's.",
        ),
        Reason.QUOTA_EXCEEDED: Explanation(
            "A ResourceQuota or LimitRange of the namespace forbids a pod of the model.",
            "Lower `spec.serving.resources` or `spec.replicas`, or have the quota raised.",
        ),
        Reason.MODEL_LOAD_FAILED: Explanation(
            "The server started, but the engine could not load the model or warm it up.",
            "The message is the engine's. Most often an operator or an opset is newer than the engine: "
            "export the model for an older one.",
        ),
        Reason.MODEL_CRASHED: Explanation(
            "The engine ended the server while it executed the model.",
            "Read `kubectl logs --previous` of the pod that the message names; serve another version of the model.",
        ),
        Reason.CONTAINER_CRASHED: Explanation(
            "A container ended for a cause that nothing else explains.",
            "Read `kubectl logs --previous` of the pod that the message names.",
        ),
        Reason.PROBE_FAILED: Explanation(
            "A pod runs but does not answer its probes, so it gets no traffic or is restarted.",
            "Read the log of the pod that the message names; give it more CPU if it is starved.",
        ),
        Reason.ROLLOUT_STALLED: Explanation(
            "The new revision did not become ready within `spec.rollout.progressDeadlineSeconds`, and its "
            "pods show no cause.",
            "Look at the pods of the revision that the message names; the old revision goes on serving.",
        ),
        Reason.NAME_CONFLICT: Explanation(
            "An object that the model needs exists already and belongs to somebody else; it was left untouched.",
            "Rename the AIModel, or delete or rename the object that the message names.",
        ),
        Reason.FORBIDDEN: Explanation(
            "The API server refused something to the operator: a missing permission or an admission policy.",
            "Give the operator the permission in the message, or allow the object in the policy that refused it.",
        ),
        Reason.PROGRESSING: Explanation(
            "Nothing is wrong: the model is being fetched, built or rolled out.",
            "Wait; the message says for what.",
        ),
        Reason.SUCCEEDED: Explanation(
            "The step that the condition is about is done.",
            "Nothing to do.",
        ),
        Reason.SERVING: Explanation(
            "All is as the spec asks for.",
            "Nothing to do.",
        ),
    }
)
