"""Waiting for one object to become what a command waits for: by watching it, never by asking again and again.

Once the object was seen, a server that goes away and comes back does not end the waiting.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from services.api import kinds
from services.api.errors import ApiError, is_expired
from services.kubectl.errors import Refused
from services.kubectl.resources import complete
from services.kubectl.session import Session

Json = dict[str, Any]

RECONNECT_SECONDS = 0.5


async def states(
    session: Session, resource: kinds.Resource, namespace: str, name: str
) -> AsyncGenerator[Json | None, None]:
    """The object as it is now and after every change; None while it does not exist."""
    seen = False
    while True:
        try:
            async with aclosing(_watched(session, resource, namespace, name)) as stream:
                async for state in stream:
                    seen = True
                    yield state
        except ApiError as error:
            if not is_expired(error):
                raise
        except Refused:
            if not seen:
                raise
            await session.world.clock.sleep(RECONNECT_SECONDS)


async def _watched(
    session: Session, resource: kinds.Resource, namespace: str, name: str
) -> AsyncGenerator[Json | None, None]:
    fields = f"metadata.name={name}"
    page = await session.client.list_page(resource, namespace, fields=fields, limit=0)
    yield complete(resource, page.items[0]) if page.items else None
    version = page.resource_version
    while True:
        stream = session.client.watch(resource, namespace, fields=fields, resource_version=version)
        async with aclosing(stream):
            async for batch in stream:
                for change in batch:
                    version = change.resource_version or version
                    if change.type == "DELETED":
                        yield None
                    elif change.type != "BOOKMARK":
                        yield complete(resource, change.object)


async def until_gone(session: Session, resource: kinds.Resource, namespace: str, name: str, uid: str) -> None:
    """Returns once the object with that uid exists no more."""
    async with aclosing(states(session, resource, namespace, name)) as stream:
        async for obj in stream:
            if obj is None or (uid and obj["metadata"].get("uid") != uid):
                return
