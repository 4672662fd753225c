"""What a rule may ask of the world: the moment, chance, and other objects.

The generic store implements it, once for each request; tests use a plain object with the same attributes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

from services.api.kinds import Resource
from services.apiserver.authentication.users import User

Json = dict[str, Any]


class Context(Protocol):
    @property
    def now(self) -> datetime: ...

    @property
    def random(self) -> random.Random: ...

    @property
    def user(self) -> User:
        """In whose name the request is done."""
        ...

    def warn(self, text: str) -> None:
        """Says something to the caller of a request that is not refused."""
        ...

    def lookup(self, resource: Resource, namespace: str, name: str) -> Json | None:
        """The object as last seen, or None. Rules read only what a request's own fate hangs on."""
        ...

    def every(self, resource: Resource) -> Iterable[Json]:
        """All objects of a resource as last seen; for what must be unique in the whole cluster."""
        ...

    def within(self, resource: Resource, namespace: str) -> Iterable[Json]:
        """All objects of a resource in one namespace as last seen, in the order of their names."""
        ...
