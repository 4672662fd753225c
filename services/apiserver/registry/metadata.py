"""The part of every write that is the same for all kinds: what the system, not the caller, says in metadata.

Upstream: `registry/rest` BeforeCreate. Pure; objects are changed in place.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from random import Random
from typing import Any

from services.api import errors
from services.api.kinds import Resource
from services.machinery import names
from services.machinery.clock import rfc3339

Json = dict[str, Any]


def match_target(resource: Resource, obj: Json, namespace: str, name: str) -> None:
    """Fills in namespace and name from the request's target. ApiError (400) where they contradict it."""
    metadata: Json = obj.get("metadata") or {}
    obj["metadata"] = metadata
    if not resource.namespaced:
        if metadata.get("namespace"):
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        metadata.pop("namespace", None)
    elif metadata.setdefault("namespace", namespace) != namespace:
        if metadata["namespace"]:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        metadata["namespace"] = namespace
    if name:
        given = metadata.get("name", "")
        if given and given != name:
            raise errors.bad_request(
                f"the name of the object ({given}) does not match the name on the URL ({name})"
            )
        metadata["name"] = name


def before_create(obj: Json, now: datetime, random: Random) -> None:
    """Identity and birth: upstream's FillObjectMetaSystemFields, and the name where one is to be made."""
    metadata: Json = obj["metadata"]
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        metadata.pop(field, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = names.generate_name(metadata["generateName"], random)
    metadata["uid"] = str(uuid.UUID(int=random.getrandbits(128), version=4))
    metadata["creationTimestamp"] = rfc3339(now)
