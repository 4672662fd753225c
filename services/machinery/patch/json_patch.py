"""JSON patch, RFC 6902, with the refusals of upstream's API server.

The operations are `jsonpatch`'s; where upstream's library reads the RFC more freely (replacing
a field that is not there adds it), so do we. It is imported on first use: few clients send such patches.
"""

from __future__ import annotations

from typing import Any

import orjson

from services.api.errors import ApiError, bad_request, failure, too_large

Json = dict[str, Any]

OPERATIONS_MAX = 10_000
COPIED_BYTES_MAX = 3 * 1024 * 1024  # in one patch: copies of copies double what they copy
_REJECTED = "the server rejected our request due to an error in our request"


def json_patch(current: Json, operations: Any) -> Json:
    """ApiError 400 when it is not a patch, 413 when it is too long, 422 when it does not apply."""
    if not isinstance(operations, list) or not all(isinstance(each, dict) for each in operations):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch"
        )
    if len(operations) > OPERATIONS_MAX:
        raise too_large(
            f"The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {len(operations)}"
        )
    try:
        return applied(current, operations)
    except NotApplicable:
        raise _rejected() from None


class NotApplicable(Exception):
    """A patch that does not fit what it is for; the text says why."""


class NotMeant(NotApplicable):
    """One of its tests fails."""


def applied(current: Json, operations: list[Json]) -> Json:
    """What the operations make of it; it is not changed itself. NotApplicable."""
    import jsonpatch
    import jsonpointer

    document = orjson.loads(orjson.dumps(current))
    copied_bytes = 0
    try:
        for operation in operations:
            if operation.get("op") == "copy":
                source = jsonpointer.JsonPointer(operation["from"]).resolve(document)
                copied_bytes += len(orjson.dumps(source))
                if copied_bytes > COPIED_BYTES_MAX:
                    raise NotApplicable(f"what is copied is larger than {COPIED_BYTES_MAX} bytes")
            if operation.get("op") == "replace" and _names_new_field(document, operation, jsonpointer):
                operation = operation | {"op": "add"}
            document = jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
        orjson.dumps(document)  # TypeError where moves have nested it too deeply
    except jsonpatch.JsonPatchTestFailed as error:
        raise NotMeant(str(error)) from None
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise NotApplicable(str(error)) from None
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise NotApplicable(f"invalid JSON patch: {error}") from None
    if not isinstance(document, dict):
        raise NotApplicable("the patched object is no object")
    return document


def _rejected() -> ApiError:
    error = failure(422, "Invalid", _REJECTED)
    error.status["details"] = {}  # Upstream's answer has it, with nothing in it.
    return error


def _names_new_field(document: Json, operation: Json, jsonpointer: Any) -> bool:
    parent, part = jsonpointer.JsonPointer(operation.get("path", "")).to_last(document)
    return isinstance(parent, dict) and part is not None and part not in parent
