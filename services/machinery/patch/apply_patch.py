"""One door for the patch types that need no knowledge of field ownership."""

from __future__ import annotations

from typing import Any

import orjson

from services.api.errors import bad_request, failure
from services.machinery.patch.json_patch import json_patch
from services.machinery.patch.merge_patch import merge_patch
from services.machinery.patch.strategic import strategic_merge
from services.machinery.schema import Schema

Json = dict[str, Any]

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
# What Go calls values that are no object.
_GO_KINDS: dict[type, str] = {str: "string", list: "array", bool: "bool", type(None): "null"}


def apply_patch(content_type: str, current: Json, body: bytes, schema: Schema | None) -> Json:
    """`current` with the patch applied. ApiError: 400 unreadable, 415 unknown type, 422 does not apply."""
    if content_type not in (JSON, MERGE, STRATEGIC):
        raise unsupported(content_type)
    try:
        patch = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"error decoding patch: {error}") from None
    if content_type == JSON:
        return _with_reset_kept(json_patch(current, patch))
    if not isinstance(patch, dict):
        given = _GO_KINDS.get(type(patch), "number")
        wrong = f"json: cannot unmarshal {given} into Go value of type map[string]interface {{}}"
        raise bad_request(wrong if content_type == STRATEGIC else f"error decoding patch: {wrong}")
    if content_type == MERGE:
        return _with_reset_kept(merge_patch(current, patch))
    if schema is None:
        raise unsupported(content_type)
    return _with_reset_kept(strategic_merge(current, patch, schema))


def _with_reset_kept(patched: Json) -> Json:
    """An empty managedFields list resets the tracking. Decoding would drop it: this is its other form."""
    metadata = patched.get("metadata")
    if isinstance(metadata, dict) and metadata.get("managedFields") == []:
        return {**patched, "metadata": {**metadata, "managedFields": [{}]}}
    return patched


def unsupported(content_type: str) -> Exception:
    """415, for a patch type that the kind does not take."""
    accepted = ", ".join((JSON, MERGE, APPLY))
    message = (
        "the body of the request was in an unknown format - accepted media types include: " + accepted
        if content_type == STRATEGIC
        else "415: Unsupported Media Type"
    )
    return failure(415, "UnsupportedMediaType", message)
