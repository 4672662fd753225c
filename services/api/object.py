"""What every Kubernetes object has: a kind, an API version and metadata.

Objects are frozen: a cache can hand the same one to everybody. To change one, write a patch,
or build a new one with `msgspec.structs.replace`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

import msgspec

if TYPE_CHECKING:
    from services.api.meta_v1 import ObjectMeta


class ObjectKey(NamedTuple):
    """Names one object of a kind; `namespace` is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Object(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of all top-level kinds. `resource_version` is filled in by the client: it is never stored."""

    api_version: ClassVar[str]
    kind: ClassVar[str]

    if TYPE_CHECKING:

        @property
        def metadata(self) -> ObjectMeta: ...

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.metadata.namespace or "", self.metadata.name or "")
