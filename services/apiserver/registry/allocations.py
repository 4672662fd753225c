"""What of an object must be unique in the cluster: the seam between the store and who keeps the books.

The store asks before each write, and says afterwards what became of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from services.apiserver.storage.storage import Stored

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Holding:
    """Cluster IPs and node ports."""

    ips: frozenset[str] = frozenset()
    ports: frozenset[int] = frozenset()


NOTHING = Holding()


class Allocations(Protocol):
    async def take(self, new: Json, old: Json | None, *, dry_run: bool) -> Holding:
        """Fills in, in place, all that `new` is to have; answers what was taken for it. ApiError 422, 500."""
        ...

    async def failed(self, taken: Holding, present: Stored | None) -> None:
        """The write did not come about; `present` is the object that there is instead."""
        ...

    async def changed(self, new: Json, old: Json) -> None:
        """It was written: what it does not need any longer is free."""
        ...

    async def gone(self, old: Json) -> None: ...
