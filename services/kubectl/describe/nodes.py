"""A node described: what it is, what it can take, and what the Pods on it asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from services.kubectl.describe import events
from services.kubectl.describe.writer import Writer, boolean, notes, rfc1123, taints
from services.machinery import quantity
from services.machinery.duration import since

Json = dict[str, Any]
Amount = tuple[int | Fraction, str]  # the value, and the form it was written in first
Amounts = dict[str, Amount]

ROLE_PREFIX = "node-role.kubernetes.io/"
ROLE_LABEL = "kubernetes.io/role"
STANDARD = ("cpu", "memory", "ephemeral-storage")
ZERO: Amount = (0, "decimal")
_INFO = (
    ("machineID", "Machine ID"),
    ("systemUUID", "System UUID"),
    ("bootID", "Boot ID"),
    ("kernelVersion", "Kernel Version"),
    ("osImage", "OS Image"),
    ("operatingSystem", "Operating System"),
    ("architecture", "Architecture"),
    ("containerRuntimeVersion", "Container Runtime Version"),
    ("kubeletVersion", "Kubelet Version"),
)


def describe(
    node: Json,
    lease: Json | str,
    pods: Sequence[Json],
    found_events: Iterable[Json] | None,
    now: datetime,
) -> str:
    """`lease` is the node's Lease, or why it could not be read."""
    writer = Writer()
    metadata, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
    writer.line(0, "Name:", metadata["name"])
    writer.line(0, "Roles:", ",".join(roles(metadata.get("labels") or {})) or "<none>")
    notes(writer, node)
    writer.line(0, "CreationTimestamp:", rfc1123(metadata.get("creationTimestamp")))
    taints(writer, spec.get("taints") or ())
    writer.line(0, "Unschedulable:", boolean(spec.get("unschedulable")))
    _lease(writer, lease)
    _conditions(writer, status)
    writer.write(0, "Addresses:\n")
    for address in status.get("addresses") or ():
        writer.line(1, f"{address['type']}:", address["address"])
    for field, title in (("capacity", "Capacity"), ("allocatable", "Allocatable")):
        if status.get(field):
            writer.write(0, f"{title}:\n")
        for name, amount in sorted((status.get(field) or {}).items()):
            writer.line(0, f"  {name}:", amount)
    writer.write(0, "System Info:\n")
    for field, title in _INFO:
        writer.line(0, f"  {title}:", (status.get("nodeInfo") or {}).get(field, ""))
    if spec.get("podCIDR"):
        writer.line(0, "PodCIDR:", spec["podCIDR"])
    if spec.get("podCIDRs"):
        writer.line(0, "PodCIDRs:", ",".join(spec["podCIDRs"]))
    if spec.get("providerID"):
        writer.line(0, "ProviderID:", spec["providerID"])
    _pods(writer, pods, status.get("allocatable") or status.get("capacity") or {}, now)
    events.describe(writer, found_events, now)
    return writer.text()


def roles(values: Mapping[str, str]) -> list[str]:
    found = {key.removeprefix(ROLE_PREFIX) for key in values if key.startswith(ROLE_PREFIX)}
    if values.get(ROLE_LABEL):
        found.add(values[ROLE_LABEL])
    return sorted(found - {""})


def _lease(writer: Writer, lease: Json | str) -> None:
    if isinstance(lease, str):
        writer.line(0, "Lease:", f"Failed to get lease: {lease}")
        return
    spec = lease.get("spec") or {}
    writer.write(0, "Lease:\n")
    writer.line(1, "HolderIdentity:", spec.get("holderIdentity") or "<unset>")
    for field, title in (("acquireTime", "AcquireTime:"), ("renewTime", "RenewTime:")):
        writer.line(1, title, rfc1123(spec[field]) if spec.get(field) else "<unset>")


def _conditions(writer: Writer, status: Json) -> None:
    conditions = status.get("conditions") or ()
    if conditions:
        writer.write(
            0, "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage\n"
        )
        writer.line(1, "----", "------", "-----------------", "------------------", "------", "-------")
    for condition in conditions:
        heartbeat = rfc1123(condition.get("lastHeartbeatTime"))
        transition = rfc1123(condition.get("lastTransitionTime"))
        writer.write(
            1,
            f"{condition['type']} \t{condition['status']} \t{heartbeat} \t{transition}"
            f" \t{condition.get('reason', '')} \t{condition.get('message', '')}\n",
        )


def _pods(writer: Writer, pods: Sequence[Json], allocatable: Mapping[str, str], now: datetime) -> None:
    writer.line(0, "Non-terminated Pods:", f"({len(pods)} in total)")
    columns = ("CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age")
    writer.line(1, "Namespace", "Name", "", *columns)
    writer.line(1, "---------", "----", "", *("-" * len(column) for column in columns))
    totals: dict[str, Amounts] = {"requests": {}, "limits": {}}
    for pod in pods:
        sums = {which: pod_amounts(pod, which) for which in totals}
        for which, amounts in sums.items():
            _add(totals[which], amounts)
        cells = [
            _share(sums[which].get(name, ZERO), allocatable.get(name, "0"), name)
            for name in ("cpu", "memory")
            for which in ("requests", "limits")
        ]
        metadata = pod["metadata"]
        age = since(metadata.get("creationTimestamp"), now)
        writer.line(1, metadata.get("namespace", ""), metadata["name"], "", *cells, age)
    _totals(writer, totals, allocatable)


def _totals(writer: Writer, totals: dict[str, Amounts], allocatable: Mapping[str, str]) -> None:
    writer.write(0, "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)\n")
    writer.line(1, "Resource", "Requests", "Limits")
    writer.line(1, "--------", "--------", "------")
    huge = sorted(name for name in allocatable if name.startswith("hugepages-"))
    for name in (*STANDARD, *huge):
        cells = [
            _share(totals[which].get(name, ZERO), allocatable.get(name, "0"), name)
            for which in ("requests", "limits")
        ]
        writer.line(1, name, *cells)
    for name in sorted(set(allocatable) - set(STANDARD) - set(huge) - {"pods"}):
        cells = [quantity.format(*totals[which].get(name, ZERO)) for which in ("requests", "limits")]
        writer.line(1, name, *cells)


def _share(amount: Amount, whole: str, name: str) -> str:
    """`100m (2%)`."""
    total = quantity.milli(whole) if name == "cpu" else quantity.value(whole)
    part = amount[0] * 1000 if name == "cpu" else amount[0]
    percent = int(float(part) / total * 100) if total else 0
    return f"{quantity.format(*amount)} ({percent}%)"


def pod_amounts(pod: Json, which: str) -> Amounts:
    """What a Pod requests, or its limits: containers added up, init containers where they need more."""
    spec = pod.get("spec") or {}
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, _of(container, which))
    sidecars: Amounts = {}
    initial: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _of(container, which)
        if container.get("restartPolicy") == "Always":
            _add(total, own)
            _add(sidecars, own)
            own = dict(sidecars)
        else:
            _add(own, sidecars)
        _raise(initial, own)
    _raise(total, initial)
    for name, amount in _parsed((spec.get("resources") or {}).get(which)).items():
        total[name] = amount
    overhead = _parsed(spec.get("overhead"))
    _add(total, {n: a for n, a in overhead.items() if which == "requests" or n in total})
    return total


def _of(container: Json, which: str) -> Amounts:
    return _parsed((container.get("resources") or {}).get(which))


def _parsed(amounts: Mapping[str, str] | None) -> Amounts:
    return {name: _form(str(text)) for name, text in (amounts or {}).items()}


def _form(text: str) -> Amount:
    return quantity.parse(text), "binary" if text.endswith("i") else "decimal"


def _add(total: Amounts, more: Mapping[str, Amount]) -> None:
    for name, (value, form) in more.items():
        have, have_form = total.get(name, (0, form))
        total[name] = (have + value, have_form if have else form)


def _raise(total: Amounts, least: Mapping[str, Amount]) -> None:
    for name, amount in least.items():
        if name not in total or total[name][0] < amount[0]:
            total[name] = amount
