"""Which request made which change: the memory that joins a write to the watch event it becomes.

The event may arrive before the answer to the write does, so a cause is noted before the write is
sent, under what the event will show: the key and the bytes written (for a deletion, the key
alone). Writes of other API servers are not known here; their events have no cause.
"""

from __future__ import annotations

from collections import OrderedDict

CAUSES_MAX = 20_000  # a cause that nobody fetched (its write failed) is pushed out by later ones

_Key = tuple[str, bytes | None]


class CauseLedger:
    def __init__(self) -> None:
        self._causes: OrderedDict[_Key, str] = OrderedDict()

    def note(self, key: str, value: bytes | None, traceparent: str) -> None:
        if not traceparent:
            return
        self._causes[(key, value)] = traceparent
        if len(self._causes) > CAUSES_MAX:
            self._causes.popitem(last=False)

    def take(self, key: str, value: bytes | None) -> str:
        """The traceparent noted for that change; empty when there is none."""
        return self._causes.pop((key, value), "")
