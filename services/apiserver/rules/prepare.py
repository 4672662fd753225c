"""Preparation: what a caller may not decide. Status at creation, generation always, and everything
outside the part that a subresource is for.

In place, on objects in normal form. The store copies nothing afterwards, so parts are shared with
the old object where they did not change.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.apiserver.rules.validation.pod import quality_of_service
from services.apiserver.rules.validation.service import externally_accessible, needs_health_check
from services.machinery.clock import rfc3339

Json = dict[str, Any]
Create = Callable[[Json], None]
Update = Callable[[Json, Json], None]


def metadata_update(new: Json, old: Json) -> None:
    """What every update keeps: the identity, the birth, and a deletion once it has begun."""
    meta, before = new["metadata"], old["metadata"]
    for field in ("generation", "creationTimestamp"):
        _restore(meta, before, field)
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        if field in before:
            meta[field] = before[field]
    for field in ("uid", "namespace", "name"):
        if not meta.get(field) and field in before:
            meta[field] = before[field]
    meta.pop("selfLink", None)


def _restore(new: Json, old: Json, field: str) -> None:
    if field in old:
        new[field] = old[field]
    else:
        new.pop(field, None)


def _bump(new: Json, old: Json) -> None:
    """A new spec is a new generation."""
    if new.get("spec") != old.get("spec"):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def with_status_create(obj: Json) -> None:
    """For kinds whose generation counts their specs."""
    obj["status"] = _EMPTY_STATUS.get(obj["kind"], dict)()
    obj["metadata"]["generation"] = 1


_EMPTY_STATUS: dict[str, Callable[[], Json]] = {
    "ReplicaSet": lambda: {"replicas": 0},
    "ReplicationController": lambda: {"replicas": 0},
    "StatefulSet": lambda: {"replicas": 0, "availableReplicas": 0},
    "DaemonSet": lambda: {
        "currentNumberScheduled": 0,
        "desiredNumberScheduled": 0,
        "numberMisscheduled": 0,
        "numberReady": 0,
    },
}


def counted_create(obj: Json) -> None:
    """For kinds that have a generation and no status."""
    obj["metadata"]["generation"] = 1


def budget_create(obj: Json) -> None:
    """Nobody has counted its Pods yet."""
    counted_create(obj)
    obj["status"] = {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}


def balanced_create(obj: Json) -> None:
    """An Ingress has no address yet."""
    counted_create(obj)
    obj["status"] = {"loadBalancer": {}}


def spec_update(new: Json, old: Json) -> None:
    _bump(new, old)


def endpoint_slice_update(new: Json, old: Json) -> None:
    """Its generation counts every change but that of its bookkeeping: labels and annotations too."""
    kept = ("generation", "managedFields", "resourceVersion")
    before, after = ({**obj, "metadata": _without(obj["metadata"], kept)} for obj in (old, new))
    if before != after:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _without(meta: Json, fields: tuple[str, ...]) -> Json:
    return {name: value for name, value in meta.items() if name not in fields}


def with_status_update(new: Json, old: Json) -> None:
    new["status"] = old["status"]
    _bump(new, old)


def deployment_update(new: Json, old: Json) -> None:
    """Its annotations are copied to its ReplicaSet: a change of theirs has to be observed too."""
    with_status_update(new, old)
    if new["metadata"].get("annotations") != old["metadata"].get("annotations"):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def status_update(new: Json, old: Json) -> None:
    """The `status` subresource: the spec stays; metadata may change, as when a controller annotates."""
    new["spec"] = old["spec"]


def status_alone(new: Json, old: Json) -> None:
    """The same where a status says nothing about metadata either."""
    new["spec"] = old["spec"]
    _metadata_for_status(new["metadata"], old["metadata"])


def deployment_status(new: Json, old: Json) -> None:
    new["spec"] = old["spec"]
    _restore(new["metadata"], old["metadata"], "labels")


def _metadata_for_status(meta: Json, before: Json) -> None:
    for field in ("labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp", "selfLink"):
        _restore(meta, before, field)


def pod_create(obj: Json) -> None:
    obj["metadata"]["generation"] = 1
    if obj["spec"].get("terminationGracePeriodSeconds", 0) < 0:
        obj["spec"]["terminationGracePeriodSeconds"] = 1
    obj["status"] = {"phase": "Pending", "qosClass": quality_of_service(obj)}
    if obj["spec"].get("schedulingGates"):
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": obj["metadata"].get("creationTimestamp"),
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }
        obj["status"]["conditions"] = [condition]
    _match_label_keys(obj)


def _match_label_keys(obj: Json) -> None:
    """`matchLabelKeys` become part of the selector, with the values this Pod has."""
    labels, affinity = obj["metadata"].get("labels", {}), obj["spec"].get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        part = affinity.get(kind) or {}
        terms = list(part.get("requiredDuringSchedulingIgnoredDuringExecution", ()))
        for weighted in part.get("preferredDuringSchedulingIgnoredDuringExecution", ()):
            terms.append(weighted.get("podAffinityTerm", {}))
        for term in terms:
            _extend_selector(term, "matchLabelKeys", "In", labels)
            _extend_selector(term, "mismatchLabelKeys", "NotIn", labels)
    for constraint in obj["spec"].get("topologySpreadConstraints", ()):
        _extend_selector(constraint, "matchLabelKeys", "In", labels)


def _extend_selector(term: Json, field: str, operator: str, labels: Json) -> None:
    selector = term.get("labelSelector")
    if selector is None:
        return
    for key in term.get(field, ()):
        if key in labels:
            requirement = {"key": key, "operator": operator, "values": [labels[key]]}
            selector.setdefault("matchExpressions", []).append(requirement)


def pod_status(new: Json, old: Json) -> None:
    new["spec"] = old["spec"]
    meta, before = new["metadata"], old["metadata"]
    # Old kubelets corrupt owner references; and no status report ends a Pod's life.
    for field in ("deletionTimestamp", "ownerReferences"):
        _restore(meta, before, field)
    status, held = new["status"], old["status"]
    if not status.get("qosClass") and held.get("qosClass"):
        status["qosClass"] = held["qosClass"]
    if not status.get("observedGeneration") and held.get("observedGeneration"):
        status["observedGeneration"] = held["observedGeneration"]
    generations = {
        condition.get("type"): condition["observedGeneration"]
        for condition in held.get("conditions", ())
        if condition.get("observedGeneration")
    }
    if generations:
        for condition in status.get("conditions", ()):
            seen = generations.get(condition.get("type"))
            if seen and not condition.get("observedGeneration"):
                condition["observedGeneration"] = seen


def pod_ephemeral(new: Json, old: Json) -> None:
    wanted = new["spec"].get("ephemeralContainers")
    new["spec"], new["status"] = {**old["spec"]}, old["status"]
    new["spec"].pop("ephemeralContainers", None)
    if wanted:
        new["spec"]["ephemeralContainers"] = wanted
    _metadata_for_status(new["metadata"], old["metadata"])
    _bump(new, old)


def pod_resize(new: Json, old: Json) -> None:
    spec, before = new["spec"], old["spec"]
    for field in ("containers", "initContainers"):
        if len(spec.get(field) or ()) != len(before.get(field) or ()):
            return  # Validation will say so.
    merged = {**before}
    for field in ("containers", "initContainers"):
        if before.get(field):
            merged[field] = [_with_resources(held, sent) for held, sent in zip(before[field], spec[field])]
    new["spec"], new["status"] = merged, old["status"]
    _metadata_for_status(new["metadata"], old["metadata"])
    _bump(new, old)


def _with_resources(held: Json, sent: Json) -> Json:
    if held.get("name") != sent.get("name"):
        return sent
    kept = {**held, "resources": sent.get("resources", {})}
    if "resizePolicy" in sent:
        kept["resizePolicy"] = sent["resizePolicy"]
    return kept


def namespace_create(obj: Json) -> None:
    obj["status"] = {"phase": "Active"}
    finalizers = obj["spec"].setdefault("finalizers", [])
    if "kubernetes" not in finalizers:
        finalizers.append("kubernetes")
    obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"].get("name", "")


def namespace_update(new: Json, old: Json) -> None:
    new["spec"] = {**new["spec"]}
    _restore(new["spec"], old["spec"], "finalizers")
    new["status"] = old["status"]


def namespace_finalize(new: Json, old: Json) -> None:
    new["status"] = old["status"]


def node_create(obj: Json) -> None:
    """Kubelets register with a status, so it stays."""


def node_update(new: Json, old: Json) -> None:
    new["status"] = old["status"]


def keep_status(new: Json, old: Json) -> None:
    """For kinds whose generation counts nothing."""
    new["status"] = old["status"]


def persistent_volume_create(obj: Json) -> None:
    """Pending until the controller has looked at it."""
    obj["status"] = {"phase": "Pending"}
    if created := obj["metadata"].get("creationTimestamp"):
        obj["status"]["lastPhaseTransitionTime"] = created


def note_phase(status: Json, before: Json, now: datetime) -> None:
    """Says since when a volume has its phase, unless the caller knows better."""
    moment = before.get("lastPhaseTransitionTime")
    if status.get("phase") != before.get("phase") and status.get("lastPhaseTransitionTime") in (None, moment):
        status["lastPhaseTransitionTime"] = rfc3339(now)


def quota_create(obj: Json) -> None:
    """The controller says what is used."""
    obj["status"] = {}


def volume_attachment_create(obj: Json) -> None:
    obj["status"] = {"attached": False}


def service_cidr_create(obj: Json) -> None:
    obj["status"] = {}


def service_create(obj: Json) -> None:
    """One address, and the list of addresses that it is the first of."""
    spec = obj["spec"]
    obj["status"] = {"loadBalancer": {}}
    _both_cluster_ips(spec)


def _both_cluster_ips(spec: Json) -> None:
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    elif not spec.get("clusterIP") and spec.get("clusterIPs", [""])[0]:
        spec["clusterIP"] = spec["clusterIPs"][0]


_ALLOCATED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")


def service_update(new: Json, old: Json) -> None:
    spec, before = new["spec"], old["spec"]
    new["status"] = old["status"]
    if spec.get("type") == "ExternalName" or before.get("type") == "ExternalName":
        if spec.get("type") == "ExternalName":
            # What a former address left behind goes with it, unless the caller asks to keep it.
            for field in _ALLOCATED:
                if spec.get(field) == before.get(field):
                    spec.pop(field, None)
    else:
        for field in _ALLOCATED:
            if not spec.get(field) and before.get(field):
                spec[field] = before[field]
        _keep_node_ports(spec, before)
    _drop_what_the_type_lacks(spec, before)
    _both_cluster_ips(spec)


_OF_BALANCERS = ("allocateLoadBalancerNodePorts", "loadBalancerClass")


def _drop_what_the_type_lacks(spec: Json, before: Json) -> None:
    """What the former type brought goes with it, unless the caller changed it and so means it."""
    kind, was = spec.get("type"), before.get("type")
    has_node_ports = ("NodePort", "LoadBalancer")
    if was in has_node_ports and kind not in has_node_ports:
        old = {port.get("nodePort") for port in before.get("ports") or ()}
        ports = spec.get("ports") or []
        if all(not port.get("nodePort") or port["nodePort"] in old for port in ports):
            for port in ports:
                port.pop("nodePort", None)
    gone = list[str]()
    if needs_health_check(before) and not needs_health_check(spec):
        gone.append("healthCheckNodePort")
    if was == "LoadBalancer" and kind != "LoadBalancer":
        gone += _OF_BALANCERS
    if externally_accessible(before) and not externally_accessible(spec):
        gone.append("externalTrafficPolicy")
    for field in gone:
        if spec.get(field) == before.get(field):
            spec.pop(field, None)


def _keep_node_ports(spec: Json, before: Json) -> None:
    """A port that is still there keeps the node port it was given."""
    if spec.get("type") not in ("NodePort", "LoadBalancer"):
        return
    held = {
        (port.get("protocol"), port.get("port")): port.get("nodePort") for port in before.get("ports", ())
    }
    taken = {port["nodePort"] for port in spec.get("ports", ()) if port.get("nodePort")}
    for port in spec.get("ports", ()):
        number = held.get((port.get("protocol"), port.get("port")))
        if not port.get("nodePort") and number and number not in taken:
            port["nodePort"] = number
    if needs_health_check(spec) and before.get("healthCheckNodePort"):
        spec.setdefault("healthCheckNodePort", before["healthCheckNodePort"])
