"""`--overrides`: a patch that is laid over an object before it is created.

Upstream: cmdutil.OverrideOptions. What is no patch, or makes no object of it, is refused; what the object
then is, only the server judges.
"""

from __future__ import annotations

from typing import Any

from services.api.errors import ApiError
from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, Parsed, text
from services.machinery import patch
from services.machinery.schema.schema import schema_of

Json = dict[str, Any]

FLAGS: tuple[Flag, ...] = (
    text("override-type", "How --overrides is merged: json, merge or strategic", default="merge"),
    text("overrides", "JSON that is laid over the object"),
)
_TYPES = {"json": patch.JSON, "merge": patch.MERGE, "strategic": patch.STRATEGIC}


def overridden(obj: Json, flags: Parsed) -> Json:
    """The object as the flags want it."""
    if not flags["overrides"]:
        return obj
    kind = _TYPES.get(flags["override-type"])
    if kind is None:
        raise Fail(f"invalid override type: {flags['override-type']}")
    try:
        result = patch.apply_patch(
            kind, obj, flags["overrides"].encode(), schema_of(obj["apiVersion"], obj["kind"])
        )
    except ApiError as error:
        raise Fail(error.message) from error
    if not isinstance(result, dict) or not all(
        result.get(name) for name in ("apiVersion", "kind", "metadata")
    ):
        raise Fail("the overridden object lacks its apiVersion, kind or metadata")
    return result
