"""What a small Redis holds: values by key, some of which expire; bounded; in and out of a dump.

Expiry is looked at when a key is, so nothing runs while nobody asks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from services.runtime.behaviours.redis_wire import Refused

STORED_BYTES_MAX = 8 * 1024 * 1024
KEYS_MAX = 100_000

Value = bytes | list[bytes] | set[bytes] | dict[bytes, bytes]
WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
FULL = "OOM command not allowed when used memory > 'maxmemory'."


class Keyspace:
    """What one server holds. `now` gives seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.values: dict[bytes, Value] = {}
        self.expires: dict[bytes, float] = {}
        self.size = 0  # bytes ever written, as a bound: deleting gives them back only at a flush

    def get(self, key: bytes, kind: type) -> Any:
        if key in self.expires and self.expires[key] <= self.now():
            self.delete(key)
        value = self.values.get(key)
        if value is not None and not isinstance(value, kind):
            raise Refused(WRONG_TYPE)
        return value

    def alive(self, key: bytes) -> bool:
        return self.get(key, object) is not None

    def put(self, key: bytes, value: Value, grown: int) -> None:
        if self.size + grown > STORED_BYTES_MAX or (key not in self.values and len(self.values) >= KEYS_MAX):
            raise Refused(FULL)
        self.size += grown + (len(key) if key not in self.values else 0)
        self.values[key] = value

    def delete(self, key: bytes) -> bool:
        self.expires.pop(key, None)
        return self.values.pop(key, None) is not None

    def collection(self, key: bytes, kind: type) -> Any:
        value = self.get(key, kind)
        if value is None:
            value = kind()
            self.put(key, value, 0)
        return value

    def drop_if_empty(self, key: bytes) -> None:
        if not self.values.get(key):
            self.delete(key)

    def dump(self) -> bytes:
        def plain(value: Value) -> Any:
            if isinstance(value, bytes):
                return value.decode("latin-1")
            if isinstance(value, dict):
                return {"h": {k.decode("latin-1"): v.decode("latin-1") for k, v in value.items()}}
            kind = "l" if isinstance(value, list) else "s"
            return {kind: [item.decode("latin-1") for item in value]}

        rows = [[k.decode("latin-1"), plain(v), self.expires.get(k)] for k, v in self.values.items()]
        return b"ORRERY" + json.dumps(rows).encode()

    def load(self, data: bytes) -> None:
        """Takes a dump in. One that is not ours is passed over."""
        if not data.startswith(b"ORRERY"):
            return
        for key, value, expires in json.loads(data[6:]):
            name = key.encode("latin-1")
            if isinstance(value, str):
                self.put(name, value.encode("latin-1"), len(value))
            elif "h" in value:
                pairs = {k.encode("latin-1"): v.encode("latin-1") for k, v in value["h"].items()}
                self.put(name, pairs, len(pairs))
            else:
                items = [item.encode("latin-1") for item in value.get("l", value.get("s"))]
                self.put(name, items if "l" in value else set(items), len(items))
            if expires is not None:
                self.expires[name] = expires
