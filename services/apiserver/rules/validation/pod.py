"""Pods: creation, the few changes an update may make, and their subresources."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.internal_form import difference
from services.apiserver.rules.validation import containers, names, scheduling
from services.apiserver.rules.validation.meta import changed, immutable, object_meta, object_meta_update
from services.apiserver.rules.validation.pod_spec import pod_annotations, pod_spec
from services.machinery import quantity
from services.machinery.field_errors import Causes, forbidden, invalid, not_supported, required

Json = dict[str, Any]

_UPDATABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
)
_MIRROR = "kubernetes.io/config.mirror"
_INT32_MAX = 2147483647


def _metadata_and_spec(pod: Json, out: Causes) -> None:
    meta, spec = pod["metadata"], pod["spec"]
    object_meta(meta, True, names.dns1123_subdomain, out)
    pod_annotations(meta.get("annotations", {}), spec, "metadata.annotations", out)
    pod_spec(spec, "spec", out, pod_name=meta.get("name", ""), is_pod=True)
    if not spec.get("serviceAccountName"):
        _no_tokens(spec.get("volumes", ()), out)
    for field in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            containers.untrimmed_image(container, f"spec.{field}[{index}]", out)


def _no_tokens(volumes: list[Json], out: Causes) -> None:
    for index, volume in enumerate(volumes):
        for number, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
            if "serviceAccountToken" in source:
                path = f"spec.volumes[{index}].projected.sources[{number}].serviceAccountToken"
                out.append(forbidden(path, "must not be specified when serviceAccountName is not set"))


def create(pod: Json, out: Causes) -> None:
    _metadata_and_spec(pod, out)
    spec = pod["spec"]
    if spec.get("ephemeralContainers"):
        out.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        out.append(forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))


def update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    if new["spec"] == old["spec"]:
        # The usual update of labels and annotations: all the rest was valid before.
        if changed(new["metadata"], old["metadata"]):
            object_meta(new["metadata"], True, names.dns1123_subdomain, out)
        return
    _metadata_and_spec(new, out)
    spec, before = new["spec"], old["spec"]
    for field in ("containers", "initContainers"):
        if not _same_containers(spec.get(field) or [], before.get(field) or [], f"spec.{field}", out):
            return
    if not _deadline(spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"), out):
        return
    _only_added_tolerations(spec.get("tolerations", []), before.get("tolerations", []), out)
    old_gates = {gate.get("name") for gate in before.get("schedulingGates", ())}
    for index, gate in enumerate(spec.get("schedulingGates", ())):
        if gate.get("name") not in old_gates:
            why = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            out.append(forbidden(f"spec.schedulingGates[{index}].name", why))
    munged = _munged(spec, before, out)
    if munged != before:
        out.append(forbidden("spec", _UPDATABLE + difference("PodSpec", before, munged)))


def _same_containers(new: list[Json], old: list[Json], path: str, out: Causes) -> bool:
    if len(new) != len(old):
        out.append(forbidden(path, "pod updates may not add or remove containers"))
        return False
    for index, container in enumerate(new):
        if not container.get("image"):
            out.append(required(f"{path}[{index}].image"))
        containers.untrimmed_image(container, f"{path}[{index}]", out)
    return True


def _deadline(new: int | None, old: int | None, out: Causes) -> bool:
    path = "spec.activeDeadlineSeconds"
    if new is None:
        if old is not None:
            out.append(invalid(path, None, "must not update from a positive integer to nil value"))
        return True
    if not 0 <= new <= _INT32_MAX:
        out.append(invalid(path, new, f"must be between 0 and {_INT32_MAX}, inclusive"))
        return False
    if old is not None and old < new:
        out.append(invalid(path, new, "must be less than or equal to previous value"))
        return False
    return True


def _only_added_tolerations(new: list[Json], old: list[Json], out: Causes) -> None:
    def bare(toleration: Json) -> Json:
        return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}

    kept = [bare(toleration) for toleration in new]
    if any(bare(toleration) not in kept for toleration in old):
        why = "existing toleration can not be modified except its tolerationSeconds"
        out.append(forbidden("spec.tolerations", why))
        return
    scheduling.tolerations(new, "spec.tolerations", out)


def _munged(spec: Json, before: Json, out: Causes) -> Json:
    """The new spec with all that may change put back to what it was."""
    munged = {**spec}
    for field in ("containers", "initContainers"):
        if field in munged:
            munged[field] = [
                {**container, "image": old.get("image", "")}
                for container, old in zip(munged[field] or (), before.get(field) or ())
            ]
    kept = ["activeDeadlineSeconds", "schedulingGates", "tolerations"]
    if before.get("terminationGracePeriodSeconds", 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        kept.append("terminationGracePeriodSeconds")
    if before.get("schedulingGates"):
        _gated(spec, before, out)
        kept.append("nodeSelector")
        if "affinity" in munged or "affinity" in before:
            munged["affinity"] = _with_node_affinity(munged.get("affinity"), before.get("affinity"))
            if munged["affinity"] is None:
                del munged["affinity"]
    for field in kept:
        munged.pop(field, None)
        if field in before:
            munged[field] = before[field]
    return munged


def _with_node_affinity(new: Json | None, old: Json | None) -> Json | None:
    merged = {key: value for key, value in (new or {}).items() if key != "nodeAffinity"}
    if old and "nodeAffinity" in old:
        merged["nodeAffinity"] = old["nodeAffinity"]
    return merged or (old if old == {} else None)


def _gated(spec: Json, before: Json, out: Causes) -> None:
    """A gated Pod's place may be narrowed down, never widened."""
    new, old = spec.get("nodeSelector", {}), before.get("nodeSelector", {})
    if any(new.get(key) != value for key, value in old.items()):
        why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        out.append(invalid("spec.nodeSelector", new, why))


def update_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    status, before = new["status"], old["status"]
    for index, condition in enumerate(status.get("conditions", ())):
        kind = condition.get("type", "")
        if kind not in ("PodScheduled", "Ready", "Initialized"):
            names.check(names.qualified_name(kind), f"metadata.conditions[{index}].Type", kind, out)
    nominated = status.get("nominatedNodeName")
    if nominated and nominated != before.get("nominatedNodeName"):
        names.check(names.dns1123_subdomain(nominated), "status.nominatedNodeName", nominated, out)
    immutable(status.get("qosClass", ""), before.get("qosClass", ""), "status.qosClass", out)
    policy = old["spec"].get("restartPolicy")
    for field in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        rule = "Never" if field == "ephemeralContainerStatuses" else policy
        if rule != "Always" and field in before:
            _transitions(status.get(field, ()), before[field], rule, old["spec"], f"status.{field}", out)
    for field in ("podIPs", "hostIPs"):
        for index, address in enumerate(status.get(field, ())):
            names.ip_address(f"status.{field}[{index}]", address.get("ip", ""), out)
    host_ips = status.get("hostIPs")
    if host_ips and status.get("hostIP", "") != host_ips[0].get("ip", ""):
        why = "must be equal to `hostIP`"
        out.append(invalid("status.hostIPs[0].ip", host_ips[0].get("ip", ""), why))


def _transitions(
    new: list[Json], old: list[Json], policy: str | None, spec: Json, path: str, out: Causes
) -> None:
    """What has ended for good does not run again."""
    sidecars = {
        container.get("name")
        for container in (*spec.get("initContainers", ()), *(spec.get("containers") or ()))
        if container.get("restartPolicy") is not None
    }
    for index, before in enumerate(old):
        ended = (before.get("state") or {}).get("terminated")
        if ended is None or before.get("name") in sidecars:
            continue
        if ended.get("exitCode", 0) != 0 and policy == "OnFailure":
            continue
        for status in new:
            if status.get("name") == before.get("name") and "terminated" not in (status.get("state") or {}):
                why = "may not be transitioned to non-terminated state"
                out.append(forbidden(f"{path}[{index}].state", why))


def update_ephemeral(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _metadata_and_spec(new, out)
    if _MIRROR in old["metadata"].get("annotations", {}):
        out[:] = [forbidden("[]", "static pods do not support ephemeral containers")]
        return
    path = "spec.ephemeralContainers"
    by_name = {container.get("name"): container for container in new["spec"].get("ephemeralContainers", ())}
    for container in old["spec"].get("ephemeralContainers", ()):
        name = container.get("name")
        if name not in by_name:
            out.append(forbidden(path, f'existing ephemeral containers "{name}" may not be removed\n'))
        elif by_name[name] != container:
            diff = difference("EphemeralContainer", container, by_name[name])
            out.append(forbidden(path, f'existing ephemeral containers "{name}" may not be changed\n{diff}'))


def update_resize(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _metadata_and_spec(new, out)
    if _MIRROR in old["metadata"].get("annotations", {}):
        out[:] = [forbidden("[]", "static pods cannot be resized")]
        return
    if quality_of_service(new) != old["status"].get("qosClass"):
        why = "Pod QOS Class may not change as a result of resizing"
        out.append(invalid("spec", new["status"].get("qosClass", ""), why))
    for index, container in enumerate(new["spec"].get("containers") or ()):
        before = (old["spec"].get("containers") or [])[index : index + 1]
        if before:
            _resized(container, before[0], f"spec.containers[{index}].resources", out)


def _resized(new: Json, old: Json, path: str, out: Causes) -> None:
    resources, before = new.get("resources", {}), old.get("resources", {})
    for field in ("requests", "limits"):
        if before.get(field, {}).keys() - resources.get(field, {}).keys():
            out.append(forbidden(f"{path}.{field}", f"resource {field} cannot be removed"))
    for field in ("requests", "limits"):
        now, then = resources.get(field, {}), before.get(field, {})
        if any(
            now.get(name) != then.get(name)
            for name in now.keys() | then.keys()
            if name not in ("cpu", "memory")
        ):
            out.append(forbidden("spec", "only cpu and memory resources are mutable"))


def binding(found: Json, out: Causes) -> None:
    target = found.get("target", {})
    if target.get("kind", "") not in ("", "Node"):
        out.append(not_supported("target.kind", target["kind"], ("Node", "<empty>")))
    if not target.get("name"):
        out.append(required("target.name"))


def quality_of_service(pod: Json) -> str:
    """Guaranteed, Burstable or BestEffort, by cpu and memory alone."""
    spec = pod["spec"]
    holders = (
        [spec]
        if spec.get("resources")
        else [*(spec.get("containers") or ()), *spec.get("initContainers", ())]
    )
    asked, guaranteed = False, True
    for holder in holders:
        resources = holder.get("resources", {})
        requests, limits = resources.get("requests", {}), resources.get("limits", {})
        for name in ("cpu", "memory"):
            request, limit = _amount(requests.get(name)), _amount(limits.get(name))
            asked = asked or request > 0 or limit > 0
            # Asking for less than the limit, or setting none, gives the guarantee away.
            guaranteed = guaranteed and limit > 0 and request in (0, limit)
    if not asked:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amount(text: str | None) -> quantity.Exact:
    return quantity.parse(text) if text else 0
