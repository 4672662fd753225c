"""Server-side apply: what a caller wants of an object's fields, merged with what others own.

An object that is not there is created from it.
"""

from __future__ import annotations

from typing import Any

import orjson

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.registry import metadata
from services.apiserver.registry.context import RequestContext
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.registry.store import Store
from services.apiserver.registry.written import Change, Written
from services.apiserver.rules.strategy import Strategy
from services.apiserver.storage.storage import Stored
from services.machinery.patch import apply as apply_patch

Json = dict[str, Any]


async def apply(
    store: Store, strategy: Strategy, target: Target, body: bytes, options: WriteOptions
) -> Written:
    config = apply_patch.parse(body)
    warnings: list[str] = []

    def merged(live: Json | None, ctx: RequestContext) -> Json:
        obj = apply_patch.apply(
            live,
            orjson.loads(orjson.dumps(config)),
            manager=options.field_manager,
            force=options.force,
            subresource=target.subresource,
            api_version=store.resource.api_version,
            kind=store.resource.kind,
            now=ctx.now,
            schema=store.ownership.schema,
        )
        decoded = strategy.decode_object(obj, options.field_validation)
        warnings[:] = [*decoded.warnings, *strategy.warnings(decoded.obj, live)]
        metadata.match_target(store.resource, decoded.obj, target.namespace, target.name)
        return decoded.obj

    async def update(old: Json, stored: Stored, ctx: RequestContext) -> Change:
        new = merged(orjson.loads(stored.value), ctx)
        # What was merged is the present version, unless the caller names another one.
        new["metadata"].setdefault("resourceVersion", str(stored.revision))
        strategy.default(new)
        return await store.checked(target, new, old, stored.revision, ctx, strategy, options, tracked=True)

    try:
        written = await store.update(target, update, options)
    except ApiError as error:
        if not errors.is_not_found(error) or target.subresource:
            raise
        obj = merged(None, store.context())
        written = await store.create_decoded(target, obj, options, tracked=True)
        written.created = True
    written.warnings[:0] = warnings
    return written
