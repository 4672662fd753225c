"""JSON merge patch, RFC 7386: maps merge, null deletes, everything else replaces."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def merge_patch(current: Json, patch: Json) -> Json:
    """New where it differs; what the patch does not touch is shared with `current`."""
    merged = dict(current)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            old = merged.get(key)
            merged[key] = merge_patch(old if isinstance(old, dict) else {}, value)
        else:
            merged[key] = value
    return merged
