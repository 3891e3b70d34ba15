"""Decides on the base images: the official ones where a public registry answers, else ones made from Debian.

`operator_image` and `serving_image` ask for the value of the build argument `BASE_IMAGE`; None stands for the
default that the Dockerfile names.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from hack.images import debian, registry
from hack.images.engine import Engine
from hack.images.paths import BUILD
from hack.paths import cache

_OFFICIAL_HOST = {"cc": "gcr.io", "python3.11": "registry-1.docker.io"}
_DOCKERFILE = "FROM scratch\nADD root.tar /\nENV PATH=/usr/local/bin:/usr/bin:/bin\nENV LANG=C.UTF-8\n"
# dpkg's scripts would have compiled the standard library; without it every start would compile it again.
_COMPILE = (
    'RUN ["/usr/bin/python3.11", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", '
    '"/usr/lib/python3.11"]\n'
)


def base_image(root: debian.Root, engine: Engine, note: Callable[[str], None]) -> str | None:
    """The BASE_IMAGE to build on: None = the Dockerfile's default can be pulled."""
    if registry.answers(_OFFICIAL_HOST[root.name]):
        return None
    recipe = [root.packages, root.links, _DOCKERFILE, _COMPILE]
    sources = Path(debian.__file__).read_bytes() + json.dumps(recipe).encode()
    tag = f"localhost/aimodel/base-{root.name}:{hashlib.sha256(sources).hexdigest()[:12]}"
    if not engine.has(tag):
        note("making a base image from Debian packages")
        work = cache() / "images" / f"base-{root.name}"
        context = BUILD / f"base-{root.name}"
        context.mkdir(parents=True, exist_ok=True)
        debian.make_root(root, work).replace(context / "root.tar")
        dockerfile = context / "Dockerfile"
        dockerfile.write_text(_DOCKERFILE + (_COMPILE if root is debian.PYTHON else ""))
        engine.build(dockerfile, context, tag, {})
    return tag
