"""The Node rule: a kubelet reaches its own Node, its own Lease, its own Pods and what these refer to.

What is not a matter of whose it is, it may by the rules of the role `system:node`. Relations are read off the
Pods bound to the node, found by the caches' index. Upstream: `plugin/pkg/auth/authorizer/node`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from services.api import core_v1, storage_v1
from services.api.kinds import resource_of
from services.apiserver.authentication.users import NODE_PREFIX, NODES
from services.apiserver.authorization.attributes import Attributes, Decision
from services.apiserver.authorization.default_roles import rules_of
from services.apiserver.authorization.index import CacheOf
from services.apiserver.storage.entries import Selection
from services.machinery import fields
from services.machinery.field_errors import quoted
from services.machinery.policy_rules import allows_path, allows_resource

Json = dict[str, Any]

NO_OPINION = Decision(False)
ALLOWED = Decision(True)
_READS = ("get", "list", "watch")
_LEASES = "kube-node-lease"
PODS_REMEMBERED_MAX = 100_000


class Bound(NamedTuple):
    """A Pod on a node: what it speaks of, by name."""

    namespace: str
    account: str
    secrets: set[str]
    config_maps: set[str]
    claims: set[str]

    def named(self, what: str) -> set[str]:
        return {"secrets": self.secrets, "configmaps": self.config_maps}.get(what, self.claims)


def _bound(pod: Json) -> Bound:
    kinds = ("secrets", "configmaps", "persistentvolumeclaims")
    account = pod["spec"].get("serviceAccountName", "")
    return Bound(pod["metadata"]["namespace"], account, *(references(pod, kind) for kind in kinds))


class NodeRule:
    def __init__(self, cache_of: CacheOf) -> None:
        self._cache_of = cache_of
        self._rules = rules_of("system:node")
        self._read: dict[str, tuple[int, Bound]] = {}

    def decide(self, asked: Attributes) -> Decision:
        if NODES not in asked.user.groups:
            return NO_OPINION
        node = asked.user.name.removeprefix(NODE_PREFIX)
        if not asked.user.name.startswith(NODE_PREFIX) or not node:
            return Decision(False, f"unknown node for user {quoted(asked.user.name)}")
        if not asked.path:
            decided = self._by_relation(asked, node)
            if decided is not None:
                return decided
        allowed = any(_allows(rule, asked) for rule in self._rules)
        return ALLOWED if allowed else NO_OPINION

    def _by_relation(self, asked: Attributes, node: str) -> Decision | None:
        """None for what is not a matter of whose it is."""
        match asked.group, asked.resource:
            case "", "secrets" | "configmaps" | "persistentvolumeclaims" | "persistentvolumes":
                return self._referred(asked, node)
            case "", "serviceaccounts":
                return self._account(asked, node)
            case "", "nodes":
                return _own_node(asked, node)
            case "", "pods":
                return self._pods(asked, node)
            case "coordination.k8s.io", "leases":
                if asked.verb in ("list", "watch", "deletecollection") or asked.namespace != _LEASES:
                    return Decision(False, f'can only access leases in the "{_LEASES}" system namespace')
                if asked.verb != "create" and asked.name != node:
                    why = "can only access node lease with the same name as the requesting node"
                    return Decision(False, why)
                return None
            case "storage.k8s.io", "volumeattachments":
                return self._attachment(asked, node)
            case "storage.k8s.io", "csinodes":
                if asked.verb not in ("create", *_READS) and asked.name != node:
                    why = "can only access CSINode with the same name as the requesting node"
                    return Decision(False, why)
        return None

    def _referred(self, asked: Attributes, node: str) -> Decision:
        what = asked.resource
        if asked.subresource and (what, asked.subresource) != ("persistentvolumeclaims", "status"):
            return Decision(False, "cannot read subresource")
        if not asked.subresource and asked.verb not in (
            _READS if what in ("secrets", "configmaps") else ("get",)
        ):
            return Decision(False, "can only read resources of this type")
        if what != "persistentvolumes" and not asked.namespace:
            return Decision(False, "can only read namespaced object of this type")
        if not asked.name:
            return Decision(False, "No Object name found")
        if any(asked.name in names for names in self._names(what, asked.namespace, node)):
            return ALLOWED
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _names(self, what: str, namespace: str, node: str) -> Iterator[set[str]]:
        claims = self._cache_of(resource_of(core_v1.PersistentVolumeClaim))
        for pod in self._bound(node):
            home = pod.namespace
            if what == "persistentvolumes":
                for claim in pod.claims:
                    entry = claims.get(f"{claims.prefix}{home}/{claim}")
                    spec = orjson.loads(entry.value)["spec"] if entry is not None else {}
                    yield {spec.get("volumeName", "")}
            elif home == namespace:
                yield pod.named(what)

    def _bound(self, node: str) -> Iterator[Bound]:
        """The Pods of a node. Each is read once, and again when it has changed."""
        cache = self._cache_of(resource_of(core_v1.Pod))
        if len(self._read) > PODS_REMEMBERED_MAX:
            self._read.clear()
        for entry in cache.select(Selection("", field_selector=fields.parse(f"spec.nodeName={node}"))):
            known = self._read.get(entry.key)
            if known is None or known[0] != entry.revision:
                known = self._read[entry.key] = (entry.revision, _bound(orjson.loads(entry.value)))
            yield known[1]

    def _account(self, asked: Attributes, node: str) -> Decision:
        if (asked.verb, asked.subresource) not in (("create", "token"), ("get", "")):
            return Decision(False, "can only create tokens for individual service accounts")
        users = (pod.account for pod in self._bound(node) if pod.namespace == asked.namespace)
        if asked.name and asked.name in users:
            return ALLOWED
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _attachment(self, asked: Attributes, node: str) -> Decision:
        if asked.verb != "get" or asked.subresource:
            return Decision(False, "can only get individual resources of this type")
        cache = self._cache_of(resource_of(storage_v1.VolumeAttachment))
        entry = cache.get(f"{cache.prefix}{asked.name}") if asked.name else None
        if entry is not None and orjson.loads(entry.value)["spec"].get("nodeName") == node:
            return ALLOWED
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _pods(self, asked: Attributes, node: str) -> Decision | None:
        """Reading is for the node's own; that a change concerns its own is NodeRestriction's to see."""
        if asked.verb not in _READS:
            return None
        if asked.verb != "get" and f"spec.nodeName={node}" in asked.fields.split(","):
            return ALLOWED
        if asked.verb == "get" or asked.name:
            cache = self._cache_of(resource_of(core_v1.Pod))
            entry = cache.get(f"{cache.prefix}{asked.namespace}/{asked.name}")
            mine = entry is not None and entry.attributes.fields.get("spec.nodeName") == node
            if mine:
                return ALLOWED
            return Decision(False, f"no relationship found between node '{node}' and this object")
        return Decision(
            False, f"can only list/watch pods with spec.nodeName field selector for node '{node}'"
        )


def _own_node(asked: Attributes, node: str) -> Decision | None:
    if asked.verb not in _READS or asked.name == node:
        return None
    if not asked.name:
        why = f"node '{node}' cannot read all nodes, only its own Node object"
    else:
        why = f"node '{node}' cannot read '{asked.name}', only its own Node object"
    return Decision(False, why)


def references(pod: Json, what: str) -> set[str]:
    """The names of Secrets, ConfigMaps or claims that a Pod speaks of."""
    spec, found = pod["spec"], set[str]()
    one = {"secrets": "secret", "configmaps": "configMap"}.get(what)
    for volume in spec.get("volumes") or ():
        if what == "persistentvolumeclaims":
            found.add((volume.get("persistentVolumeClaim") or {}).get("claimName", ""))
            if "ephemeral" in volume:
                found.add(f"{pod['metadata']['name']}-{volume['name']}")
            continue
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for source in (each.get(one) or {} for each in sources):
            found.add(source.get("secretName") or source.get("name") or "")
    if one is None:
        return found - {""}
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        for variable in container.get("env") or ():
            found.add(((variable.get("valueFrom") or {}).get(f"{one}KeyRef") or {}).get("name", ""))
        for source in container.get("envFrom") or ():
            found.add((source.get(f"{one}Ref") or {}).get("name", ""))
    if what == "secrets":
        found |= {each.get("name", "") for each in spec.get("imagePullSecrets") or ()}
    return found - {""}


def _allows(rule: Json, asked: Attributes) -> bool:
    if asked.path:
        return allows_path(rule, asked.verb, asked.path)
    return allows_resource(rule, asked.verb, asked.group, asked.resource, asked.subresource, asked.name)
