"""Writes into the status of each ValidatingAdmissionPolicy whether its expressions fit what it is about.

Once for each generation of the policy; what checks is loaded with the first one. Upstream: the controller
`validatingadmissionpolicy-status`, which is here with the server whose CEL and schemas it needs.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from services.api.kinds import resource_named
from services.apiserver.registry import applying
from services.apiserver.registry.keeper import Keeper, own_name
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target, WriteOptions
from services.machinery.clock import Clock
from services.process.logging import Logger

Json = dict[str, Any]
OPTIONS = WriteOptions(field_manager="validatingadmissionpolicy-status-controller", force=True)


class PolicyStatus:
    def __init__(self, registry: Registry, clock: Clock, log: Logger) -> None:
        found = resource_named("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies")
        assert found is not None
        self._resource, self._registry, self._store = found, registry, registry.store(found)
        self._keeper = Keeper(registry, clock, log, "a policy", ((found, own_name),), self._reconcile)

    async def run(self) -> None:
        """Until cancelled."""
        await self._keeper.run()

    async def _reconcile(self, name: str) -> float:
        entry = self._store.find("", name)
        if entry is None:
            return 0
        policy: Json = orjson.loads(entry.value)
        generation = policy["metadata"]["generation"]
        if generation <= (policy.get("status") or {}).get("observedGeneration", 0):
            return 0
        from services.apiserver.admission.type_checking import warnings_of

        # Aside: a policy may have many expressions, each of which is checked against ten kinds.
        warnings = await asyncio.to_thread(warnings_of, policy, self._registry.catalog)
        checking = {"expressionWarnings": warnings} if warnings else {}
        body = {
            **{field: policy[field] for field in ("apiVersion", "kind")},
            "metadata": {"name": name},
            "status": {"observedGeneration": generation, "typeChecking": checking},
        }
        target = Target(self._resource, "", name, "status")
        await applying.apply(self._store, self._store.parts["status"], target, orjson.dumps(body), OPTIONS)
        return 0
