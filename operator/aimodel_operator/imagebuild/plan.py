"""Names a build by its inputs: the tag under which an equal build's image is found again.

Called by the operator before it makes a Job and by `build` once the source's digest is known. Pure.
"""

import hashlib
import json

from aimodel_operator.imagebuild.reference import PinnedImage

BUILD_VERSION = "2"
"""Raised whenever the same model and base would give another layer, manifest or verdict."""


def input_tag(model: str, source_digest: str, base: PinnedImage) -> str:
    """`in-` and 40 hex digits of a hash over everything that the image is made from."""
    inputs = json.dumps([model, source_digest, base.digest, BUILD_VERSION], separators=(",", ":"))
    return "in-" + hashlib.sha256(inputs.encode()).hexdigest()[:40]
