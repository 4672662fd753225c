"""The table as one reads iptables: `orrery proxy-rules NODE`. Pure.

No iptables run here; the lines say what the table does in the words in which a real node says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from services.kube_proxy.model import Door, Rule, Target


def text(rules: Iterable[Rule]) -> str:
    """The nat and filter rules, in the form of `iptables-save`."""
    every = list(rules)
    filters = [line for rule in every for line in _filter(rule)]
    services = [line for rule in every for line in _services(rule)]
    node_ports = [line for rule in every for line in _node_port(rule)]
    chains = [line for rule in every for line in _chains(rule)]
    jump = '-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last '
    jump += 'rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS'
    lines = ["*filter", *filters, "COMMIT", "*nat", *node_ports, *services, jump, *chains, "COMMIT"]
    return "\n".join(lines) + "\n"


def _match(rule: Rule, ip: str, door: str) -> str:
    protocol, mask = rule.name.protocol.lower(), "128" if ":" in ip else "32"
    return (
        f'-d {ip}/{mask} -p {protocol} -m comment --comment "{rule.name} {door}" -m {protocol} '
        f"--dport {rule.port}"
    )


def _addresses(rule: Rule) -> Iterator[tuple[str, Door]]:
    yield rule.cluster_ip, Door.CLUSTER_IP
    for ip in rule.external_ips:
        yield ip, Door.EXTERNAL_IP
    for ip in rule.balancer_ips:
        yield ip, Door.LOAD_BALANCER


def _filter(rule: Rule) -> Iterator[str]:
    """Where nobody is: refused, or swallowed."""
    if not rule.any_anywhere:
        for ip, _ in _addresses(rule):
            yield f"-A KUBE-SERVICES {_match(rule, ip, 'has no endpoints')} -j REJECT"
        return
    for ip, door in _addresses(rule):
        if not rule.targets(door):
            yield f"-A KUBE-SERVICES {_match(rule, ip, 'has no local endpoints')} -j DROP"


def _services(rule: Rule) -> Iterator[str]:
    if not rule.any_anywhere:
        return
    for ip, door in _addresses(rule):
        chain = _chain(rule, door)
        if door is Door.CLUSTER_IP or not rule.external_local:
            yield f"-A KUBE-SERVICES {_match(rule, ip, door.value)} -j {chain}"
        else:
            yield f"-A KUBE-SERVICES {_match(rule, ip, door.value)} -j {rule.name.chain('KUBE-EXT-')}"


def _node_port(rule: Rule) -> Iterator[str]:
    if rule.node_port and rule.any_anywhere:
        protocol = rule.name.protocol.lower()
        yield (
            f'-A KUBE-NODEPORTS -p {protocol} -m comment --comment "{rule.name}" -m {protocol} '
            f"--dport {rule.node_port} -j {rule.name.chain('KUBE-EXT-')}"
        )


def _chain(rule: Rule, door: Door) -> str:
    return rule.name.chain("KUBE-SVL-" if rule.is_local(door) else "KUBE-SVC-")


def _chains(rule: Rule) -> Iterator[str]:
    if not rule.any_anywhere:
        return
    if rule.node_port or rule.external_ips or rule.balancer_ips:
        chain = rule.name.chain("KUBE-EXT-")
        if not rule.external_local:
            comment = f'-m comment --comment "masquerade traffic for {rule.name} external destinations"'
            yield f"-A {chain} {comment} -j KUBE-MARK-MASQ"
        yield f"-A {chain} -j {_chain(rule, Door.NODE_PORT)}"
    shown: set[str] = set()
    for door in (Door.CLUSTER_IP, Door.NODE_PORT):
        chain = _chain(rule, door)
        needed = door is Door.CLUSTER_IP or rule.node_port or rule.external_ips or rule.balancer_ips
        if needed and chain not in shown:
            shown.add(chain)
            yield from _spread(rule, chain, rule.targets(door))
    for target in dict.fromkeys((*rule.cluster, *rule.local)):
        yield from _endpoint(rule, target)


def _spread(rule: Rule, chain: str, targets: Sequence[Target]) -> Iterator[str]:
    """Each endpoint's chance among those that are left."""
    if rule.affinity_seconds:
        for target in targets:
            endpoint = rule.name.chain("KUBE-SEP-", str(target))
            recent = f"-m recent --rcheck --seconds {rule.affinity_seconds} --reap --name {endpoint}"
            yield f'-A {chain} -m comment --comment "{rule.name} -> {target}" {recent} -j {endpoint}'
    for index, target in enumerate(targets):
        left = len(targets) - index
        chance = f" -m statistic --mode random --probability {1 / left:.11f}" if left > 1 else ""
        endpoint = rule.name.chain("KUBE-SEP-", str(target))
        yield f'-A {chain} -m comment --comment "{rule.name} -> {target}"{chance} -j {endpoint}'


def _endpoint(rule: Rule, target: Target) -> Iterator[str]:
    chain, protocol = rule.name.chain("KUBE-SEP-", str(target)), rule.name.protocol.lower()
    comment = f'-m comment --comment "{rule.name}"'
    yield f"-A {chain} -s {target.ip}/{'128' if ':' in target.ip else '32'} {comment} -j KUBE-MARK-MASQ"
    recent = f"-m recent --set --name {chain} " if rule.affinity_seconds else ""
    yield f"-A {chain} -p {protocol} {comment} {recent}-m {protocol} -j DNAT --to-destination {target}"
