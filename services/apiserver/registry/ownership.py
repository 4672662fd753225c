"""Who owns which field: the store's door to `machinery.patch.managed_fields`.

Called after defaulting and before admission, as upstream: what the caller asked for is the
caller's, what admission and strategies add belongs to nobody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.apiserver.registry.request import Target, WriteOptions
from services.machinery.patch import apply as server_side
from services.machinery.patch import managed_fields
from services.machinery.schema import schema_of

Json = dict[str, Any]


def track(target: Target, new: Json, old: Json | None, options: WriteOptions, now: datetime) -> None:
    """Records a Create (`old` None), Update or Patch in `new`'s managedFields."""
    resource = target.resource
    schema = schema_of(resource.api_version, resource.kind)
    if schema is None:
        return
    managed_fields.update(
        old,
        new,
        manager=options.field_manager,
        subresource=target.subresource,
        api_version=resource.api_version,
        now=now,
        schema=schema,
    )


def apply(target: Target, body: bytes, old: Json | None, options: WriteOptions, now: datetime) -> Json:
    """The object with the applied configuration in it. ApiError 400, 409, 415, 422, 500."""
    resource = target.resource
    schema = schema_of(resource.api_version, resource.kind)
    assert schema is not None  # Every served kind has one.
    return server_side.apply(
        old,
        server_side.parse(body),
        manager=options.field_manager,
        force=options.force,
        subresource=target.subresource,
        api_version=resource.api_version,
        kind=resource.kind,
        now=now,
        schema=schema,
    )
