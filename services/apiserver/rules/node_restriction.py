"""Admission plugin NodeRestriction: a kubelet changes its own Node and the Pods on it, and nothing else.

The Node rule of authorization says which kinds a kubelet reaches at all; here is what of them is its own. A
kubelet is whoever is called `system:node:NAME` and belongs to `system:nodes`. Upstream:
`plugin/pkg/admission/noderestriction`.
"""

from __future__ import annotations

from typing import Any

from services.api import core_v1, errors, kinds
from services.apiserver.authentication.users import NODE_PREFIX, NODES, User
from services.apiserver.authorization.node import references
from services.apiserver.rules.context import Context
from services.machinery.field_errors import quoted

Json = dict[str, Any]

_NODES = kinds.resource_of(core_v1.Node)
_PODS = kinds.resource_of(core_v1.Pod)
_ACCOUNTS = kinds.resource_of(core_v1.ServiceAccount)
_MIRROR = "kubernetes.io/config.mirror"
_LEASES = "kube-node-lease"
_RESTRICTED = "node-restriction.kubernetes.io"
_KUBELET_NAMESPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_KUBELET_LABELS = frozenset(
    (
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
    )
)


def node_of(user: User) -> str | None:
    """The node whose kubelet that user is; None for everybody else."""
    if NODES not in user.groups or not user.name.startswith(NODE_PREFIX):
        return None
    return user.name.removeprefix(NODE_PREFIX)


def admit(
    verb: str, resource: kinds.Resource, subresource: str, obj: Json | None, old: Json | None, ctx: Context
) -> None:
    """ApiError (403, 404) for what is not a kubelet's business. A deletion has only `old`."""
    node = node_of(ctx.user)
    if node is None:
        return
    why = None
    match resource.group, resource.kind:
        case "", "Pod":
            why = _pod(verb, subresource, obj, old, node, ctx)
        case "", "Node":
            why = _node(verb, obj, old, node)
        case "", "PersistentVolumeClaim" if subresource != "status":
            why = "may only update PVC status"
        case "coordination.k8s.io", "Lease":
            why = _lease(obj or old or {}, node)
        case "storage.k8s.io", "CSINode" if _name(obj or old or {}) != node:
            why = "can only access CSINode with the same name as the requesting node"
    if why:
        raise errors.forbidden(resource, _name(obj or old or {}), why)


def evict(pod: Json, user: User) -> None:
    """ApiError (403) for the eviction of a Pod of another node."""
    node = node_of(user)
    if node is not None and pod["spec"].get("nodeName") != node:
        why = f"node {node} can only evict pods with spec.nodeName set to itself"
        raise errors.forbidden(_PODS, _name(pod), why)


def token(reference: Json | None, pod: Json | None, account: str, user: User) -> None:
    """ApiError (403) for the token of an account that a kubelet asks for and no Pod of its own needs."""
    node = node_of(user)
    if node is None:
        return
    why = ""
    if not reference or reference.get("kind") != "Pod" or not reference.get("name"):
        why = "node requested token not bound to a pod"
    elif not reference.get("uid"):
        why = "node requested token with a pod binding without a uid"
    elif pod is None or pod["spec"].get("nodeName") != node:
        why = "node requested token bound to a pod scheduled on a different node"
    if why:
        raise errors.forbidden(_ACCOUNTS, account, why)


def _name(obj: Json) -> str:
    meta = obj.get("metadata") or {}
    return str(meta.get("name") or meta.get("generateName", ""))


# -- Pods ----------------------------------------------------------------------------------------


def _pod(
    verb: str, subresource: str, obj: Json | None, old: Json | None, node: str, ctx: Context
) -> str | None:
    shown = quoted(node)
    if subresource == "status":
        if old is not None and old["spec"].get("nodeName") != node:
            return f"node {shown} can only update pod status for pods with spec.nodeName set to itself"
        if obj and old and obj["metadata"].get("labels") != old["metadata"].get("labels"):
            return f"node {shown} cannot update labels through pod status"
        return None
    if subresource:
        allowed = "only 'status' and 'eviction' are allowed"
        return f"unexpected pod subresource {quoted(subresource)}, {allowed}"
    if verb == "create" and obj is not None:
        return _mirror(obj, node, ctx)
    if verb == "delete":
        if old is not None and old["spec"].get("nodeName") != node:
            return f"node {shown} can only delete pods with spec.nodeName set to itself"
        return None
    return f'unexpected operation "{verb.upper()}", node {shown} can only create and delete mirror pods'


def _mirror(pod: Json, node: str, ctx: Context) -> str | None:
    """A kubelet creates only the shadow of what it runs without us."""
    shown, meta, spec = quoted(node), pod["metadata"], pod["spec"]
    if _MIRROR not in (meta.get("annotations") or {}):
        return f'pod does not have "{_MIRROR}" annotation, node {shown} can only create mirror pods'
    if spec.get("nodeName") != node:
        return f"node {shown} can only create pods with spec.nodeName set to itself"
    owners = meta.get("ownerReferences") or []
    if len(owners) > 1:
        return f"node {shown} can only create pods with a single owner reference set to itself"
    owner = owners[0] if owners else {}
    if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
        return f"node {shown} can only create pods with an owner reference set to itself"
    if not owner.get("controller"):
        return f"node {shown} can only create pods with a controller owner reference set to itself"
    if owner.get("blockOwnerDeletion"):
        return f"node {shown} must not set blockOwnerDeletion on an owner reference"
    found = ctx.lookup(_NODES, "", node)
    if found is None:
        raise errors.not_found(_NODES, node)
    uid = found["metadata"].get("uid", "")
    if owner.get("uid") != uid:
        return f"node {node} UID mismatch: expected {uid} got {owner.get('uid', '')}"
    if spec.get("serviceAccountName"):
        return f"node {shown} can not create pods that reference a service account"
    # What a Pod names in any way, its node may read: it must not be the node that says what that is.
    for plural in ("secrets", "configmaps", "persistentvolumeclaims"):
        if references(pod, plural):
            return f"node {shown} can not create pods that reference {plural}"
    if spec.get("resourceClaims"):
        return f"node {shown} can not create pods that reference resourceclaims"
    return None


# -- Nodes and Leases ----------------------------------------------------------------------------


def _node(verb: str, obj: Json | None, old: Json | None, node: str) -> str | None:
    shown, asked = quoted(node), _name(obj or old or {})
    if asked != node:
        return f"node {shown} is not allowed to modify node {quoted(asked)}"
    if verb == "delete" or obj is None:
        return None
    if old is None:
        if obj["spec"].get("configSource") is not None:
            return f"node {shown} is not allowed to create pods with a non-nil configSource"
        labels = _forbidden(obj["metadata"].get("labels") or {}, {})
        return f"node {shown} is not allowed to set the following labels: {labels}" if labels else None
    if (obj["spec"].get("taints") or []) != (old["spec"].get("taints") or []):
        return f"node {shown} is not allowed to modify taints"
    labels = _forbidden(obj["metadata"].get("labels") or {}, old["metadata"].get("labels") or {})
    if labels:
        return f"is not allowed to modify labels: {labels}"
    if (obj["metadata"].get("ownerReferences") or []) != (old["metadata"].get("ownerReferences") or []):
        return f"node {shown} is not allowed to modify ownerReferences"
    return None


def _forbidden(new: Json, old: Json) -> str:
    """Which of the changed labels a kubelet may not change, in one text."""
    changed = {key for key in new.keys() | old.keys() if new.get(key) != old.get(key)}
    return ", ".join(sorted(key for key in changed if not _may_set(key)))


def _may_set(key: str) -> bool:
    """What Kubernetes means something by is not for a kubelet, but for what it knows of itself."""
    namespace = key.rpartition("/")[0]
    if _is_of(namespace, _RESTRICTED):
        return False
    if not any(_is_of(namespace, known) for known in ("kubernetes.io", "k8s.io")):
        return True
    return key in _KUBELET_LABELS or any(_is_of(namespace, known) for known in _KUBELET_NAMESPACES)


def _is_of(namespace: str, domain: str) -> bool:
    return namespace == domain or namespace.endswith(f".{domain}")


def _lease(lease: Json, node: str) -> str | None:
    if lease["metadata"].get("namespace") != _LEASES:
        return f'can only access leases in the "{_LEASES}" system namespace'
    if _name(lease) != node:
        return "can only access node lease with the same name as the requesting node"
    return None
