"""Calling webhooks: mutating ones one after the other, validating ones beside each other.

Upstream: `apiserver/pkg/admission/plugin/webhook/{mutating,validating}/dispatcher.go`. A webhook that
cannot be asked, or answers what it may not, counts by its failurePolicy; one that says no ends the request.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from services.api import errors
from services.api.errors import ApiError
from services.api.kinds import Resource
from services.apiserver.admission import matching, reviews
from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.conditions import Failed, holds
from services.apiserver.admission.registrations import Webhook
from services.apiserver.strands import Strands
from services.process.logging import get_logger

Json = dict[str, Any]
Variables = Callable[[Attributes], Mapping[str, Any]]
Convert = Callable[[Json, Resource, Resource], Awaitable[Json]]
Note = Callable[[str, str], None]


FAILING_MAX = 1000


def _place(webhook: Webhook) -> str:
    return f"{webhook.configuration}/{webhook.name}"


def _names(webhook: Webhook) -> dict[str, str]:
    return {"webhook": webhook.name, "configuration": webhook.configuration}


class _Unanswered(Exception):
    """Why a webhook could not be asked; what becomes of that is its failurePolicy's to say."""


class Webhooks:
    """`equivalents` are the other versions of a resource; `convert` shows an object in one of them."""

    def __init__(
        self,
        ask: reviews.Ask,
        chance: random.Random,
        variables: Variables,
        equivalents: Callable[[Resource], Sequence[Resource]],
        convert: Convert,
        note: Note,
        strands: Strands,
    ) -> None:
        self._ask, self._random, self._variables = ask, chance, variables
        self._equivalents, self._convert, self._note = equivalents, convert, note
        self._strands = strands
        self._log = get_logger("apiserver")
        self._failing: dict[str, str] = {}  # in which way each of them fails now: told once

    async def matched(self, webhook: Webhook, asked: Attributes) -> Resource | None:
        """The version in which the webhook is to see the request; None: not at all. ApiError (403)."""
        spec = webhook.spec
        policy = spec.get("matchPolicy", "Equivalent")
        found = matching.matched_as(spec.get("rules") or (), asked, policy, self._equivalents)
        if found is None:
            return None
        if not matching.namespace_selected(spec.get("namespaceSelector"), asked):
            return None
        if not matching.object_selected(spec.get("objectSelector"), asked):
            return None
        if not webhook.conditions:
            return found
        try:
            conditions, seen = webhook.conditions, self._variables(await self._seen(asked, found))
            wanted = await self._strands.judge(lambda: holds(conditions, seen))
            return found if wanted else None
        except Failed as error:
            if webhook.ignores_failure:
                return None
            raise errors.forbidden(asked.resource, asked.shown_name, str(error)) from None

    # -- validating ------------------------------------------------------------------------------

    async def validate(self, webhooks: Iterable[Webhook], asked: Attributes) -> None:
        """ApiError: of those that say no, or cannot be asked, the first in order."""
        wanted = [
            (each, found) for each in webhooks if (found := await self.matched(each, asked)) is not None
        ]
        if not wanted:
            return
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._validated(each, found, asked, f"round_0_index_{index}"))
                for index, (each, found) in enumerate(wanted)
            ]
        refusals = [refusal for task in tasks if (refusal := task.result()) is not None]
        if refusals:
            raise refusals[0]

    async def _validated(
        self, webhook: Webhook, version: Resource, asked: Attributes, place: str
    ) -> ApiError | None:
        try:
            await self._answer(webhook, version, asked, place, mutating=False)
        except ApiError as refusal:
            return refusal
        return None

    # -- mutating --------------------------------------------------------------------------------

    async def mutate(
        self, webhook: Webhook, asked: Attributes, settle: Callable[[Json], Json], place: str
    ) -> bool | None:
        """Changes `asked.obj`; whether there was a change, None where the webhook is not concerned.

        `settle` decodes and defaults; `place` is the round and the webhook's number in it, for the audit
        log. ApiError.
        """
        version = await self.matched(webhook, asked)
        if version is None:
            return None
        changed = False
        try:
            changed = await self._mutated(webhook, version, asked, settle, place)
        finally:
            told = {"configuration": webhook.configuration, "webhook": webhook.name, "mutated": changed}
            self._note(f"mutation.webhook.admission.k8s.io/{place}", orjson.dumps(told).decode())
        return changed

    async def _mutated(
        self,
        webhook: Webhook,
        version: Resource,
        asked: Attributes,
        settle: Callable[[Json], Json],
        place: str,
    ) -> bool:
        answer = await self._answer(webhook, version, asked, place, mutating=True)
        if answer is None or not answer.patch or not reviews.operations_of(answer.patch):
            return False
        if asked.obj is None:
            raise errors.internal(
                f'admission webhook "{webhook.name}" attempted to modify the object, which is not supported'
                " for this operation"
            )
        seen = await self._seen(asked, version)
        try:
            made = reviews.patched(seen.obj or {}, answer.patch)
        except reviews.BadAnswer as error:
            raise errors.internal(str(error)) from None
        if version != asked.resource:
            made = await self._convert(made, version, asked.resource)
        before = asked.obj
        try:
            asked.obj = settle(made)
        except ApiError as error:
            raise errors.internal(error.message) from error
        return asked.obj != before

    # -- one call --------------------------------------------------------------------------------

    async def _answer(
        self, webhook: Webhook, version: Resource, asked: Attributes, place: str, *, mutating: bool
    ) -> reviews.Answer | None:
        """None where the webhook could not be asked and that does not matter. ApiError."""
        if asked.dry_run and webhook.spec.get("sideEffects") not in ("None", "NoneOnDryRun"):
            message = f'admission webhook "{webhook.name}" does not support dry run'
            raise errors.bad_request(message)
        try:
            answer = await self._asked(webhook, await self._seen(asked, version), asked, mutating=mutating)
        except _Unanswered as error:
            self._tell(webhook, str(error))
            if webhook.ignores_failure:
                which = "mutation" if mutating else "validating"
                self._note(f"failed-open.{which}.webhook.admission.k8s.io/{place}", webhook.name)
                return None
            raise errors.internal(f'failed calling webhook "{webhook.name}": {error}') from None
        if self._failing.pop(_place(webhook), None) is not None:
            self._log.info("The webhook answers again", **_names(webhook))
        for key, value in (answer.annotations or {}).items():
            self._note(f"{webhook.name}/{key}", str(value))
        for warning in answer.warnings:
            asked.ctx.warn(warning)
        if not answer.allowed:
            raise reviews.refused(webhook.name, answer.status)
        return answer

    def _tell(self, webhook: Webhook, why: str) -> None:
        """One line for as long as it fails in one way, however many requests there are."""
        way = why.partition(":")[0]  # what follows may differ each time, as the uid of a request does
        if self._failing.get(_place(webhook)) == way:
            return
        if len(self._failing) >= FAILING_MAX:
            self._failing.clear()
        self._failing[_place(webhook)] = way
        how = "open" if webhook.ignores_failure else "closed"
        self._log.warning(f"Failed calling webhook, failing {how}", **_names(webhook), reason=why)

    async def _asked(
        self, webhook: Webhook, seen: Attributes, asked: Attributes, *, mutating: bool
    ) -> reviews.Answer:
        if not webhook.review_version:
            raise _Unanswered("webhook does not accept known AdmissionReview versions (v1, v1beta1)")
        uid = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        question = reviews.review(asked, uid, webhook.review_version, seen)
        seconds = webhook.spec.get("timeoutSeconds") or 10
        try:
            answer = await self._ask(webhook.spec["clientConfig"], question, seconds)
        except reviews.NotAnswered as error:
            raise _Unanswered(f"failed to call webhook: {error}") from None
        try:
            found = reviews.verified(answer, uid, webhook.review_version, mutating=mutating)
        except reviews.BadAnswer as error:
            raise _Unanswered(f"received invalid webhook response: {error}") from None
        try:
            if found.allowed and found.patch:
                reviews.operations_of(found.patch)
        except reviews.BadAnswer as error:
            raise _Unanswered(f"received undecodable patch in webhook response: {error}") from None
        return found

    async def _seen(self, asked: Attributes, version: Resource) -> Attributes:
        """The request in the version that the webhook's rule names."""
        if version == asked.resource or asked.kind.kind != asked.resource.kind:
            return asked
        obj = asked.obj and await self._convert(asked.obj, asked.resource, version)
        old = asked.old and await self._convert(asked.old, asked.resource, version)
        return replace(asked, resource=version, obj=obj, old=old)
