"""The asynchronous step of admission: what the store awaits beside the plugins that are built in.

`mutate` comes after built-in mutation: policies, then webhooks, and once more where a later one changed
what an earlier one that wants to know had seen. `validate` comes after validation: policies, then webhooks
beside each other. `active` is False as long as nothing is registered; the store asks nothing else then,
and what asks webhooks and evaluates policies is not loaded.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from services.api.kinds import Resource
from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.registrations import Bound, Registrations
from services.apiserver.storage.watch_cache import WatchCache
from services.apiserver.strands import Strands
from services.machinery.clock import Clock
from services.machinery.schema import Schema

if TYPE_CHECKING:
    from services.apiserver.admission.conditions import Authorize
    from services.apiserver.admission.mutations import Mutations
    from services.apiserver.admission.parameters import Parameters
    from services.apiserver.admission.policies import Policies
    from services.apiserver.admission.reviews import Ask
    from services.apiserver.admission.webhooks import Webhooks

Json = dict[str, Any]


class World(Protocol):
    """What admission needs of the registry."""

    def cache_of(self, resource: Resource) -> WatchCache: ...

    def served(self) -> Iterable[Resource]: ...

    def equivalents(self, resource: Resource) -> Sequence[Resource]: ...

    async def convert(self, obj: Json, given: Resource, wanted: Resource) -> Json: ...


class Admission:
    """`authorize` answers what policies ask of the authorizer; `note` writes into the audit log."""

    def __init__(
        self,
        world: World,
        ask: Ask,
        clock: Clock,
        chance: random.Random,
        authorize: Authorize,
        note: Callable[[str, str], None],
        strands: Strands,
    ) -> None:
        self.active = True  # until the first look
        self._changed = True
        self._world, self._ask, self._clock, self._random = world, ask, clock, chance
        self._authorize, self._note, self._strands = authorize, note, strands
        self._registered = Registrations(world.cache_of, self._tell)

    @cached_property
    def _parameters(self) -> Parameters:
        from services.apiserver.admission.parameters import Parameters

        return Parameters(self._world.served, self._world.cache_of)

    @cached_property
    def _policies(self) -> Policies:
        from services.apiserver.admission.policies import Policies

        return Policies(self._parameters, self._world.equivalents, self._note, self._strands)

    @cached_property
    def _mutations(self) -> Mutations:
        from services.apiserver.admission.mutations import Mutations

        return Mutations(self._parameters, self._world.equivalents, self._variables, self._clock.now)

    @cached_property
    def _webhooks(self) -> Webhooks:
        from services.apiserver.admission.webhooks import Webhooks

        world = self._world
        return Webhooks(
            self._ask, self._random, self._variables, world.equivalents, world.convert, self._note,
            self._strands,
        )  # fmt: skip

    def _tell(self) -> None:
        self._changed = self.active = True

    def _refresh(self) -> bool:
        if self._changed:
            self._changed = False
            self.active = self._registered.refresh()
        return self.active

    def _variables(self, asked: Attributes) -> Json:
        from services.apiserver.admission.conditions import variables_of
        from services.apiserver.admission.matching import namespace_of

        return variables_of(asked, namespace_of(asked), self._authorize)

    # -- mutating --------------------------------------------------------------------------------

    @property
    def changes(self) -> bool:
        """Whether anybody who is registered may change objects."""
        return self._refresh() and bool(self._registered.mutating or self._registered.mutations)

    async def mutate(
        self,
        asked: Attributes,
        schema: Schema,
        settle: Callable[[Json], Json],
        again: Callable[[Json], None] = lambda obj: None,
    ) -> None:
        """Changes `asked.obj`. `settle` decodes and defaults what was made; `again` is built-in mutation.

        ApiError where a webhook or policy refuses, or cannot be asked.
        """
        if not self.changes or asked.is_exempt:
            return
        registered = self._registered
        hooks = [(each.uid, each) for each in registered.mutating]
        bounds = [(f"policy/{each.policy.name}", each) for each in registered.mutations]
        rounds = _Rounds()
        for number, first in enumerate((True, False)):
            for uid, bound in bounds:
                if first or uid in rounds.wanted:
                    changed = await self._mutated(bound, asked, schema, settle)
                    if changed is not None:
                        rounds.ran(uid, bound.policy.spec.get("reinvocationPolicy"), changed)
            for index, (uid, hook) in enumerate(hooks):
                if first or uid in rounds.wanted:
                    place = f"round_{number}_index_{index}"
                    changed = await self._webhooks.mutate(hook, asked, settle, place)
                    if changed is not None:
                        rounds.ran(uid, hook.spec.get("reinvocationPolicy"), changed)
            if not rounds.is_needed or asked.obj is None:
                return
            before = orjson.loads(orjson.dumps(asked.obj))
            again(asked.obj)
            if asked.obj != before:
                rounds.ran("", None, True)

    async def _mutated(
        self, bound: Bound, asked: Attributes, schema: Schema, settle: Callable[[Json], Json]
    ) -> bool | None:
        given = asked.obj

        def change() -> bool | None:
            asked.obj = given  # also where it is begun anew
            return self._mutations.mutate(bound, asked, schema, settle)

        return await self._strands.judge(change)

    # -- validating ------------------------------------------------------------------------------

    async def validate(self, asked: Attributes) -> None:
        """ApiError where a webhook or policy refuses, or cannot be asked."""
        if not self._refresh() or asked.is_exempt:
            return
        registered = self._registered
        if registered.validations:
            await self._policies.validate(registered.validations, asked, self._variables)
        if registered.validating:
            await self._webhooks.validate(registered.validating, asked)


class _Rounds:
    """Who is asked a second time: those that want it, if somebody changed the object after them.

    Whoever was not concerned in the first round is not asked for the first time in the second.
    """

    def __init__(self) -> None:
        self._ready: set[str] = set()
        self.wanted: set[str] = set()
        self.is_needed = False

    def ran(self, uid: str, policy: str | None, changed: bool) -> None:
        if changed:
            self.wanted |= self._ready - {uid}
            self._ready.clear()
            self.is_needed = True
        if policy == "IfNeeded":
            self._ready.add(uid)


__all__ = ["Admission", "World"]
