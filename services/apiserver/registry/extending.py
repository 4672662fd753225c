"""Where a write meets the admission that users define: what is asked, and what is taken over from the answer.

The store calls here only while something is registered. What a webhook or a policy makes of an object is
decoded and defaulted like any other; then built-in mutation may see it once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson

from services.api.errors import ApiError
from services.api.kinds import Resource
from services.apiserver.admission.attributes import Asks, Attributes, Operation
from services.apiserver.registry.context import RequestContext
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.rules.strategy import Strategy
from services.apiserver.storage.watch_cache import WatchCache
from services.machinery.schema import Schema

if TYPE_CHECKING:
    from services.apiserver.admission.step import Admission
    from services.apiserver.registry.deletion import Options
    from services.apiserver.registry.registry import Registry
    from services.apiserver.registry.store import Store

Json = dict[str, Any]
_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


def asked(
    operation: Operation,
    target: Target,
    obj: Json | None,
    old: Json | None,
    ctx: RequestContext,
    options: WriteOptions,
) -> Attributes:
    name = target.name or ((obj or {}).get("metadata") or {}).get("name", "")
    shown: Json = {}
    if operation in _OPTIONS:
        shown = {"kind": _OPTIONS[operation], "apiVersion": "meta.k8s.io/v1"}
    if options.field_manager not in ("", "unknown"):
        shown["fieldManager"] = options.field_manager
    if options.field_validation != "Warn":
        shown["fieldValidation"] = options.field_validation
    if options.dry_run:
        shown["dryRun"] = ["All"]
    return Attributes(
        operation, target.resource, target.subresource, target.namespace, name,
        obj, old, ctx.user, ctx, shown, options.dry_run,
    )  # fmt: skip


def settled(strategy: Strategy) -> Callable[[Json], Json]:
    """What was made, decoded and defaulted. ApiError."""

    def settle(made: Json) -> Json:
        obj = strategy.decode_object(made, "Ignore").obj
        strategy.default(obj)
        return obj

    return settle


async def mutate(
    admission: Admission,
    schema: Schema,
    about: Attributes,
    settle: Callable[[Json], Json],
    again: Callable[[Json], None] = lambda obj: None,
) -> None:
    """Changes `about.obj` in place. ApiError."""
    given = about.obj
    if given is None or not admission.changes:
        return
    # What is asked about is a copy: webhooks beside each other, and audit, may still look at it later.
    about.obj = orjson.loads(orjson.dumps(given))
    with _warned(about.ctx):
        await admission.mutate(about, schema, settle, again)
    if about.obj != given and about.obj is not None:
        given.clear()
        given.update(about.obj)


async def validate(admission: Admission, about: Attributes) -> None:
    """ApiError, with what was warned of before."""
    with _warned(about.ctx):
        await admission.validate(about)


@contextmanager
def _warned(ctx: Asks) -> Iterator[None]:
    """A refusal carries what webhooks and policies had to say besides."""
    try:
        yield
    except ApiError as error:
        error.warnings += ctx.warnings
        raise


def with_version(old: Json, revision: int) -> Json:
    """As a client would see it."""
    return {**old, "metadata": {**old["metadata"], "resourceVersion": str(revision)}}


async def deleting(
    admission: Admission,
    store: Store,
    target: Target,
    old: Json,
    revision: int,
    ctx: RequestContext,
    options: Options,
) -> None:
    """ApiError where a webhook or policy refuses the deletion."""
    about = asked(
        "DELETE", target, None, with_version(old, revision), ctx, WriteOptions(dry_run=options.dry_run)
    )
    shown = {
        "gracePeriodSeconds": options.grace_seconds,
        "propagationPolicy": options.propagation or None,
        "preconditions": {"uid": options.uid} if options.uid else None,
    }
    about.options |= {key: value for key, value in shown.items() if value is not None}
    with _warned(ctx):
        await admission.mutate(about, store.ownership.schema, lambda obj: obj)
        await admission.validate(about)


async def posting(store: Store, target: Target, given: Json, options: WriteOptions) -> None:
    """What webhooks and policies say of a posted subresource, and make of it, in place. ApiError."""
    admission = store.extension
    if admission is None or not admission.active:
        return
    about = asked("CREATE", target, given, None, store.context(), options)
    await mutate(admission, store.ownership.schema, about, lambda obj: obj)
    about.obj = given
    await validate(admission, about)


async def connecting(store: Store, target: Target, options: Json) -> None:
    """ApiError where a webhook or policy refuses to let somebody connect; `options` say to what, and how."""
    admission = store.extension
    if admission is None or not admission.active:
        return
    about = asked("CONNECT", target, options, None, store.context(), WriteOptions())
    await mutate(admission, store.ownership.schema, about, lambda obj: obj)
    about.obj = options
    await validate(admission, about)


class World:
    """What admission needs of the registry: every kind's cache, and an object in another of its versions."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def cache_of(self, resource: Resource) -> WatchCache:
        return self._registry.store(resource).cache

    def served(self) -> Iterable[Resource]:
        return self._registry.catalog.resources

    def equivalents(self, resource: Resource) -> Sequence[Resource]:
        """The other versions of the same objects."""
        cache = self._registry.store(resource).cache
        same = (each for each in self.served() if each.plural == resource.plural and each != resource)
        return [each for each in same if self._registry.store(each).cache is cache]

    async def convert(self, obj: Json, given: Resource, wanted: Resource) -> Json:
        """ApiError (500) where a conversion webhook fails."""
        kept = await self._registry.store(given).kept(obj)
        return await self._registry.store(wanted).version_of(kept)


__all__ = [
    "World",
    "asked",
    "connecting",
    "deleting",
    "mutate",
    "posting",
    "settled",
    "validate",
    "with_version",
]
