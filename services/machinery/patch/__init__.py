"""Patches: how a client changes part of an object. Pure functions on JSON data.

`apply_patch` does JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge patch, and
leaves what it is given alone: the result is new where it differs and may share the rest.
Server-side apply is `managed_fields.apply`, since who owns which field decides it. Schema facts
(merge keys, list types) come from `services.machinery.schema`. Refusals are ApiErrors in upstream's words.
"""

from services.machinery.patch.apply_patch import APPLY, JSON, MERGE, STRATEGIC, apply_patch

__all__ = ["APPLY", "JSON", "MERGE", "STRATEGIC", "apply_patch"]
