"""Leader election on a Lease: of several equal processes one works, the others wait.

Timed by what was seen here: the clocks of two machines are never compared. A candidate
takes the Lease once it has not seen the record change for `lease_seconds`; a leader that could
not renew it for `renew_seconds` must believe itself replaced: LeadershipLost, and the process
ends, since nothing else stops all its writes for certain. A leader that is told to stop gives the
Lease back, so that the next one need not wait. Upstream: `client-go/tools/leaderelection`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from msgspec.structs import replace

from services.api.coordination_v1 import Lease, LeaseSpec
from services.api.errors import ApiError, is_already_exists, is_conflict, is_not_found
from services.api.meta_v1 import ObjectMeta
from services.client.client import Client
from services.client.log import Logger
from services.machinery.backoff import jitter
from services.machinery.clock import Clock, rfc3339_micro

LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS = 15.0, 10.0, 2.0
JITTER = 1.2
RELEASE_SECONDS_MAX = 2.0  # A graceful stop must not hang on a dead API server.


class LeadershipLost(Exception):
    """Another may lead by now. Whoever catches this must end the process."""


@dataclass(slots=True)
class Observed:
    """The record as last seen, and when it was seen to change. Pure."""

    spec: LeaseSpec | None = None
    changed_at: float = 0.0

    def see(self, spec: LeaseSpec, now: float) -> None:
        if spec != self.spec:
            self.spec, self.changed_at = spec, now

    def may_take(self, identity: str, lease_seconds: float, now: float) -> bool:
        """Nobody holds it, or we do, or its holder has been silent for too long."""
        if self.spec is None or not self.spec.holder_identity or self.spec.holder_identity == identity:
            return True
        return self.seconds_left(lease_seconds, now) <= 0

    def seconds_left(self, lease_seconds: float, now: float) -> float:
        """Until a silent holder may be replaced; not positive once it may."""
        if self.spec is None:
            return 0.0
        return self.changed_at + (self.spec.lease_duration_seconds or lease_seconds) - now


class LeaderElector:
    """`run` waits to lead, runs the body and keeps renewing; once in the life of a process."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        lease_name: str,
        identity: str,
        namespace: str = "kube-system",
        *,
        lease_seconds: float = LEASE_SECONDS,
        renew_seconds: float = RENEW_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        random: Random | None = None,
        log: Logger | None = None,
    ) -> None:
        self._client, self._clock, self._random = client, clock, random
        self._name, self._identity, self._namespace = lease_name, identity, namespace
        self._lease_seconds, self._renew_seconds = lease_seconds, renew_seconds
        self._retry_seconds = retry_seconds
        self._log = log or client.log
        self._observed = Observed()
        self._told_holder: str | None = None
        self.is_leader = False

    async def run(self, on_started: Callable[[], Awaitable[None]]) -> None:
        """Runs `on_started` while leading. LeadershipLost when the Lease could not be kept."""
        await self._acquire()
        self._log.info("Became the leader", lease=self._name, identity=self._identity)
        try:
            async with asyncio.TaskGroup() as group:
                work = group.create_task(_await(on_started()), name="leading")
                renew = group.create_task(self._renew(), name="renewing the lease")
                await work
                renew.cancel()
        except* LeadershipLost as lost:
            self.is_leader = False
            raise LeadershipLost(str(lost.exceptions[0])) from None
        finally:
            if self.is_leader:
                await self._release()

    async def _acquire(self) -> None:
        while not await self._try():
            seconds = self._retry_seconds
            if self._random:
                seconds = jitter(seconds, JITTER, self._random)
            # Not a moment later than the Lease runs out: a handover is a gap that users see.
            left = self._observed.seconds_left(self._lease_seconds, self._clock.monotonic())
            await self._clock.sleep(min(seconds, left) if left > 0 else seconds)
        self.is_leader = True

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(self._retry_seconds)
            try:
                async with self._clock.timeout(self._renew_seconds):
                    while not await self._try():
                        await self._clock.sleep(self._retry_seconds)
            except TimeoutError:
                raise LeadershipLost(f"could not renew lease {self._name} in time") from None

    async def _try(self) -> bool:
        """One attempt to take or keep the Lease. False: another holds it, or the server did not agree."""
        try:
            return await self._take_or_keep()
        except ApiError as error:
            if not is_conflict(error) and not is_already_exists(error):
                self._log.debug("Could not reach the lease", lease=self._name, reason=error.message)
            return False

    async def _take_or_keep(self) -> bool:
        now = rfc3339_micro(self._clock.now())
        try:
            lease = await self._client.get(Lease, self._name, self._namespace)
        except ApiError as error:
            if not is_not_found(error):
                raise
            metadata = ObjectMeta(name=self._name, namespace=self._namespace)
            created = await self._client.create(Lease(metadata=metadata, spec=self._spec(now, now, 0)))
            self._observed.see(created.spec, self._clock.monotonic())
            return True
        monotonic = self._clock.monotonic()
        self._observed.see(lease.spec, monotonic)
        if not self._observed.may_take(self._identity, self._lease_seconds, monotonic):
            self._tell_holder(lease.spec.holder_identity or "")
            return False
        ours = lease.spec.holder_identity == self._identity
        acquired = (lease.spec.acquire_time or now) if ours else now
        transitions = (lease.spec.lease_transitions or 0) + (0 if ours else 1)
        updated = await self._client.update(replace(lease, spec=self._spec(acquired, now, transitions)))
        self._observed.see(updated.spec, self._clock.monotonic())
        return True

    def _spec(self, acquired: str, renewed: str, transitions: int) -> LeaseSpec:
        return LeaseSpec(
            holder_identity=self._identity,
            lease_duration_seconds=int(self._lease_seconds),
            acquire_time=acquired,
            renew_time=renewed,
            lease_transitions=transitions,
        )

    def _tell_holder(self, holder: str) -> None:
        if holder != self._told_holder:
            self._told_holder = holder
            self._log.info("Waiting: another one leads", lease=self._name, leader=holder)

    async def _release(self) -> None:
        """Gives the Lease back, so that the next leader takes over at once."""
        self.is_leader = False
        try:
            async with self._clock.timeout(RELEASE_SECONDS_MAX):
                lease = await self._client.get(Lease, self._name, self._namespace)
                if lease.spec.holder_identity != self._identity:
                    return
                now = rfc3339_micro(self._clock.now())
                spec = replace(
                    lease.spec, holder_identity="", lease_duration_seconds=1, acquire_time=now, renew_time=now
                )
                await self._client.update(replace(lease, spec=spec))
                self._log.info("Gave the lease back", lease=self._name)
        except (ApiError, TimeoutError) as error:
            self._log.debug("Could not give the lease back", lease=self._name, reason=str(error))


async def _await(body: Awaitable[None]) -> None:
    await body
