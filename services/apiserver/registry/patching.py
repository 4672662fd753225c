"""PATCH: the patch applied to what is there now, and the result taken like an update.

Runs inside the compare-and-swap loop, so that a patch that names no resourceVersion never conflicts.
"""

from __future__ import annotations

from typing import Any

import orjson

from services.api.errors import ApiError
from services.apiserver.registry import metadata
from services.apiserver.registry.context import RequestContext
from services.apiserver.registry.request import PatchType, Target, WriteOptions
from services.apiserver.registry.store import Store
from services.apiserver.registry.written import Change, Written
from services.apiserver.rules import patched as refusals
from services.apiserver.rules.strategy import Strategy
from services.apiserver.storage.storage import Stored
from services.machinery.patch import apply_patch

Json = dict[str, Any]


async def patch(
    store: Store,
    strategy: Strategy,
    target: Target,
    body: bytes,
    patch_type: PatchType,
    options: WriteOptions,
) -> Written:
    """JSON patch, merge patch, strategic merge patch. ApiError where it does not apply."""
    warnings: list[str] = []  # of the last attempt
    refusals.check_text(body, patch_type)

    async def update(old: Json, stored: Stored, ctx: RequestContext) -> Change:
        base = orjson.loads(stored.value)
        # A patch may test or name the version, as clients do to be refused when it has moved on.
        base["metadata"]["resourceVersion"] = str(stored.revision)
        patched = apply_patch(patch_type, base, body, store.ownership.schema)
        try:
            decoded = strategy.decode_object(patched, options.field_validation)
        except ApiError as error:
            raise refusals.refusal(error, body, patch_type, patched) from error
        warnings[:] = decoded.warnings
        new = decoded.obj
        metadata.match_target(store.resource, new, target.namespace, target.name)
        strategy.default(new)
        change = await store.checked(target, new, old, stored.revision, ctx, strategy, options)
        warnings[:] = [*decoded.warnings, *strategy.warnings(new, old)]
        return change

    try:
        written = await store.update(target, update, options)
    except ApiError as error:
        error.warnings[:0] = warnings
        raise
    written.warnings[:0] = warnings
    return written
