"""PATCH: the patch applied to what is there now, and the result taken like an update.

Runs inside the compare-and-swap loop, so that a patch that names no resourceVersion never conflicts.
"""

from __future__ import annotations

from typing import Any

import orjson

from services.apiserver.registry import metadata
from services.apiserver.registry.context import RequestContext
from services.apiserver.registry.request import PatchType, Target, WriteOptions
from services.apiserver.registry.store import Change, Store, Updater
from services.apiserver.rules.strategy import Strategy
from services.apiserver.storage.storage import Stored
from services.machinery.patch import apply_patch
from services.machinery.schema import schema_of

Json = dict[str, Any]


def patch_updater(
    store: Store,
    strategy: Strategy,
    target: Target,
    body: bytes,
    patch_type: PatchType,
    options: WriteOptions,
    warnings: list[str],
) -> Updater:
    """What the store is to do with the present object; warnings are those of the last attempt."""
    schema = schema_of(store.resource.api_version, store.resource.kind)

    def update(old: Json, stored: Stored, ctx: RequestContext) -> Change:
        base = orjson.loads(stored.value)
        # A patch may test or name the version, as clients do to be refused when it has moved on.
        base["metadata"]["resourceVersion"] = str(stored.revision)
        patched = apply_patch(patch_type, base, body, schema)
        decoded = strategy.decode_object(patched, options.field_validation)
        new = decoded.obj
        metadata.match_target(store.resource, new, target.namespace, target.name)
        strategy.default(new)
        change = store.checked(target, new, old, stored.revision, ctx, strategy)
        warnings[:] = [*decoded.warnings, *strategy.warnings(new, old)]
        return change

    return update
