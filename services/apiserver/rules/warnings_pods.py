"""Warnings of Pods and Pod templates. Headers beside the answer, in upstream's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.machinery import quantity

Json = dict[str, Any]

_OLD_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": (
        'deprecated since v1.17; use "topology.kubernetes.io/region" instead'
    ),
    "failure-domain.beta.kubernetes.io/zone": (
        'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
    ),
    "beta.kubernetes.io/instance-type": (
        'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'
    ),
}
_OLD_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
}
OLD_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",  # called storageOS
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}


_NO_POD = "a null labelSelector results in matching no pod"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_APP_ARMOR = 'deprecated since v1.30; use the "appArmorProfile" field instead'


def pod_spec(spec: Json, meta: Json, prefix: str) -> Iterator[str]:
    """`prefix` is the way to the template, with a dot behind it; nothing for a Pod itself."""
    path, annotations = f"{prefix}spec", meta.get("annotations", {})
    yield from _placing(spec, path)
    for key, text in _OLD_ANNOTATIONS.items():
        if key in annotations:
            yield f"{prefix}metadata.annotations[{key}]: {text}"
    yield from _volumes(spec, path)
    yield from _repeated(spec, path)
    for name in ("memory", "ephemeral-storage"):
        yield from _fraction(spec.get("overhead") or {}, name, f"{path}.overhead")
    if annotations:
        yield from _annotated(spec, annotations, prefix)
    for here, container in _containers(spec, path):
        yield from _container(container, here)
    yield from _ports(spec, path)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        why = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{path}.terminationGracePeriodSeconds: {why}"
    yield from _neighbours(spec.get("affinity") or {}, f"{path}.affinity")


def _containers(spec: Json, path: str) -> Iterator[tuple[str, Json]]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            yield f"{path}.{field}[{index}]", container


def _placing(spec: Json, path: str) -> Iterator[str]:
    """Labels of Nodes by the names that they had."""
    for key in spec.get("nodeSelector", ()):
        if key in _OLD_LABELS:
            yield f"{path}.nodeSelector[{key}]: {_OLD_LABELS[key]}"
    nodes = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    here = f"{path}.affinity.nodeAffinity"
    yield from node_selector(nodes.get(_REQUIRED) or {}, f"{here}.{_REQUIRED}")
    for index, term in enumerate(nodes.get(_PREFERRED) or ()):
        yield from _node_term(term.get("preference") or {}, f"{here}.{_PREFERRED}[{index}].preference")
    for index, constraint in enumerate(spec.get("topologySpreadConstraints", ())):
        here, key = f"{path}.topologySpreadConstraints[{index}]", constraint.get("topologyKey")
        if key in _OLD_LABELS:
            yield f"{here}.topologyKey: {key} is {_OLD_LABELS[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{here}.labelSelector: {_NO_POD}"


def node_selector(selector: Json, path: str) -> Iterator[str]:
    for index, term in enumerate(selector.get("nodeSelectorTerms") or ()):
        yield from _node_term(term, f"{path}.nodeSelectorTerms[{index}]")


def _node_term(term: Json, path: str) -> Iterator[str]:
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        key = expression.get("key")
        if key in _OLD_LABELS:
            yield f"{path}.matchExpressions[{index}].key: {key} is {_OLD_LABELS[key]}"


def _neighbours(affinity: Json, path: str) -> Iterator[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        for index, term in enumerate(rules.get(_REQUIRED) or ()):
            if term.get("labelSelector") is None:
                yield f"{path}.{kind}.{_REQUIRED}[{index}].labelSelector: {_NO_POD}"
        for index, weighted in enumerate(rules.get(_PREFERRED) or ()):
            if (weighted.get("podAffinityTerm") or {}).get("labelSelector") is None:
                yield f"{path}.{kind}.{_PREFERRED}[{index}].podAffinityTerm.labelSelector: {_NO_POD}"


def _volumes(spec: Json, path: str) -> Iterator[str]:
    for index, volume in enumerate(spec.get("volumes", ())):
        here = f"{path}.volumes[{index}]"
        for kind, source in volume.items():
            if kind in OLD_VOLUMES:
                yield f"{here}.{'storageOS' if kind == 'storageos' else kind}: {OLD_VOLUMES[kind]}"
            elif kind == "ephemeral":
                claim = ((source or {}).get("volumeClaimTemplate") or {}).get("spec") or {}
                yield from claim_spec(claim, f"{here}.ephemeral.volumeClaimTemplate.spec")


def claim_spec(spec: Json, path: str) -> Iterator[str]:
    for field in ("requests", "limits"):
        given = (spec.get("resources") or {}).get(field) or {}
        yield from _fraction(given, "storage", f"{path}.resources.{field}")


def _annotated(spec: Json, annotations: Json, prefix: str) -> Iterator[str]:
    """What annotations said before there were fields for it."""
    path, context = f"{prefix}metadata.annotations", spec.get("securityContext") or {}
    key = "seccomp.security.alpha.kubernetes.io/pod"
    if key in annotations and context.get("seccompProfile") is None:
        yield f"{path}[{key}]: {_SECCOMP}"
    for _, container in _containers(spec, ""):
        own, name = container.get("securityContext") or {}, container.get("name", "")
        key = f"container.seccomp.security.alpha.kubernetes.io/{name}"
        if key in annotations and own.get("seccompProfile") is None:
            yield f"{path}[{key}]: {_SECCOMP}"
        key = f"container.apparmor.security.beta.kubernetes.io/{name}"
        armored = any(each.get("appArmorProfile") is not None for each in (context, own))
        if prefix and key in annotations and not armored:
            yield f"{path}[{key}]: {_APP_ARMOR}"


def _fraction(given: Json, name: str, path: str) -> Iterator[str]:
    text = given.get(name)
    if text and text[-1] in "mun" and quantity.milli(text) % 1000:
        yield f'{path}[{name}]: fractional byte value "{text}" is invalid, must be an integer'


def _repeated(spec: Json, path: str) -> Iterator[str]:
    for field, key, what in (("hostAliases", "ip", "ip"), ("imagePullSecrets", "name", "name")):
        seen: set[str] = set()
        for index, item in enumerate(spec.get(field, ())):
            value = item.get(key, "")
            if value in seen:
                yield f'{path}.{field}[{index}].{key}: duplicate {what} "{value}"'
            seen.add(value)
    for index, item in enumerate(spec.get("imagePullSecrets", ())):
        if not item.get("name"):
            yield f'{path}.imagePullSecrets[{index}].name: invalid empty name ""'


def _container(container: Json, path: str) -> Iterator[str]:
    resources = container.get("resources") or {}
    for name in ("memory", "ephemeral-storage"):
        for field in ("limits", "requests"):
            yield from _fraction(resources.get(field, {}), name, f"{path}.resources.{field}")
    seen: set[str] = set()
    for index, variable in enumerate(container.get("env", ())):
        name, value = variable.get("name", ""), variable.get("value", "")
        reference = f"$({name})"
        if name in seen and ("valueFrom" in variable or value == reference or reference not in value):
            why = f'hides previous definition of "{name}", which may be dropped when using apply'
            yield f"{path}.env[{index}]: {why}"
        seen.add(name)


def _ports(spec: Json, path: str) -> Iterator[str]:
    held: dict[tuple[int, str], list[tuple[str, Json]]] = {}
    for holder, container in _containers(spec, path):
        for number, port in enumerate(container.get("ports", ())):
            here = f"{holder}.ports[{number}]"
            if port.get("hostIP") and not port.get("hostPort"):
                yield f"{here}: hostIP set without hostPort: {_as_go_prints(port)}"
            key = (port.get("containerPort", 0), port.get("protocol", ""))
            for other_path, other in held.get(key, ()):
                if word := _clash(port, other):
                    yield f"{here}: {word} port definition with {other_path}"
            held.setdefault(key, []).append((here, port))


def _clash(port: Json, other: Json) -> str:
    ip, number = port.get("hostIP") or "", port.get("hostPort") or 0
    other_ip, other_number = other.get("hostIP") or "", other.get("hostPort") or 0
    if (ip, number) == (other_ip, other_number):
        return "duplicate"
    if not number or not other_number:
        return "overlapping"
    return "dangerously ambiguous" if number == other_number and (not ip) != (not other_ip) else ""


def _as_go_prints(port: Json) -> str:
    fields = ("name", "hostPort", "containerPort", "protocol", "hostIP")
    empty = {"hostPort": 0, "containerPort": 0}
    shown = (f"{name[0].upper()}{name[1:]}:{port.get(name, empty.get(name, ''))}" for name in fields)
    return "{" + " ".join(shown) + "}"
