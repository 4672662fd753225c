"""Which request made which change: the memory that joins a write to the watch event it becomes.

The event may arrive before the answer to the write does, so a write is noted before it is sent,
under what the event will show: the key and the bytes written (for a deletion, the key alone).
With the cause goes what the writer has read out of the object already, so that the cache need not
parse it again. Writes of other API servers are not known here: their events have no cause.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from services.apiserver.storage.entries import Attributes

WRITES_MAX = 20_000  # a write that nobody fetched (it failed) is pushed out by later ones


class Write(NamedTuple):
    cause: str = ""
    attributes: Attributes | None = None


_UNKNOWN = Write()


class CauseLedger:
    def __init__(self) -> None:
        self._writes: OrderedDict[tuple[str, bytes | None], Write] = OrderedDict()

    def note(self, key: str, value: bytes | None, cause: str, attributes: Attributes | None = None) -> None:
        self._writes[(key, value)] = Write(cause, attributes)
        if len(self._writes) > WRITES_MAX:
            self._writes.popitem(last=False)

    def take(self, key: str, value: bytes | None) -> Write:
        """What was noted of that change, once; an empty note when there is none."""
        return self._writes.pop((key, value), _UNKNOWN)
