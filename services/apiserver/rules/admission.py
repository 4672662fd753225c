"""Admission: what the cluster as a whole adds to a request, or forbids.

Upstream's plugins of the same names, in upstream's order: NamespaceLifecycle, ServiceAccount,
TaintNodesByCondition, DefaultTolerationSeconds; the others stand in modules beside. `mutate` runs before
validation, `validate` after. What users register (webhooks, policies: `apiserver/admission`) comes after
each of the two; where a webhook changed something, `mutate` may run once more and must not mind.
ResourceQuota comes last of all, when the object is about to be written (`registry/quota.py`): it counts.
"""

from __future__ import annotations

import random
from typing import Any, Literal

from services.api import core_v1, errors, kinds
from services.apiserver.rules import (
    ingress_admission,
    limit_ranger,
    mountable_secrets,
    node_restriction,
    priority_admission,
    runtime_class_admission,
    storage_admission,
)
from services.apiserver.rules.context import Context
from services.apiserver.rules.pod_security import admission as pod_security
from services.machinery import names

Json = dict[str, Any]
Verb = Literal["create", "update", "delete"]

_NAMESPACES = kinds.resource_of(core_v1.Namespace)
_SERVICE_ACCOUNTS = kinds.resource_of(core_v1.ServiceAccount)
_PROTECTED = ("default", "kube-system", "kube-public")
_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_MIRROR = "kubernetes.io/config.mirror"
_TOLERATION_SECONDS = 300
_TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def mutate(
    verb: Verb, resource: kinds.Resource, subresource: str, obj: Json, old: Json | None, ctx: Context
) -> None:
    """Completes `obj` in place. ApiError (403, 404) where a plugin refuses."""
    if verb == "create":
        _namespace_lifecycle(resource, obj, ctx)
    if resource.is_custom:
        return
    if verb == "create" and resource.kind == "Pod" and not subresource:
        limit_ranger.complete(obj, ctx)
        _service_account(resource, obj, ctx)
    node_restriction.admit(verb, resource, subresource, obj, old, ctx)
    if subresource:
        return
    if resource.kind == "Pod":
        if verb == "create":
            priority_admission.complete(resource, obj, ctx)
            runtime_class_admission.complete(resource, obj, ctx)
        _tolerations(obj)
    elif resource.kind == "Node" and verb == "create":
        _taint_new_node(obj)
    elif verb == "create" and resource.kind == "Ingress":
        ingress_admission.default_class(obj, ctx)
    elif verb == "create" and resource.kind in ("PersistentVolume", "PersistentVolumeClaim"):
        storage_admission.protect(resource, obj)
        if resource.kind == "PersistentVolumeClaim":
            storage_admission.default_class(obj, ctx)


def validate(
    verb: Verb, resource: kinds.Resource, subresource: str, obj: Json | None, old: Json | None, ctx: Context
) -> None:
    """ApiError where a plugin refuses the finished object, or (`obj` None) the deletion of `old`."""
    if resource.is_custom:
        return
    if obj is None:
        node_restriction.admit(verb, resource, subresource, None, old, ctx)
    else:
        if resource.kind in limit_ranger.LIMITED:
            limit_ranger.check(verb, resource, subresource, obj, old, ctx)
        pod_security.admit(verb, resource, subresource, obj, old, ctx)
    if verb == "delete" and resource.kind == "Namespace" and old is not None and not subresource:
        name = old["metadata"].get("name", "")
        if name in _PROTECTED:
            raise errors.forbidden(resource, name, "this namespace may not be deleted")
    if resource.kind == "PriorityClass" and obj:
        priority_admission.only_default(resource, obj, ctx)
    if resource.kind == "PersistentVolumeClaim" and not subresource and verb == "update" and obj and old:
        storage_admission.check_resize(resource, obj, old, ctx)


def _namespace_lifecycle(resource: kinds.Resource, obj: Json, ctx: Context) -> None:
    """Nothing new in a namespace that does not exist, or that is going."""
    if not resource.namespaced:
        return
    meta = obj["metadata"]
    namespace, name = meta.get("namespace", ""), meta.get("name") or meta.get("generateName", "")
    found = ctx.lookup(_NAMESPACES, "", namespace)
    if found is None:
        raise errors.not_found(_NAMESPACES, namespace)
    if found["status"].get("phase") == "Terminating" or found["metadata"].get("deletionTimestamp"):
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        error = errors.forbidden(resource, name, why)
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {namespace} is being terminated",
            "field": "metadata.namespace",
        }
        error.status["details"]["causes"] = [cause]
        raise error


def _service_account(resource: kinds.Resource, obj: Json, ctx: Context) -> None:
    spec, meta = obj["spec"], obj["metadata"]
    if _MIRROR in meta.get("annotations", {}):
        return _mirror_pod(resource, obj)
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    namespace = meta.get("namespace", "")
    account = ctx.lookup(_SERVICE_ACCOUNTS, namespace, name)
    if account is None:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise errors.forbidden(resource, _shown_name(obj), why)
    if why := mountable_secrets.refusal(account, spec):
        raise errors.forbidden(resource, _shown_name(obj), why)
    if spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True)):
        _mount_token(spec, ctx.random)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]
    return None


def _mirror_pod(resource: kinds.Resource, obj: Json) -> None:
    """The image of a static Pod has no rights of its own."""
    spec, name = obj["spec"], _shown_name(obj)
    if spec.get("serviceAccountName"):
        raise errors.forbidden(resource, name, "a mirror pod may not reference service accounts")
    for volume in spec.get("volumes", ()):
        if "secret" in volume:
            raise errors.forbidden(resource, name, "a mirror pod may not reference secrets")


def _shown_name(obj: Json) -> str:
    return str(obj["metadata"].get("name") or obj["metadata"].get("generateName", ""))


def _mount_token(spec: Json, chance: random.Random) -> None:
    volume = next(
        (
            found["name"]
            for found in spec.get("volumes", ())
            if found.get("name", "").startswith("kube-api-access-") and "projected" in found
        ),
        "",
    )
    existing = {found.get("name") for found in spec.get("volumes", ())}
    needed = False
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            mounts = container.get("volumeMounts", [])
            if any(mount.get("mountPath") == _TOKEN_PATH for mount in mounts):
                continue
            if not volume:
                volume = f"kube-api-access-{names.random_suffix(chance)}"
            needed = True
            mount = {"name": volume, "readOnly": True, "mountPath": _TOKEN_PATH}
            container["volumeMounts"] = [*mounts, mount]
    if needed and volume not in existing:
        spec["volumes"] = [*spec.get("volumes", ()), _token_volume(volume)]


def _token_volume(name: str) -> Json:
    """The projected volume through which a Pod reaches the API: a token, the CA, its namespace."""
    reference = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    service_ca = {"key": "service-ca.crt", "path": "service-ca.crt"}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": reference}]}},
        {"configMap": {"name": "openshift-service-ca.crt", "items": [service_ca]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}


def _tolerations(obj: Json) -> None:
    """A Pod stays for five minutes on a node that went away, unless it says otherwise."""
    tolerations = obj["spec"].get("tolerations", [])
    missing = [key for key in _TOLERATED if not any(_covers(found, key) for found in tolerations)]
    if missing:
        added = [
            {
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": _TOLERATION_SECONDS,
            }
            for key in missing
        ]
        obj["spec"]["tolerations"] = [*tolerations, *added]


def _covers(toleration: Json, key: str) -> bool:
    return toleration.get("key", "") in (key, "") and toleration.get("effect", "") in ("NoExecute", "")


def _taint_new_node(obj: Json) -> None:
    """A Node takes no Pods before its kubelet has said that it is ready."""
    taints = obj["spec"].get("taints", [])
    key = "node.kubernetes.io/not-ready"
    if not any(taint.get("key") == key and taint.get("effect") == "NoSchedule" for taint in taints):
        obj["spec"]["taints"] = [*taints, {"key": key, "effect": "NoSchedule"}]
