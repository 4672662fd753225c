"""What is served and not stored: made for each answer, by whoever knows."""

from __future__ import annotations

from typing import Protocol

from services.apiserver.registry.request import Answer, Listing, ListOptions, Target


class Computed(Protocol):
    async def get(self, target: Target) -> Answer:
        """ApiError (404)."""
        ...

    async def list(self, target: Target, options: ListOptions) -> Listing: ...
