"""Turns a fetched file into a folder that is ready to become `/models/NAME/1/`, or refuses it.

Called by `build` after the digest has been verified. Decides by content what came: an ONNX file, or a tar or
tar.gz with a model.onnx at its root or in its single top folder. An archive with an echo.json instead is for load
tests: it makes the server's test engine answer with its inputs after a delay. Never trusts the URI's ending,
never loads, imports or unpickles anything. `layer` is next.
"""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from aimodel_operator.imagebuild import archive, dangers, onnx_scan
from aimodel_operator.imagebuild.archive import shown
from aimodel_operator.imagebuild.errors import ModelRejectedError

ONNX, ECHO = "ONNX", "Echo"
_MODEL_FILES = {"model.onnx": ONNX, "echo.json": ECHO}
_MAX_ECHO_BYTES = 64 * 1024
_EXPORT_INSTEAD = "To serve a model, pack it as model.onnx instead."
# NB: the server's test engine knows more keys, which make it fail, panic, abort or hang. They are for tests of the
# server, and no image may bring them to a cluster.
_ECHO_KEYS = frozenset({"inputs", "delayMilliseconds", "loadMilliseconds"})


@dataclass(frozen=True, slots=True)
class ScannedModel:
    """A folder of harmless plain files; `format` is what serves it: ONNX or Echo."""

    folder: Path
    format: str


def scan(fetched: Path, wanted_format: str, work: Path, max_bytes: int) -> ScannedModel:
    """Consumes `fetched`; the result lies below `work`. `wanted_format` is spec.source.format."""
    folder = work / "model"
    folder.mkdir()
    with fetched.open("rb") as file:
        head = file.read(512)
    gzipped = head.startswith(b"\x1f\x8b")
    if gzipped or head[257:262] == b"ustar":
        archive.extract(fetched, folder, max_bytes, gzipped=gzipped)
        fetched.unlink()
    else:
        _refuse(dangers.by_content(fetched) or dangers.as_document(head), "The source")
        fetched.rename(folder / "model.onnx")
    model = _judged(folder)
    if wanted_format not in ("Auto", model.format):
        raise ModelRejectedError(
            f"spec.source.format is {wanted_format}, but the source holds an {model.format} model."
        )
    return model


def _judged(folder: Path) -> ScannedModel:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        name = path.relative_to(folder)
        _refuse(dangers.by_name(path.name), f"The archive's file {shown(name)}")
    folder = _model_folder(folder)
    found = [name for name in _MODEL_FILES if (folder / name).is_file()]
    if len(found) != 1:
        raise ModelRejectedError(f"The archive holds both {' and '.join(found)}; leave one of them out.")
    external = onnx_scan.scan(folder / "model.onnx") if found == ["model.onnx"] else frozenset[PurePosixPath]()
    if found == ["echo.json"]:
        _check_echo(folder / "echo.json")
    for path in files:
        # External data is bare numbers that no reader takes for anything else, and may begin with any bytes.
        if PurePosixPath(path.relative_to(folder)) not in external:
            _refuse(dangers.by_content(path), f"The archive's file {shown(path.relative_to(folder))}")
    return ScannedModel(folder, _MODEL_FILES[found[0]])


def _model_folder(folder: Path) -> Path:
    top = list(folder.iterdir())
    candidates = [folder, *(top if len(top) == 1 and top[0].is_dir() else [])]
    for candidate in candidates:
        if any((candidate / name).is_file() for name in _MODEL_FILES):
            return candidate
    raise ModelRejectedError(
        "The archive holds no model.onnx at its root or in its single top folder; it "
        f"holds {', '.join(shown(path.name) for path in sorted(top)[:5]) or 'nothing'}. Export the model as "
        "ONNX under that name."
    )


def _check_echo(path: Path) -> None:
    try:
        described = json.loads(path.read_bytes()) if path.stat().st_size <= _MAX_ECHO_BYTES else None
    except (ValueError, RecursionError) as exc:
        raise ModelRejectedError(f"echo.json does not read as JSON. {_EXPORT_INSTEAD}") from exc
    if not isinstance(described, dict):
        raise ModelRejectedError(
            f"echo.json is not a JSON object of at most {_MAX_ECHO_BYTES} bytes. {_EXPORT_INSTEAD}"
        )
    unknown = sorted(described.keys() - _ECHO_KEYS)
    if unknown:
        raise ModelRejectedError(
            f"echo.json has the key {shown(unknown[0])}, but may have {', '.join(sorted(_ECHO_KEYS))} only; "
            "take it out."
        )


def _refuse(meaning: str | None, subject: str) -> None:
    if meaning is not None:
        raise ModelRejectedError(f"{subject} {meaning}")
