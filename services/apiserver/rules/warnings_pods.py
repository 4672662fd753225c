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
_OLD_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}


def pod_spec(spec: Json, meta: Json, prefix: str) -> Iterator[str]:
    path = f"{prefix}spec"
    for key in spec.get("nodeSelector", ()):
        if key in _OLD_LABELS:
            yield f"{path}.nodeSelector[{key}]: {_OLD_LABELS[key]}"
    for index, constraint in enumerate(spec.get("topologySpreadConstraints", ())):
        here, key = f"{path}.topologySpreadConstraints[{index}]", constraint.get("topologyKey")
        if key in _OLD_LABELS:
            yield f"{here}.topologyKey: {key} is {_OLD_LABELS[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{here}.labelSelector: a null labelSelector results in matching no pod"
    for key, text in _OLD_ANNOTATIONS.items():
        if key in meta.get("annotations", ()):
            yield f"{prefix}metadata.annotations[{key}]: {text}"
    for index, volume in enumerate(spec.get("volumes", ())):
        for kind in volume:
            if kind in _OLD_VOLUMES:
                yield f"{path}.volumes[{index}].{kind}: {_OLD_VOLUMES[kind]}"
    yield from _repeated(spec, path)
    for field in ("containers", "initContainers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            yield from _container(container, f"{path}.{field}[{index}]")
    yield from _ports(spec, path)


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
    resources = container.get("resources")
    if resources:
        for name in ("memory", "ephemeral-storage"):
            for field in ("limits", "requests"):
                text = resources.get(field, {}).get(name)
                if text and text[-1] in "mun" and quantity.milli(text) % 1000:
                    why = f'fractional byte value "{text}" is invalid, must be an integer'
                    yield f"{path}.resources.{field}[{name}]: {why}"
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
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            for number, port in enumerate(container.get("ports", ())):
                here = f"{path}.{field}[{index}].ports[{number}]"
                key = (port.get("containerPort", 0), port.get("protocol", ""))
                for other_path, other in held.get(key, ()):
                    same = all(port.get(name) == other.get(name) for name in ("hostIP", "hostPort"))
                    if same:
                        yield f"{here}: duplicate port definition with {other_path}"
                    elif not port.get("hostPort") or not other.get("hostPort"):
                        yield f"{here}: overlapping port definition with {other_path}"
                held.setdefault(key, []).append((here, port))
