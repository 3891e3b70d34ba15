"""The registry as `reconcile` sees it: is the image of these inputs there already?"""

import logging

from aimodel_operator.decide import LookUp
from aimodel_operator.imagebuild.errors import RegistryError
from aimodel_operator.imagebuild.registry import Registry
from aimodel_operator.observe import Artefact

_log = logging.getLogger(__name__)


class RegistryImages:
    """Implements `reconcile.Images`. A registry that cannot tell costs one short build Job, which can."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def find(self, look_up: LookUp) -> Artefact | None:
        """The image under the tag, or `None`."""
        try:
            found = await self._registry.find_image(look_up.repository, look_up.tag)
        except RegistryError as exc:
            _log.warning("image not looked up", extra={"repository": look_up.repository, "error": str(exc)})
            return None
        return None if found is None else Artefact(found.image, found.model_digest, found.format)
