"""The index of Pods by node, shared by the controllers that ask which Pods a node holds."""

from __future__ import annotations

from services.api.core_v1 import Pod
from services.client.store import Store

BY_NODE = "node"


def by_node(store: Store[Pod], node_name: str) -> list[Pod]:
    return store.by_index(BY_NODE, node_name)


def add_node_index(store: Store[Pod]) -> None:
    """To be called before the caches fill; once per process is enough, more often is harmless."""
    store.add_index(BY_NODE, lambda pod: (pod.spec.node_name,) if pod.spec.node_name else ())
