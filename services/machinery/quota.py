"""What an object uses of a ResourceQuota, and which quotas it counts against: pure, over plain data.

The API server charges by it, the resourcequota controller counts again by it; so they cannot disagree.
Upstream: `pkg/quota/v1/evaluator/core` and `apiserver/pkg/quota/v1/generic`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from services.machinery import pod_amounts, quantity
from services.machinery.clock import parse_time
from services.machinery.pod_amounts import Amounts

Json = dict[str, Any]

CLASS_SUFFIX = ".storageclass.storage.k8s.io/"
# Kinds whose number has a name of its own beside `count/…`; of Pods and Services more is counted.
_PLAIN = frozenset(("configmaps", "secrets", "replicationcontrollers", "resourcequotas"))
_CPU_LIKE = ("cpu", "memory", "ephemeral-storage")
# What every container must say once a quota counts it.
_EXPLICIT = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"


def usage(group: str, plural: str, obj: Json, now: datetime) -> Amounts:
    """By the names that a quota's `hard` has."""
    found: Amounts = {f"count/{plural}.{group}" if group else f"count/{plural}": 1}
    if group:
        return found
    match plural:
        case "pods":
            if not is_done(obj, now):
                found |= {"pods": 1, **_compute(obj["spec"])}
        case "services":
            found |= _service(obj["spec"])
        case "persistentvolumeclaims":
            found |= _claim(obj)
        case _ if plural in _PLAIN:
            found[plural] = 1
    return found


def is_done(pod: Json, now: datetime) -> bool:
    """Uses nothing any more: finished, or deleted for longer than it was given."""
    if (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        return True
    meta = pod["metadata"]
    deleted, grace = meta.get("deletionTimestamp"), meta.get("deletionGracePeriodSeconds")
    return bool(deleted) and grace is not None and now > parse_time(deleted) + timedelta(seconds=grace)


def _compute(spec: Json) -> Amounts:
    asked, limited = pod_amounts.of_pod(spec, "requests"), pod_amounts.of_pod(spec, "limits")
    return _named(asked, limited)


def _named(asked: Amounts, limited: Amounts) -> Amounts:
    found: Amounts = {}
    for name, amount in asked.items():
        found[f"requests.{name}"] = amount
        if name in _CPU_LIKE or name.startswith("hugepages-"):
            found[name] = amount
    for name, amount in limited.items():
        if name in _CPU_LIKE:
            found[f"limits.{name}"] = amount
    return found


def _service(spec: Json) -> Amounts:
    ports, kind = len(spec.get("ports") or ()), spec.get("type", "ClusterIP")
    balanced = kind == "LoadBalancer"
    if balanced and spec.get("allocateLoadBalancerNodePorts") is False:
        node_ports = sum(1 for port in spec.get("ports") or () if port.get("nodePort"))
    else:
        node_ports = ports if kind in ("NodePort", "LoadBalancer") else 0
    return {"services": 1, "services.nodeports": node_ports, "services.loadbalancers": int(balanced)}


def _claim(claim: Json) -> Amounts:
    found: Amounts = {"persistentvolumeclaims": 1}
    requests = (claim["spec"].get("resources") or {}).get("requests") or {}
    size = quantity.parse(requests["storage"]) if "storage" in requests else None
    annotated = (claim["metadata"].get("annotations") or {}).get(_BETA_CLASS, "")
    storage_class = annotated or claim["spec"].get("storageClassName") or ""
    if size is not None:
        found["requests.storage"] = size
    if storage_class:
        found[f"{storage_class}{CLASS_SUFFIX}persistentvolumeclaims"] = 1
        if size is not None:
            found[f"{storage_class}{CLASS_SUFFIX}requests.storage"] = size
    return found


def unspecified(pod: Json, names: Iterable[str]) -> str:
    """`limits.memory for: a,b; requests.cpu for: a`: what containers must say and do not."""
    pod_level = (pod["spec"].get("resources") or {}).get
    missing: dict[str, set[str]] = {}
    explicit = [name for name in names if name in _EXPLICIT]
    given = _of_container({"requests": pod_level("requests"), "limits": pod_level("limits")})
    explicit = [name for name in explicit if name not in given]
    if not explicit:
        return ""
    spec = pod["spec"]
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        known = _of_container(container.get("resources") or {})
        for name in explicit:
            if name not in known:
                missing.setdefault(name, set()).add(container.get("name", ""))
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


def _of_container(resources: Json) -> Amounts:
    return _named(
        pod_amounts.amounts(resources.get("requests") or {}),
        pod_amounts.amounts(resources.get("limits") or {}),
    )


# -- scopes --------------------------------------------------------------------------------------


def covers(spec: Json, group: str, plural: str, obj: Json) -> bool:
    """Whether a quota's scopes let it count that object."""
    return all(_meets(each, group, plural, obj) for each in _requirements(spec))


def _requirements(spec: Json) -> Iterator[Json]:
    for scope in spec.get("scopes") or ():
        yield {"scopeName": scope, "operator": "Exists"}
    yield from (spec.get("scopeSelector") or {}).get("matchExpressions") or ()


def _meets(wanted: Json, group: str, plural: str, obj: Json) -> bool:
    scope, spec = wanted.get("scopeName"), obj.get("spec") or {}
    if (group, plural) == ("", "persistentvolumeclaims"):
        return scope == "VolumeAttributesClass" and _matches(
            wanted, spec.get("volumeAttributesClassName") or ""
        )
    if (group, plural) != ("", "pods"):
        return False
    match scope:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return _is_best_effort(spec)
        case "NotBestEffort":
            return not _is_best_effort(spec)
        case "PriorityClass":
            return _matches(wanted, spec.get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return _reaches_out(spec)
    return False


def _matches(wanted: Json, value: str) -> bool:
    match wanted.get("operator"):
        case "In":
            return value in (wanted.get("values") or ())
        case "NotIn":
            return value not in (wanted.get("values") or ())
        case "Exists":
            return bool(value)
        case "DoesNotExist":
            return not value
    return False


def _is_best_effort(spec: Json) -> bool:
    """Nothing that is shared is asked for: the quality of service `BestEffort`."""
    holders = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ()), spec]
    for holder in holders:
        resources = holder.get("resources") or {}
        for field in ("requests", "limits"):
            given = resources.get(field) or {}
            if any(name in given and quantity.parse(given[name]) for name in ("cpu", "memory")):
                return False
    return True


def _reaches_out(spec: Json) -> bool:
    """Whether its affinity speaks of Pods of other namespaces."""
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        preferred = rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [each.get("podAffinityTerm") or {} for each in preferred]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


# -- sums ----------------------------------------------------------------------------------------


def add(total: Amounts, more: Mapping[str, quantity.Exact]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def shown(amounts: Mapping[str, quantity.Exact]) -> dict[str, str]:
    """As a status says them."""
    return {name: pod_amounts.shown(name, amount) for name, amount in sorted(amounts.items())}
