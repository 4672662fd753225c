"""NetworkPolicies: whether a connection between two addresses is allowed, in either direction. Pure.

A Pod that no policy of a direction selects is open in that direction; one that is selected takes what any of
them allows. Answers to an allowed connection are part of it. A node reaches the Pods that it runs, whatever
the policies say, or its probes would fail. Upstream: the NetworkPolicy API as CNI plugins implement it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network

import msgspec

from services.api.core_v1 import Namespace, Pod
from services.api.meta_v1 import LabelSelector
from services.api.networking_v1 import IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort
from services.api.object import ObjectKey
from services.machinery import labels, pods


class Policies:
    """Fed by watches. Without any policy it knows no Pods and allows everything."""

    def __init__(self) -> None:
        self._policies: dict[str, dict[str, NetworkPolicy]] = {}  # by namespace, name
        self._pods: dict[ObjectKey, Pod] = {}
        self._by_ip: dict[str, ObjectKey] = {}
        self._namespaces: dict[str, Namespace] = {}

    def __bool__(self) -> bool:
        return bool(self._policies)

    def put_policy(self, policy: NetworkPolicy) -> None:
        self._policies.setdefault(policy.key.namespace, {})[policy.key.name] = policy

    def remove_policy(self, key: ObjectKey) -> None:
        held = self._policies.get(key.namespace, {})
        held.pop(key.name, None)
        if not held:
            self._policies.pop(key.namespace, None)

    def put_pod(self, pod: Pod) -> None:
        """Pods of the host network have no address of their own, and finished ones none at all."""
        self.remove_pod(pod.key)
        if pod.spec.host_network or pods.is_terminated(pod):
            return
        self._pods[pod.key] = pod
        for each in pod.status.pod_ips:
            self._by_ip[each.ip or ""] = pod.key

    def remove_pod(self, key: ObjectKey) -> None:
        pod = self._pods.pop(key, None)
        for each in pod.status.pod_ips if pod else ():
            if self._by_ip.get(each.ip or "") == key:
                del self._by_ip[each.ip or ""]

    def put_namespace(self, namespace: Namespace) -> None:
        self._namespaces[namespace.key.name] = namespace

    def remove_namespace(self, name: str) -> None:
        self._namespaces.pop(name, None)

    def allows_ingress(self, source: str, ip: str, port: int, protocol: str = "TCP") -> bool:
        """Into the Pod at `ip`."""
        pod = self._pod_at(ip)
        if pod is None or source == ip:
            return True
        selecting = self._selecting(pod, "Ingress")
        if not selecting:
            return True
        return any(
            self._port(rule.ports, pod, port, protocol) and self._peer(rule.from_, policy, source)
            for policy in selecting
            for rule in policy.spec.ingress
        )

    def allows_egress(self, source: str, ip: str, port: int, protocol: str = "TCP") -> bool:
        """Out of the Pod at `source`."""
        pod = self._pod_at(source)
        if pod is None or source == ip:
            return True
        selecting = self._selecting(pod, "Egress")
        if not selecting:
            return True
        target = self._pod_at(ip)
        return any(
            self._port(rule.ports, target, port, protocol) and self._peer(rule.to, policy, ip)
            for policy in selecting
            for rule in policy.spec.egress
        )

    def _pod_at(self, ip: str) -> Pod | None:
        key = self._by_ip.get(ip)
        return self._pods.get(key) if key else None

    def _selecting(self, pod: Pod, direction: str) -> list[NetworkPolicy]:
        found = self._policies.get(pod.key.namespace, {}).values()
        return [
            policy
            for policy in found
            if direction in (policy.spec.policy_types or ["Ingress"])
            and _matches(policy.spec.pod_selector or LabelSelector(), pod.metadata.labels)
        ]

    def _peer(self, peers: Sequence[NetworkPolicyPeer], policy: NetworkPolicy, ip: str) -> bool:
        if not peers:
            return True
        pod = self._pod_at(ip)
        return any(self._is_peer(peer, policy, ip, pod) for peer in peers)

    def _is_peer(self, peer: NetworkPolicyPeer, policy: NetworkPolicy, ip: str, pod: Pod | None) -> bool:
        if peer.ip_block is not None:
            return _in_block(peer.ip_block, ip)
        if pod is None:
            return False
        if peer.namespace_selector is None:
            if pod.key.namespace != policy.key.namespace:
                return False
        else:
            namespace = self._namespaces.get(pod.key.namespace)
            found = namespace.metadata.labels if namespace else {}
            if not _matches(peer.namespace_selector, found):
                return False
        return peer.pod_selector is None or _matches(peer.pod_selector, pod.metadata.labels)

    def _port(self, ports: Iterable[NetworkPolicyPort], pod: Pod | None, number: int, protocol: str) -> bool:
        every = list(ports)
        return not every or any(_is_port(port, pod, number, protocol) for port in every)


def _is_port(port: NetworkPolicyPort, pod: Pod | None, number: int, protocol: str) -> bool:
    if (port.protocol or "TCP") != protocol:
        return False
    if port.port is None:
        return True
    if isinstance(port.port, int):
        return port.port <= number <= (port.end_port or port.port)
    containers = pod.spec.containers if pod else []
    named = (each for container in containers for each in container.ports if each.name == port.port)
    return any(each.container_port == number and (each.protocol or "TCP") == protocol for each in named)


def _in_block(block: IPBlock, ip: str) -> bool:
    address = ip_address(ip)
    inside = address in ip_network(block.cidr, strict=False)
    return inside and not any(address in ip_network(each, strict=False) for each in block.except_)


def _matches(selector: LabelSelector, values: dict[str, str]) -> bool:
    return _parsed(msgspec.json.encode(selector)).matches(values)


@lru_cache(maxsize=1024)
def _parsed(encoded: bytes) -> labels.Selector:
    return labels.from_label_selector(msgspec.json.decode(encoded, type=LabelSelector))
