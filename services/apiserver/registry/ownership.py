"""Who owns which field of an object: what the store asks of `machinery.patch.managed_fields`.

Called after defaulting and before admission, as upstream: what the caller asked for is the
caller's, what admission and strategies add belongs to nobody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.api import errors
from services.api.kinds import Resource
from services.machinery.patch import managed_fields
from services.machinery.schema import Schema, schema_of

Json = dict[str, Any]

MANAGER_LENGTH_MAX = 128


# Upstream's tracking cannot read these and passes them over, as its recorded answers show.
UNTRACKED = ("CertificateSigningRequest",)


class Ownership:
    """The tracking of one resource."""

    def __init__(self, resource: Resource, schema: Schema | None = None, api_version: str = "") -> None:
        """`schema` and `api_version` where a subresource has a kind of its own."""
        schema = schema or schema_of(resource.api_version, resource.kind)
        assert schema is not None  # Every served kind has one.
        self.schema: Schema = schema
        self._api_version = api_version or resource.api_version

    def track(self, old: Json | None, new: Json, manager: str, subresource: str, now: datetime) -> None:
        """Records a Create (`old` None), Update or Patch in `new`'s managedFields."""
        if new.get("kind") in UNTRACKED:
            return
        managed_fields.update(
            old,
            new,
            manager=manager,
            subresource=subresource,
            api_version=self._api_version,
            now=now,
            schema=self.schema,
        )


def check_manager(manager: str) -> None:
    """ApiError (422) for a name that no entry can carry."""
    if len(manager.encode()) > MANAGER_LENGTH_MAX:
        message = f"Too long: may not be more than {MANAGER_LENGTH_MAX} bytes"
        cause = {"reason": "FieldValueTooLong", "message": message, "field": "fieldManager"}
    else:
        bad = next((at for at, character in enumerate(manager) if not character.isprintable()), None)
        if bad is None:
            return
        shown = f"invalid character U+{ord(manager[bad]):04X} (at position {bad})"
        message = f'Invalid value: "{manager}": {shown}'
        cause = {"reason": "FieldValueInvalid", "message": message, "field": "fieldManager"}
    raise errors.invalid("meta.k8s.io", "PatchOptions", "", [cause])
