"""Which ReplicaSets are a Deployment's: those it controls and selects, and orphans that it adopts.

A ReplicaSet that its selector no longer matches is released. Upstream: ReplicaSetControllerRefManager.
"""

from __future__ import annotations

from typing import Any

import msgspec

from services.api.apps_v1 import Deployment, ReplicaSet
from services.client.client import Client
from services.client.pod_control import selector_of
from services.client.store import Store
from services.client.transport import PatchType
from services.machinery.labels import Selector
from services.machinery.owners import new_controller_ref


async def claim(client: Client, store: Store[ReplicaSet], deployment: Deployment) -> list[ReplicaSet]:
    selector = selector_of(deployment)
    mine = []
    for replicaset in store.by_index("owner-uid", deployment.metadata.uid or ""):
        if selector.matches(replicaset.metadata.labels):
            mine.append(replicaset)
        elif not deployment.metadata.deletion_timestamp:
            await _patch(client, replicaset, {"$patch": "delete", "uid": deployment.metadata.uid})
    return mine + await _adopt(client, store, deployment, selector)


async def _adopt(
    client: Client, store: Store[ReplicaSet], deployment: Deployment, selector: Selector
) -> list[ReplicaSet]:
    if deployment.metadata.deletion_timestamp or selector.empty:
        return []
    orphans = [
        replicaset
        for replicaset in store.by_index("orphan", deployment.key.namespace)
        if selector.matches(replicaset.metadata.labels) and not replicaset.metadata.deletion_timestamp
    ]
    if not orphans:
        return []
    # The cache may show a Deployment that is deleted already: ask before taking anything for it.
    fresh = await client.get(Deployment, deployment.key.name, deployment.key.namespace)
    if fresh.metadata.uid != deployment.metadata.uid or fresh.metadata.deletion_timestamp:
        return []
    reference = msgspec.to_builtins(new_controller_ref(deployment))
    return [await _patch(client, orphan, reference) for orphan in orphans]


async def _patch(client: Client, replicaset: ReplicaSet, reference: dict[str, Any]) -> ReplicaSet:
    patch = {"metadata": {"ownerReferences": [reference], "uid": replicaset.metadata.uid}}
    key = replicaset.key
    return await client.patch(ReplicaSet, key.name, key.namespace, patch, patch_type=PatchType.STRATEGIC)
