"""How an object is deleted: at once, or marked and gone later.

What knows grace is marked even where none is left, and goes in a second write, as upstream does it:
whoever watches sees an end before the object disappears. A process that dies between the two writes
leaves it marked; whoever deletes it next finishes that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.registry import deletion, extending
from services.apiserver.registry.context import RequestContext
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.registry.written import Change, Written
from services.apiserver.rules import admission
from services.apiserver.storage.storage import Stored

if TYPE_CHECKING:
    from services.apiserver.registry.store import Store

Json = dict[str, Any]
DEFINITIONS = "apiextensions.k8s.io/v1/customresourcedefinitions"


async def delete(
    store: Store, target: Target, options: deletion.Options, dry_run: bool, *, admitted: bool
) -> tuple[Written, bool]:
    """Deletes, or marks for deletion. The boolean says whether the object is gone.

    `admitted`: webhooks and policies have been asked already, about an eviction.
    """
    held, is_first, extension = False, not admitted, store.extension

    async def update(old: Json, stored: Stored, ctx: RequestContext) -> Change:
        nonlocal held
        deletion.check_preconditions(store.resource, old, stored.revision, options)
        wanted = options
        if not options.propagation and deletion.orphans_by_default(store.resource, old):
            wanted = replace(options, propagation="Orphan")
        admission.validate("delete", store.resource, target.subresource, None, old, ctx)
        if extension is not None and extension.active and is_first:
            said = replace(options, dry_run=dry_run)
            await extending.deleting(extension, store, target, old, stored.revision, ctx, said)
        grace = store.strategy.grace_seconds(old, options.grace_seconds)
        if store.resource.key == "v1/namespaces":
            new, gone = deletion.before_delete_namespace(old, wanted, ctx.now)
        elif store.resource.key == DEFINITIONS:
            new, gone = deletion.before_delete_definition(old, wanted, ctx.now)
        else:
            new, gone = deletion.before_delete(old, wanted, grace, ctx.now)
        marked = new["metadata"] != old["metadata"]
        held = not gone
        return Change(new, delete=gone and not (grace is not None and marked))

    written = await store.update(target, update, WriteOptions(dry_run=dry_run))
    if held or written.deleted or dry_run:
        return written, not held
    options = replace(options, uid=written.obj["metadata"]["uid"], resource_version="", propagation="")
    is_first = False
    try:
        last = await store.update(target, update, WriteOptions(), written.stored)
    except ApiError as error:
        if not errors.is_not_found(error) and not errors.is_conflict(error):
            raise
        return written, True  # somebody else was faster
    return last, last.deleted
