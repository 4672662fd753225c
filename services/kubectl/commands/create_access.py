"""Roles, bindings and PriorityClasses from what is typed: `create role|clusterrole|…|priorityclass`."""

from __future__ import annotations

from typing import Any

from services.kubectl import resources
from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, boolean, integer, text, texts
from services.kubectl.session import Session
from services.machinery import labels

Json = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"
ROLE_FLAGS: tuple[Flag, ...] = (
    texts("verb", "Verb that the rule allows"),
    texts("resource", "Resource that the rule is for"),
    texts("resource-name", "Only the objects of these names"),
)
CLUSTER_ROLE_FLAGS: tuple[Flag, ...] = (
    *ROLE_FLAGS,
    texts("non-resource-url", "A URL that is no resource's"),
    text("aggregation-rule", "Labels of the roles to gather, key=value"),
)
_SUBJECTS: tuple[Flag, ...] = (
    texts("user", "Usernames to bind to the role", split=False),
    texts("group", "Groups to bind to the role", split=False),
    texts("serviceaccount", "Service accounts to bind to the role, namespace:name", split=False),
)
BINDING_FLAGS: tuple[Flag, ...] = (
    text("clusterrole", "ClusterRole that is granted"),
    text("role", "Role that is granted"),
    *_SUBJECTS,
)
CLUSTER_BINDING_FLAGS: tuple[Flag, ...] = (
    text("clusterrole", "ClusterRole that is granted", required=True),
    *_SUBJECTS,
)
PRIORITY_FLAGS: tuple[Flag, ...] = (
    integer("value", "The value of the class"),
    boolean("global-default", "Whether it counts for Pods that name no class"),
    text("description", "When to use the class"),
    text("preemption-policy", "Whether its Pods drive others away", default="PreemptLowerPriority"),
)
_VERBS = frozenset(
    (
        *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "use", "bind"),
        *("impersonate", "*", "approve", "sign", "escalate", "attest"),
    )
)
_URL_VERBS = frozenset(("get", "put", "post", "head", "options", "delete", "patch", "*"))
# Verbs beyond the usual ones, and the resources that know them.
_SPECIAL = {
    "bind": ("roles", "clusterroles"),
    "escalate": ("roles", "clusterroles"),
    "impersonate": ("users", "serviceaccounts", "groups", "userextras", "uids"),
}


def role(session: Session, name: str) -> Json:
    verbs = _verbs(session)
    if not verbs:
        raise Fail("at least one verb must be specified")
    wanted = _resources(session)
    if not wanted:
        raise Fail("at least one resource must be specified")
    _check_verbs(session, verbs, wanted)
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": name},
        "rules": _rules(session, verbs, wanted),
    }


def cluster_role(session: Session, name: str) -> Json:
    flags = session.flags
    obj: Json = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}}
    verbs, urls, wanted = _verbs(session), list(dict.fromkeys(flags["non-resource-url"])), _resources(session)
    if flags["aggregation-rule"]:
        if urls or verbs or wanted or flags["resource-name"]:
            raise Fail("aggregation rule must be specified without nonResourceURLs, resources or verbs")
        selector = {}
        for pair in flags["aggregation-rule"].split(","):
            key, equals, value = pair.partition("=")
            if not equals or not key or labels.value_faults(value):
                raise Fail(f"unexpected aggregation rule: {pair}")
            selector[key] = value
        obj["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": selector}]}
        obj["rules"] = None
        return obj
    if not verbs:
        raise Fail("at least one verb must be specified")
    if not wanted and not urls:
        raise Fail("one of resource or nonResourceURL must be specified")
    if wanted:
        _check_verbs(session, verbs, wanted)
    if urls and (bad := next((verb for verb in verbs if verb not in _URL_VERBS), "")):
        raise Fail(f"invalid verb '{bad}' for nonResourceURL")
    obj["rules"] = _rules(session, verbs, wanted)
    if urls:
        obj["rules"].append({"verbs": verbs, "nonResourceURLs": urls})
    return obj


def _verbs(session: Session) -> list[str]:
    verbs = list(dict.fromkeys(session.flags["verb"]))
    return ["*"] if "*" in verbs else verbs


def _resources(session: Session) -> list[tuple[str, str]]:
    """(group, resource or resource/subresource) of each, as the cluster names them."""
    out = []
    for word in session.flags["resource"]:
        resource, _, subresource = word.partition("/")
        if word == "*":
            return [("*", "*")]
        if not resource:
            raise Fail("resource must be specified if apiGroup/subresource specified")
        plural, _, group = resource.partition(".")
        if plural not in _SPECIAL["impersonate"] or plural == "serviceaccounts":
            found = resources.lookup(resource)
            plural, group = found.plural, found.group
        out.append((group, f"{plural}/{subresource}" if subresource else plural))
    return list(dict.fromkeys(out))


def _check_verbs(session: Session, verbs: list[str], wanted: list[tuple[str, str]]) -> None:
    for verb in verbs:
        if verb not in _VERBS:
            session.complain(f"Warning: '{verb}' is not a standard resource verb")
    for verb in verbs:
        known = _SPECIAL.get(verb)
        if known and not any(resource in known for _, resource in wanted):
            session.complain(f"Warning: '{verb}' is not a standard resource verb for these resources")


def _rules(session: Session, verbs: list[str], wanted: list[tuple[str, str]]) -> list[Json]:
    """One rule for each API group, in the order in which they were named first."""
    groups: dict[str, list[str]] = {}
    for group, resource in wanted:
        groups.setdefault(group, []).append(resource)
    names = list(dict.fromkeys(session.flags["resource-name"]))
    return [
        {
            "verbs": verbs,
            "apiGroups": [group],
            "resources": found,
            **({"resourceNames": names} if names else {}),
        }
        for group, found in sorted(groups.items())
    ]


def role_binding(session: Session, name: str) -> Json:
    flags = session.flags
    if bool(flags["clusterrole"]) == bool(flags["role"]):
        raise Fail("exactly one of clusterrole or role must be specified")
    kind = "Role" if flags["role"] else "ClusterRole"
    return _binding(session, name, "RoleBinding", kind, flags["role"] or flags["clusterrole"])


def cluster_role_binding(session: Session, name: str) -> Json:
    return _binding(session, name, "ClusterRoleBinding", "ClusterRole", session.flags["clusterrole"])


def _binding(session: Session, name: str, kind: str, role_kind: str, role_name: str) -> Json:
    flags, subjects = session.flags, []
    for flag, subject in (("user", "User"), ("group", "Group")):
        subjects += [{"kind": subject, "apiGroup": RBAC, "name": each} for each in flags[flag]]
    for account in flags["serviceaccount"]:
        namespace, _, account_name = account.partition(":")
        if account.count(":") != 1 or not namespace or not account_name:
            raise Fail("serviceaccount must be <namespace>:<name>")
        subjects.append({"kind": "ServiceAccount", "name": account_name, "namespace": namespace})
    obj: Json = {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name}}
    if subjects:
        obj["subjects"] = subjects
    obj["roleRef"] = {"apiGroup": RBAC, "kind": role_kind, "name": role_name}
    return obj


def priority_class(session: Session, name: str) -> Json:
    flags = session.flags
    obj: Json = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
    obj["value"] = flags["value"]
    if flags["global-default"]:
        obj["globalDefault"] = True
    if flags["description"]:
        obj["description"] = flags["description"]
    return {**obj, "preemptionPolicy": flags["preemption-policy"]}
