"""Classes for objects of kinds that have no struct: those that somebody defined. They show metadata alone.

Such a class serves with every verb that needs no more: lists, watches, patches, deletions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from services.api.kinds import Resource
from services.api.meta_v1 import ObjectMeta
from services.api.object import Object

CLASSES_MAX = 1024  # kinds that nobody has asked about for long are made again


@lru_cache(maxsize=CLASSES_MAX)
def metadata_class(resource: Resource) -> type[Object]:
    """The same class for the same resource."""
    field = ("metadata", ObjectMeta, msgspec.field(default_factory=ObjectMeta))
    namespace = {"api_version": resource.api_version, "kind": resource.kind, "resource": resource}
    made: Any = msgspec.defstruct(
        resource.kind,
        [field],
        bases=(Object,),
        namespace=namespace,
        frozen=True,
        kw_only=True,
        omit_defaults=True,
        gc=False,
    )
    kind: type[Object] = made
    return kind
