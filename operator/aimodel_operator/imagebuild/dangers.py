"""Names what a file is when it is something that a build must not pack: by its name and by its first bytes.

Called by `scan`. Each answer is a sentence for the model's owner that ends with what to do. Pure but for
reading the two ends of a file; opens no container format with a parser.
"""

import re
from pathlib import Path

_EXPORT_KERAS = 'In Keras 3: model.export("model.onnx", format="onnx").'
_EXPORT_SAVED_MODEL = "Run: python -m tf2onnx.convert --saved-model FOLDER --output model.onnx --opset 17."
_NO_CONVERSION = "Conversion is not available in this version; export the model as ONNX and name that file."
_EXPORT_SKLEARN = "Export the model as ONNX (scikit-learn: skl2onnx.to_onnx) and name that file."
_EXPORT_TORCH = 'Export it: torch.onnx.export(model, inputs, "model.onnx").'

_KERAS = f"is a Keras model. {_NO_CONVERSION} {_EXPORT_KERAS}"
_SAVED_MODEL = f"is a TensorFlow SavedModel. {_NO_CONVERSION} {_EXPORT_SAVED_MODEL}"
_HDF5 = f"is HDF5 (.h5), which can run code when a model is loaded from it. {_NO_CONVERSION} {_EXPORT_KERAS}"
_PICKLE = f"is a pickle, which runs code when it is loaded. {_EXPORT_SKLEARN}"
_TORCH = f"is a PyTorch checkpoint, which is a pickle and runs code when it is loaded. {_EXPORT_TORCH}"
_PROGRAM = "is program code, which a model may not bring along. Leave it out of the archive."
_ZIP = f"is a zip archive. {_NO_CONVERSION} Folders are packed as tar or tar.gz."
_PACKED = "is compressed once more. Put the plain files into one tar or tar.gz."

_WEB_PAGE = "is a web page, not a model: the URI leads to a login or preview page. Name the raw file's URI."

_JSON = (
    "is a JSON document, not a model: many servers answer so when they mean an error. See what the URI gives "
    "(curl -L URI), then name the URI of the model's file."
)

_BY_SUFFIX = {
    ".keras": _KERAS,
    ".h5": _HDF5,
    ".hdf5": _HDF5,
    ".zip": _ZIP,
    ".npz": _ZIP,
    **dict.fromkeys((".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle"), _PICKLE),
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".torchscript"), _TORCH),
    **dict.fromkeys((".py", ".pyc", ".pyo", ".pyd", ".pyz", ".whl", ".sh", ".dll", ".dylib", ".exe", ".jar"), _PROGRAM),
}
_SHARED_LIBRARY = re.compile(r"\.so(\.\d+)*$")

_MAGICS = (
    (re.compile(rb"\s*<(?:!doctype|html)", re.IGNORECASE), _WEB_PAGE),
    (re.compile(rb"\x89HDF\r\n\x1a\n"), _HDF5),
    (re.compile(rb"\x7fELF|#!|MZ.{58}..\x00\x00", re.DOTALL), _PROGRAM),
    (re.compile(rb"\x1f\x8b|BZh[1-9]1AY&SY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd"), _PACKED),
    # Protocols 0 and 1 have no mark of their own; these are how a module or a builtin is named in them.
    (
        re.compile(rb"\x80[\x02-\x05]|c[A-Za-z_][\w.]*\n[A-Za-z_]\w*\n|\(?[cid](?:__builtin__|builtins|os|posix)\n"),
        _PICKLE,
    ),
)
_JSON_BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]")
_HEAD_BYTES, _TAIL_BYTES = 4096, 22 + 65535


def by_name(name: str) -> str | None:
    """What a file of this name is taken for, or None when the name raises no doubt."""
    lower = name.rpartition("/")[2].lower()
    if lower in ("saved_model.pb", "saved_model.pbtxt"):
        return _SAVED_MODEL
    if _SHARED_LIBRARY.search(lower):
        return _PROGRAM
    return _BY_SUFFIX.get(Path(lower).suffix)


def as_document(head: bytes) -> str | None:
    """What a source that begins so is when it is text for programs, or None. No ONNX file begins like JSON.

    For the source alone: an archive may hold JSON beside its model.
    """
    return _JSON if _JSON_BEGINS.match(head) else None


def by_content(path: Path) -> str | None:
    """What the bytes say the file is, or None. A zip is seen at either end, as its readers look at the end."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(max(0, size_bytes - _TAIL_BYTES))
        tail = file.read(_TAIL_BYTES)
    for magic, meaning in _MAGICS:
        if magic.match(head):
            return meaning
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or _ends_as_zip(tail):
        if b"model.weights.h5" in head + tail:
            return _KERAS
        return _TORCH if b"/data.pkl" in head + tail else _ZIP
    return None


def _ends_as_zip(tail: bytes) -> bool:
    """Whether an end-of-central-directory record reaches exactly to the end of the file."""
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + 22 <= len(tail) and at + 22 + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail):
            return True
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return False
