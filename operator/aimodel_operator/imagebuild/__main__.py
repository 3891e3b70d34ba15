"""Turns the environment of a build Job into one build, a termination message and an exit code.

Run as `python -m aimodel_operator.imagebuild`. Exit 0: built or found; exit 1: not. The message is JSON of at
most 1,024 characters of text and holds no secret; `request` is next.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path

from aimodel_operator.imagebuild import registry, request
from aimodel_operator.imagebuild.build import BuildResult, Progress, build
from aimodel_operator.imagebuild.credentials import DockerConfig
from aimodel_operator.imagebuild.errors import BuildInterruptedError, ImageBuildError

_MAX_MESSAGE_CHARACTERS = 1024


def main(environment: Mapping[str, str]) -> int:
    """Builds and reports; the exit code."""
    try:
        outcome, code = _success(asyncio.run(_build(environment))), 0
    except ImageBuildError as exc:
        outcome, code = _failure(exc), 1
    except Exception as exc:  # noqa: BLE001  # the outermost boundary: a bug must still end with a message
        traceback.print_exc()
        own = ImageBuildError(f"The build met an error of its own: {type(exc).__name__}; its log has the traceback.")
        outcome, code = _failure(own), 1
    text = json.dumps(outcome)
    _say(text)
    Path(environment.get("AIMODEL_TERMINATION_LOG", "/dev/termination-log")).write_text(text)
    return code


async def _build(environment: Mapping[str, str]) -> BuildResult:
    wanted = request.parse(environment.get("AIMODEL_BUILD_REQUEST", ""))
    credentials = _credentials(environment, wanted.push_secret)
    progress = Progress(_say)
    # As PID 1 a process without a handler does not even notice SIGTERM.
    if this := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    try:
        with tempfile.TemporaryDirectory(prefix="imagebuild-") as work:
            async with (
                asyncio.timeout(wanted.limits.timeout_seconds),
                registry.connect(credentials, wanted.plain_http_registries) as client,
            ):
                return await build(wanted, client, Path(work), progress)
    except TimeoutError as exc:
        raise BuildInterruptedError(
            f"The build did not finish in {wanted.limits.timeout_seconds} s; it was at the step "
            f"{progress.step}. A slow source or registry needs a larger AIMODEL_BUILD_TIMEOUT_SECONDS."
        ) from exc
    except asyncio.CancelledError as exc:
        raise BuildInterruptedError(f"The build was stopped at the step {progress.step}.") from exc


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _credentials(environment: Mapping[str, str], push_secret: str | None) -> DockerConfig:
    """The Secret is mounted as optional: only so does a build without it end at once and say so."""
    if push_secret is None:
        return DockerConfig()
    folder = Path(environment.get("DOCKER_CONFIG", ""))
    return DockerConfig.load(folder, f"The Secret {push_secret} (spec.image.pushSecretRef)")


def _success(result: BuildResult) -> dict[str, object]:
    return {
        "image": result.built.image,
        "modelDigest": result.built.model_digest,
        "format": result.built.format,
        "reused": result.reused,
        "seconds": result.seconds,
    }


def _failure(exc: ImageBuildError) -> dict[str, object]:
    return {"reason": str(exc.reason), "message": str(exc)[:_MAX_MESSAGE_CHARACTERS]}


if __name__ == "__main__":
    sys.exit(main(os.environ))
