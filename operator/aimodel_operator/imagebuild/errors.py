"""Every way in which a build can fail, each with the reason that the AIModel's status will show.

ImageBuildError                      BuildFailed
├── RequestInvalidError              BuildFailed
├── CredentialsError                 ParameterInvalid
├── SourceNotFoundError              ModelNotFound
├── SourceDeniedError                ModelAccessDenied
├── SourceUnavailableError           BuildFailed
├── SourceRefusedError               BuildFailed
├── DigestMismatchError              ModelDigestMismatch
├── ModelRejectedError               ModelRejected
├── OutOfSpaceError                  NoSpaceLeft
├── BuildInterruptedError            BuildFailed
└── RegistryError                    BuildFailed
    ├── RegistryNotFoundError        BuildFailed
    ├── RegistryDeniedError          RegistryDenied
    └── RegistryUnavailableError     BuildFailed

Raised where the cause is known, turned into a termination message in `__main__`. The operator tries every
failed build again in growing intervals, whatever its reason. A message never holds a password, a token or a
query string: URIs go through `redact` first.
"""

from typing import ClassVar

from yarl import URL

from aimodel_operator.api.reasons import Reason


class ImageBuildError(Exception):
    """A build ended; the message says what, which object and what to do."""

    reason: ClassVar[Reason] = Reason.BUILD_FAILED


class RequestInvalidError(ImageBuildError):
    """AIMODEL_BUILD_REQUEST does not read as what it should be."""


class CredentialsError(ImageBuildError):
    """The docker configuration is missing, or does not read as one."""

    reason = Reason.PARAMETER_INVALID


class SourceNotFoundError(ImageBuildError):
    """The source's host or file does not exist."""

    reason = Reason.MODEL_NOT_FOUND


class SourceDeniedError(ImageBuildError):
    """The source wants credentials that were not given, or lies at an address that builds may not reach."""

    reason = Reason.MODEL_ACCESS_DENIED


class SourceUnavailableError(ImageBuildError):
    """The source could not be read this time: network, time limit, a server's own error."""


class SourceRefusedError(ImageBuildError):
    """The source's server cannot be used as it is: bad certificate, endless redirects, an odd answer."""


class DigestMismatchError(ImageBuildError):
    """The bytes that came are not the bytes that spec.source.digest pins."""

    reason = Reason.MODEL_DIGEST_MISMATCH


class ModelRejectedError(ImageBuildError):
    """The content is not a model that this version serves safely."""

    reason = Reason.MODEL_REJECTED


class OutOfSpaceError(ImageBuildError):
    """The model is larger than the build's byte limit or the disk below it."""

    reason = Reason.NO_SPACE_LEFT


class BuildInterruptedError(ImageBuildError):
    """The build was stopped or ran out of time."""


class RegistryError(ImageBuildError):
    """The registry gave an answer that no retry will change."""


class RegistryNotFoundError(RegistryError):
    """The registry holds no such manifest or blob."""


class RegistryDeniedError(RegistryError):
    """The registry refused the credentials or wants some."""

    reason = Reason.REGISTRY_DENIED


class RegistryUnavailableError(RegistryError):
    """The registry could not be reached, is overloaded or failed by itself."""


def redact(uri: str | URL) -> str:
    """The URI without user, password, query and fragment: safe for logs and status."""
    try:
        url = URL(uri) if isinstance(uri, str) else uri
        shown = url.with_user(None).with_query(None).with_fragment(None) if url.host else URL(url.path)
    except ValueError:
        return "(a URI that does not parse)"
    return f"{shown}?…" if url.query_string else str(shown)
