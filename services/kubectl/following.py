"""Waiting for one object to become what a command waits for, by watching it, never by asking again and again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from services.api import kinds
from services.api.errors import ApiError, is_expired
from services.client.raw import RawClient
from services.kubectl.resources import complete

Json = dict[str, Any]


async def states(
    client: RawClient, resource: kinds.Resource, namespace: str, name: str
) -> AsyncGenerator[Json | None, None]:
    """The object as it is now and after every change; None while it does not exist."""
    fields = f"metadata.name={name}"
    while True:
        page = await client.list_page(resource, namespace, fields=fields, limit=0)
        yield complete(resource, page.items[0]) if page.items else None
        version = page.resource_version
        try:
            while True:
                stream = client.watch(resource, namespace, fields=fields, resource_version=version)
                async with aclosing(stream):
                    async for batch in stream:
                        for change in batch:
                            version = change.resource_version or version
                            if change.type == "DELETED":
                                yield None
                            elif change.type != "BOOKMARK":
                                yield complete(resource, change.object)
        except ApiError as error:
            if not is_expired(error):
                raise


async def until_gone(
    client: RawClient, resource: kinds.Resource, namespace: str, name: str, uid: str
) -> None:
    """Returns once the object with that uid exists no more."""
    async with aclosing(states(client, resource, namespace, name)) as stream:
        async for obj in stream:
            if obj is None or (uid and obj["metadata"].get("uid") != uid):
                return
