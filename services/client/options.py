"""What a request may ask for, whichever client makes it: plain data, for typed and untyped callers alike."""

from __future__ import annotations

from typing import Any, Literal

Propagation = Literal["", "Foreground", "Background", "Orphan"]

PAGE_OBJECTS_MAX = 500  # Upstream's page size: bounds one message.


def delete_options(
    *,
    grace_seconds: int | None = None,
    uid: str = "",
    resource_version: str = "",
    propagation: Propagation = "",
) -> dict[str, Any]:
    """`meta/v1 DeleteOptions` as plain data."""
    options: dict[str, Any] = {}
    if grace_seconds is not None:
        options["gracePeriodSeconds"] = grace_seconds
    preconditions = {"uid": uid, "resourceVersion": resource_version}
    if given := {key: value for key, value in preconditions.items() if value}:
        options["preconditions"] = given
    if propagation:
        options["propagationPolicy"] = propagation
    return options
