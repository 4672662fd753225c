"""Warnings: what is valid, and yet is probably not meant. Headers beside the answer, in upstream's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.warnings_pods import OLD_VOLUMES, claim_spec, node_selector, pod_spec
from services.machinery import quantity

Json = dict[str, Any]

ENDPOINTS_DEPRECATED = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"


def of(kind: str, obj: Json, old: Json | None) -> list[str]:
    """In the order in which upstream sends them."""
    if kind == "CustomResourceDefinition":
        from services.apiserver.crd import schemas

        return schemas.warnings(obj, old)
    if kind == "Pod":
        return [] if old is not None else list(_pod(obj))
    if kind in ("Deployment", "ReplicaSet", "ReplicationController"):
        found = obj["spec"].get("template")
        if found and (old is None or old["spec"].get("template") != found):
            return list(_workload(obj, found, old is None))
    if kind in _WORKLOADS:
        return list(_WORKLOADS[kind](obj, old))
    if kind == "Endpoints":
        return [ENDPOINTS_DEPRECATED]
    return list(_OTHERS[kind](obj, old)) if kind in _OTHERS else []


def _hostname(meta: Json) -> Iterator[str]:
    name = meta.get("name", "")
    if faults := names.dns1123_label(name):
        listed = "[" + " ".join(faults) + "]"
        yield (
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior;"
            f" a DNS label is recommended: {listed}"
        )


def _pod(obj: Json) -> Iterator[str]:
    yield from _hostname(obj["metadata"])
    yield from pod_spec(obj["spec"], obj["metadata"], "")


def _workload(obj: Json, found: Json, created: bool) -> Iterator[str]:
    if created:
        yield from _pod_names(obj)
    prefix = "template." if obj["kind"] == "ReplicationController" else "spec.template."
    yield from _template(found, prefix)


def _pod_names(obj: Json) -> Iterator[str]:
    if faults := names.dns1123_label(obj["metadata"].get("name", "")):
        listed = "[" + " ".join(faults) + "]"
        yield (
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising"
            f" behavior; a DNS label is recommended: {listed}"
        )


def _template(found: Json, prefix: str, before: Json | None = None) -> Iterator[str]:
    """Nothing for a template that has been there before: who made it was told."""
    if found != before:
        yield from pod_spec(found.get("spec", {}), found.get("metadata", {}), prefix)


def _job(obj: Json, old: Json | None) -> Iterator[str]:
    if old is None:
        yield from _pod_names(obj)
    elif old["spec"] == obj["spec"]:
        return
    yield from _job_spec(obj["spec"], old and old["spec"], "spec")


_COMPLETIONS_MANY, _AT_ONCE_MANY = 100_000, 10_000


def _job_spec(spec: Json, before: Json | None, path: str) -> Iterator[str]:
    many = (spec.get("completions") or 0) > _COMPLETIONS_MANY
    if spec.get("completionMode") == "Indexed" and many and (spec.get("parallelism") or 0) > _AT_ONCE_MANY:
        yield (
            f"{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher"
            " than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes"
            " fail"
        )
    yield from _template(spec["template"], f"{path}.template.", before and before["template"])


def _cron_job(obj: Json, old: Json | None) -> Iterator[str]:
    if old is None:
        yield from _pod_names(obj)
    elif old["spec"] == obj["spec"]:
        return
    before = old and old["spec"]["jobTemplate"]["spec"]
    yield from _job_spec(obj["spec"]["jobTemplate"]["spec"], before, "spec.jobTemplate.spec")
    if "TZ" in obj["spec"].get("schedule", ""):
        yield (
            "CRON_TZ or TZ used in spec.schedule is not officially supported, see"
            " https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        )


def _daemon_set(obj: Json, old: Json | None) -> Iterator[str]:
    yield from _template(obj["spec"]["template"], "spec.template.", old and old["spec"]["template"])


def _stateful_set(obj: Json, old: Json | None) -> Iterator[str]:
    spec, before = obj["spec"], old["spec"] if old else {}
    if spec == before:
        return
    yield from _template(spec["template"], "spec.template.", before.get("template"))
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        requests = (claim.get("spec", {}).get("resources") or {}).get("requests", {})
        text = str(requests.get("storage", ""))
        if text[-1:] in ("m", "u", "n") and quantity.milli(text) % 1000:
            why = f'fractional byte value "{text}" is invalid, must be an integer'
            yield f"spec.volumeClaimTemplates[{index}].spec.resources.requests[storage]: {why}"
    if (spec.get("revisionHistoryLimit") or 0) < 0:
        yield (
            "spec.revisionHistoryLimit: a negative value retains all historical revisions;"
            " a value >= 0 is recommended"
        )


def _pod_template(obj: Json, old: Json | None) -> Iterator[str]:
    yield from _template(obj.get("template", {}), "template.", old and old.get("template"))


_WORKLOADS: dict[str, Callable[[Json, Json | None], Iterator[str]]] = {
    "Job": _job,
    "CronJob": _cron_job,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
    "PodTemplate": _pod_template,
}


def _service(obj: Json, old: Json | None) -> Iterator[str]:
    spec, kind = obj["spec"], obj["spec"].get("type")
    if _TOPOLOGY_HINTS in obj["metadata"].get("annotations", {}):
        yield f"annotation {_TOPOLOGY_HINTS} is deprecated, please use {_TOPOLOGY_MODE} instead"
    if kind == "ClusterIP" and (spec.get("clusterIPs") or [spec.get("clusterIP")])[0] == "None":
        if spec.get("loadBalancerIP"):
            yield "spec.loadBalancerIP is ignored for headless services"
        if spec.get("externalIPs"):
            yield "spec.externalIPs is ignored for headless services"
        if spec.get("sessionAffinity") == "ClientIP":
            yield "spec.SessionAffinity is ignored for headless services"
    if kind == "ExternalName" and spec.get("externalIPs"):
        yield 'spec.externalIPs is ignored when spec.type is "ExternalName"'
    if kind != "ExternalName" and spec.get("externalName"):
        yield 'spec.externalName is ignored when spec.type is not "ExternalName"'
    if spec.get("trafficDistribution") == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'


def _ingress(obj: Json, old: Json | None) -> Iterator[str]:
    named = obj["spec"].get("ingressClassName") is not None
    if old is None and not named and _INGRESS_CLASS in obj["metadata"].get("annotations", {}):
        yield f"annotation \"{_INGRESS_CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"


def _beta_class(obj: Json) -> Iterator[str]:
    if _STORAGE_CLASS in obj["metadata"].get("annotations", {}):
        why = 'deprecated since v1.8; use "storageClassName" attribute instead'
        yield f"metadata.annotations[{_STORAGE_CLASS}]: {why}"


def _volume(obj: Json, old: Json | None) -> Iterator[str]:
    spec = obj["spec"]
    yield from _beta_class(obj)
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        yield (
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the"
            " recommended approach is to use dynamic provisioning."
        )
    needed = (spec.get("nodeAffinity") or {}).get("required") or {}
    yield from node_selector(needed, "spec.nodeAffinity.required")
    for kind, shown in _OLD_SOURCES.items():
        if spec.get(kind) is not None:
            yield f"spec.{shown}: {OLD_VOLUMES[kind]}"


def _claim(obj: Json, old: Json | None) -> Iterator[str]:
    yield from _beta_class(obj)
    yield from claim_spec(obj["spec"], "spec")


_INGRESS_CLASS = "kubernetes.io/ingress.class"
_STORAGE_CLASS = "volume.beta.kubernetes.io/storage-class"
_TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"
_TOPOLOGY_HINTS = "service.kubernetes.io/topology-aware-hints"
# Of volumes that no Pod can have any more, and as warnings call them.
_OLD_SOURCES = {
    **{kind: kind for kind in ("cephfs", "photonPersistentDisk", "scaleIO")},
    "storageos": "storageOS",
    **{kind: kind for kind in ("glusterfs", "rbd")},
}
_OTHERS: dict[str, Callable[[Json, Json | None], Iterator[str]]] = {
    "Ingress": _ingress,
    "PersistentVolume": _volume,
    "PersistentVolumeClaim": _claim,
    "Service": _service,
}
