"""The hash of a pod template that names a Deployment's ReplicaSets (`pod-template-hash`).

Upstream takes FNV-1a (32 bit) over Go's printed form of the struct, which nobody else can
reproduce; ours takes it over canonical JSON: equal templates get equal names, and that is all
that anything relies on.
"""

from __future__ import annotations

from services.machinery.names import safe_encode

_OFFSET, _PRIME = 0x811C9DC5, 0x01000193


def fnv32a(data: bytes, seed: int = _OFFSET) -> int:
    value = seed
    for byte in data:
        value = ((value ^ byte) * _PRIME) & 0xFFFFFFFF
    return value


def template_hash(canonical_json: bytes, collision_count: int | None = None) -> str:
    """Up to ten characters, safe in a name. The count makes another hash when one was taken."""
    value = fnv32a(canonical_json)
    if collision_count is not None:
        value = fnv32a(collision_count.to_bytes(8, "little"), value)
    return safe_encode(str(value))
