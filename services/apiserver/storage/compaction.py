"""Keeps etcd small: its past is forgotten after five minutes, and a full database gets space again.

Several API servers agree on who compacts by a key that each tries to move on, which is upstream's
(`etcd3/compact.go`) too, so that a real API server beside ours would join in.
"""

from __future__ import annotations

from services.api.errors import ApiError
from services.apiserver.storage.etcd import EtcdStorage
from services.machinery.clock import Clock
from services.pb.etcd.v3 import etcd_pb2 as pb
from services.process.logging import Logger

INTERVAL_SECONDS = 300.0
KEY = "compact_rev_key"
SPACE_RETRY_SECONDS = 5.0


class Compactor:
    def __init__(self, storage: EtcdStorage, clock: Clock, log: Logger) -> None:
        self._storage, self._clock, self._log = storage, clock, log

    async def run(self) -> None:
        """Compacts on time, and at once when a write has met the quota, until cancelled."""
        version, revision = 0, 0
        while True:
            if await self._wait():
                await self._make_space()
                continue
            try:
                version, revision = await self._turn(version, revision)
            except ApiError as error:
                self._log.warning("Could not compact etcd", reason=error.message)

    async def _wait(self) -> bool:
        """True when the database is full, False when the interval is over."""
        try:
            async with self._clock.timeout(INTERVAL_SECONDS):
                await self._storage.full.wait()
        except TimeoutError:
            return False
        return True

    async def _turn(self, version: int, revision: int) -> tuple[int, int]:
        """Compacts to where the store was one interval ago, if no other server was first."""
        now = await self._storage.revision()
        won, version, _ = await self._storage.compare_and_put_version(KEY, version, str(now).encode())
        if won and revision:
            await self._storage.compact(revision)
            self._log.debug("Compacted etcd", revision=revision)
        return version, now

    async def _make_space(self) -> None:
        """What an operator would do: compact, defragment, disarm."""
        storage = self._storage
        try:
            await storage.compact(await storage.revision(), wait=True)
            await storage.call(storage.maintenance.Defragment, pb.DefragmentRequest(), seconds=60)
            alarms = pb.AlarmRequest(action=pb.AlarmRequest.GET)
            for alarm in (await storage.call(storage.maintenance.Alarm, alarms)).alarms:
                disarm = pb.AlarmRequest(
                    action=pb.AlarmRequest.DEACTIVATE, memberID=alarm.memberID, alarm=alarm.alarm
                )
                await storage.call(storage.maintenance.Alarm, disarm)
        except ApiError as error:
            self._log.error("Could not make space in etcd", reason=error.message)
            await self._clock.sleep(SPACE_RETRY_SECONDS)
            return
        storage.full.clear()
        self._log.warning("Made space in etcd: compacted and defragmented")
