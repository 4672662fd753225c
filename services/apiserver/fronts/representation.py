"""Objects written another way than they are stored: as rows of a Table, or as metadata alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from services.api.kinds import Resource
from services.apiserver.registry.request import Item, Listing
from services.apiserver.tables import IncludeObject, table
from services.apiserver.tables.partial import partial_object

Json = dict[str, Any]


def full(item: Item) -> Json:
    """The object with its resourceVersion, as every Kubernetes client knows it."""
    obj: Json = orjson.loads(item.value)
    if item.revision and "metadata" in obj:
        obj["metadata"]["resourceVersion"] = str(item.revision)
    return obj


def table_of_list(resource: Resource, listing: Listing, include: IncludeObject, now: datetime) -> bytes:
    meta: Json = {"resourceVersion": str(listing.revision)}
    if listing.continue_token:
        meta["continue"] = listing.continue_token
    if listing.remaining is not None:
        meta["remainingItemCount"] = listing.remaining
    return orjson.dumps(table(resource, map(full, listing.items), meta, include, now))


def table_of_one(
    resource: Resource,
    item: Item,
    include: IncludeObject,
    now: datetime,
    *,
    kind: str = "",
    columns: bool = True,
) -> bytes:
    meta = {"resourceVersion": str(item.revision)} if item.revision else {}
    made = table(resource, [full(item)], meta, include, now, kind=kind)
    return orjson.dumps(made if columns else {**made, "columnDefinitions": None})


def partial(item: Item) -> bytes:
    return orjson.dumps(partial_object(full(item)))
