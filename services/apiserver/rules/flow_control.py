"""What every cluster says of fairness: which requests belong together, and what share each kind of them has.

Upstream's suggested and mandatory objects. The mandatory ones may not be changed; the others belong to
whoever changes them.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

API_VERSION = "flowcontrol.apiserver.k8s.io/v1"
AUTO_UPDATE = "apf.kubernetes.io/autoupdate-spec"
_EVERYONE = ("system:unauthenticated", "system:authenticated")
_CONTROLLER_MANAGER, _SCHEDULER = "system:kube-controller-manager", "system:kube-scheduler"
_CHANGING = ["get", "create", "update"]


def _level(shares: int, lendable: int, queues: int = 0, hand_size: int = 6) -> Json:
    response: Json = {"type": "Reject"}
    if queues:
        queuing = {"queues": queues, "handSize": hand_size, "queueLengthLimit": 50}
        response = {"type": "Queue", "queuing": queuing}
    limited = {"nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response}
    return {"type": "Limited", "limited": limited}


MANDATORY_LEVELS: dict[str, Json] = {
    "catch-all": _level(5, 0),
    "exempt": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}},
}
LEVELS: dict[str, Json] = {
    **MANDATORY_LEVELS,
    "system": _level(30, 33, 64),
    "node-high": _level(40, 25, 64),
    "leader-election": _level(10, 0, 16, 4),
    "workload-high": _level(40, 50, 128),
    "workload-low": _level(100, 90, 128),
    "global-default": _level(20, 50, 128),
}


def _groups(*names: str) -> list[Json]:
    return [{"kind": "Group", "group": {"name": name}} for name in names]


def _users(*names: str) -> list[Json]:
    return [{"kind": "User", "user": {"name": name}} for name in names]


def _system_accounts(*names: str) -> list[Json]:
    return [
        {"kind": "ServiceAccount", "serviceAccount": {"namespace": "kube-system", "name": name}}
        for name in names
    ]


def _rule(
    verbs: list[str], groups: list[str], resources: list[str], namespace: str = "*", *, cluster: bool = False
) -> Json:
    rule: Json = {"verbs": verbs, "apiGroups": groups, "resources": resources, "namespaces": [namespace]}
    return {**rule, "clusterScope": True} if cluster else rule


def _of_all(subjects: list[Json]) -> Json:
    return {
        "subjects": subjects,
        "resourceRules": [_rule(["*"], ["*"], ["*"], cluster=True)],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }


def _leases(verbs: list[str]) -> Json:
    return _rule(verbs, ["coordination.k8s.io"], ["leases"])


def _elections(subjects: list[Json], namespace: str) -> Json:
    held = _rule(_CHANGING, [""], ["endpoints", "configmaps"], namespace)
    return {"subjects": subjects, "resourceRules": [held, _leases(_CHANGING)]}


def _schema(level: str, precedence: int, method: str, rules: Json) -> Json:
    spec: Json = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence}
    if method:
        spec["distinguisherMethod"] = {"type": method}
    return {**spec, "rules": [rules]}


_NODES = _rule(["*"], [""], ["nodes", "nodes/status"], cluster=True)
_ENDPOINTS = _rule(_CHANGING, [""], ["endpoints"])
_MIRRORS = _system_accounts("endpoint-controller", "endpointslicemirroring-controller")
_PROBES = {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}

MANDATORY_SCHEMAS: dict[str, Json] = {
    "exempt": _schema("exempt", 1, "", _of_all(_groups("system:masters"))),
    "catch-all": _schema("catch-all", 10000, "ByUser", _of_all(_groups(*_EVERYONE))),
}
SCHEMAS: dict[str, Json] = {
    **MANDATORY_SCHEMAS,
    "system-nodes": _schema("system", 500, "ByUser", _of_all(_groups("system:nodes"))),
    "system-node-high": _schema(
        "node-high",
        400,
        "ByUser",
        {"subjects": _groups("system:nodes"), "resourceRules": [_NODES, _leases(["*"])]},
    ),
    "probes": _schema("exempt", 2, "", {"subjects": _groups(*_EVERYONE), "nonResourceRules": [_PROBES]}),
    "system-leader-election": _schema(
        "leader-election",
        100,
        "ByUser",
        _elections([*_users(_CONTROLLER_MANAGER, _SCHEDULER), *_system_accounts("*")], "kube-system"),
    ),
    "endpoint-controller": _schema(
        "workload-high",
        150,
        "ByUser",
        {"subjects": [*_users(_CONTROLLER_MANAGER), *_MIRRORS], "resourceRules": [_ENDPOINTS]},
    ),
    "workload-leader-election": _schema(
        "leader-election", 200, "ByUser", _elections(_system_accounts("*"), "*")
    ),
    "kube-controller-manager": _schema(
        "workload-high", 800, "ByNamespace", _of_all(_users(_CONTROLLER_MANAGER))
    ),
    "kube-scheduler": _schema("workload-high", 800, "ByNamespace", _of_all(_users(_SCHEDULER))),
    "kube-system-service-accounts": _schema(
        "workload-high", 900, "ByNamespace", _of_all(_system_accounts("*"))
    ),
    "service-accounts": _schema("workload-low", 9000, "ByUser", _of_all(_groups("system:serviceaccounts"))),
    "global-default": _schema("global-default", 9900, "ByUser", _of_all(_groups(*_EVERYONE))),
}


def bootstrap_objects() -> list[Json]:
    """Levels before the schemas that name them."""
    return [
        {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {"name": name, "annotations": {AUTO_UPDATE: "true"}},
            "spec": spec,
        }
        for kind, specs in (("PriorityLevelConfiguration", LEVELS), ("FlowSchema", SCHEMAS))
        for name, spec in specs.items()
    ]
