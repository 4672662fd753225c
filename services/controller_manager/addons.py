"""Add-on manager: creates what a cluster brings along, from manifests in a folder.

Each object is created once, when this controller manager begins to lead, unless one of its name is there:
what people change or write anew is theirs. A manifest that is refused is told in the log and holds up no
other. Upstream: cluster/addons/addon-manager, its mode EnsureExists.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.api.errors import ApiError, is_already_exists, is_not_found
from services.api.kinds import Resource, resource_of_kind
from services.client.client import Client
from services.client.log import Logger
from services.client.raw import RawClient
from services.client.transport import Unavailable
from services.machinery.backoff import Backoff
from services.machinery.clock import Clock

Json = dict[str, Any]

RETRY_SECONDS, RETRY_SECONDS_MAX = 1.0, 60.0


class AddonManager:
    def __init__(self, client: Client, clock: Clock, log: Logger, folder: str) -> None:
        self._raw = RawClient(client.transport)
        self._clock, self._log, self._folder = clock, log, folder

    async def run(self) -> None:
        """Ends when everything is there or has been refused."""
        if not self._folder:
            return
        waiting = await asyncio.to_thread(lambda: list(manifests(Path(self._folder), self._log)))
        backoff = Backoff(RETRY_SECONDS, RETRY_SECONDS_MAX)
        while waiting:
            waiting = [obj for obj in waiting if not await self._create(obj)]
            if waiting:
                await self._clock.sleep(backoff.next())

    async def _create(self, obj: Json) -> bool:
        """Whether nothing more is to be done about it."""
        meta = obj.get("metadata") or {}
        names = {"kind": obj.get("kind"), "namespace": meta.get("namespace", ""), "name": meta.get("name")}
        resource = resource_of_kind(str(obj.get("apiVersion")), str(obj.get("kind")))
        if resource is None:
            self._log.warning("An add-on is of a kind that is not served", **names)
            return True
        try:
            if await self._is_there(resource, str(meta.get("name")), meta.get("namespace", "")):
                return True
            await self._raw.create(resource, obj, meta.get("namespace", ""))
        except Unavailable:
            return False
        except ApiError as error:
            if is_already_exists(error):
                return True
            if error.code == 404:
                return False  # its namespace is still to come
            self._log.warning("An add-on was refused", **names, reason=error.message)
            return True
        self._log.info("Created an add-on", **names)
        return True

    async def _is_there(self, resource: Resource, name: str, namespace: str) -> bool:
        """A Service that is there already holds the ports that a second one would be refused for."""
        try:
            await self._raw.get(resource, name, namespace)
        except ApiError as error:
            if is_not_found(error):
                return False
            raise
        return True


def manifests(folder: Path, log: Logger) -> Iterator[Json]:
    """The objects of all YAML files there, by name."""
    import yaml

    for path in sorted(folder.glob("*.yaml")):
        try:
            for obj in yaml.safe_load_all(path.read_text()):
                if isinstance(obj, dict):
                    yield obj
        except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
            log.warning("A file of add-ons cannot be read", file=str(path), reason=str(error))
