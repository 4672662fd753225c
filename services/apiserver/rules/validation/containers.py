"""Containers of all three sorts: regular, init (sidecars among them) and ephemeral."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.apiserver.rules.validation import environment, names, probes, resources, security
from services.apiserver.rules.validation.paths import local_descending_path
from services.apiserver.rules.validation.volumes import Volumes
from services.machinery.field_errors import (
    Causes,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
)

Json = dict[str, Any]

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_EPHEMERAL_FIELDS = frozenset(
    [
        "name",
        "image",
        "command",
        "args",
        "workingDir",
        "envFrom",
        "env",
        "volumeMounts",
        "volumeDevices",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "imagePullPolicy",
        "securityContext",
        "stdin",
        "stdinOnce",
        "tty",
        "targetContainerName",
    ]
)


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What a container's own rules need to know of its Pod."""

    volumes: Volumes
    claims: frozenset[str]
    grace_seconds: int | None
    restart_policy: str
    host_users: bool


def regular(containers: list[Json], pod: PodFacts, path: str, out: Causes) -> None:
    if not containers:
        out.append(required(path))
        return
    seen: set[str] = set()
    for index, container in enumerate(containers):
        here, name = f"{path}[{index}]", container.get("name", "")
        _common(container, pod, here, out)
        if name in seen:
            out.append(duplicate(f"{here}.name", name))
        seen.add(name)
        probes.lifecycle(container, here, pod.grace_seconds, out)
        probes.probes(container, here, out)
        _restart_rules(container, here, out)
    _host_ports(containers, path, out)


def _restart_rules(container: Json, path: str, out: Causes) -> None:
    """A container's own restart policy, with the exit codes that it is for."""
    policy = container.get("restartPolicy")
    allowed = ("Always", "Never", "OnFailure")
    if policy is not None and policy not in allowed:
        out.append(not_supported(f"{path}.restartPolicy", policy, allowed))
    rules = container.get("restartPolicyRules", ())
    if rules and policy is None:
        why = "must specify restartPolicy when restart rules are used"
        out.append(required(f"{path}.restartPolicy", why))


def init(containers: list[Json], others: list[Json], pod: PodFacts, path: str, out: Causes) -> None:
    seen = {container.get("name", "") for container in others}
    for index, container in enumerate(containers):
        here, name = f"{path}[{index}]", container.get("name", "")
        _common(container, pod, here, out)
        policy = container.get("restartPolicy")
        if policy is not None and policy not in ("Always", "Never", "OnFailure"):
            out.append(not_supported(f"{here}.restartPolicy", policy, ("Always", "Never", "OnFailure")))
        if name in seen:
            out.append(duplicate(f"{here}.name", name))
        elif name:
            seen.add(name)
        _host_ports([container], path, out)
        if policy == "Always":
            probes.lifecycle(container, here, pod.grace_seconds, out)
            probes.probes(container, here, out)
            continue
        for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
            if container.get(field) is not None:
                why = "may not be set for init containers without restartPolicy=Always"
                out.append(forbidden(f"{here}.{field}", why))


def ephemeral(containers: list[Json], others: list[Json], pod: PodFacts, path: str, out: Causes) -> None:
    regular_names = {container.get("name", "") for container in others}
    seen = set(regular_names)
    for index, container in enumerate(containers):
        here, name = f"{path}[{index}]", container.get("name", "")
        _common(container, pod, here, out)
        untrimmed_image(container, here, out)
        if name in seen:
            out.append(duplicate(f"{here}.name", name))
        seen.add(name)
        target = container.get("targetContainerName")
        if target and target not in regular_names:
            out.append(not_found(f"{here}.targetContainerName", target))
        why = "cannot be set for an Ephemeral Container"
        for field, value in container.items():
            if field not in _EPHEMERAL_FIELDS and value:
                out.append(forbidden(f"{here}.{field}", why))
        for number, mount in enumerate(container.get("volumeMounts", ())):
            for field in ("subPath", "subPathExpr"):
                if mount.get(field):
                    out.append(forbidden(f"{here}.volumeMounts[{number}].{field}", why))


def untrimmed_image(container: Json, path: str, out: Causes) -> None:
    """For Pods only: templates were once allowed to hold such images."""
    image = container.get("image", "")
    if image != image.strip():
        out.append(invalid(f"{path}.image", image, "must not have leading or trailing whitespace"))


def _common(container: Json, pod: PodFacts, path: str, out: Causes) -> None:
    name = container.get("name", "")
    if not name:
        out.append(required(f"{path}.name"))
    elif faults := names.dns1123_label(name):
        names.check(faults, f"{path}.name", name, out)
    if not container.get("image"):
        out.append(required(f"{path}.image"))
    policy = container.get("terminationMessagePolicy", "")
    if policy not in ("File", "FallbackToLogsOnError"):
        supported = ("File", "FallbackToLogsOnError")
        out.append(not_supported(f"{path}.terminationMessagePolicy", policy, supported))
    if "ports" in container:
        _ports(container["ports"], f"{path}.ports", out)
    if "env" in container:
        environment.variables(container["env"], f"{path}.env", out)
    if "envFrom" in container:
        environment.sources(container["envFrom"], f"{path}.envFrom", out)
    if "volumeMounts" in container:
        _mounts(container, pod.volumes, f"{path}.volumeMounts", out)
    if "volumeDevices" in container:
        _devices(container, pod.volumes, f"{path}.volumeDevices", out)
    pull_policy = container.get("imagePullPolicy", "")
    if pull_policy not in _PULL_POLICIES:
        out.append(not_supported(f"{path}.imagePullPolicy", pull_policy, _PULL_POLICIES))
    resources.requirements(container.get("resources", {}), f"{path}.resources", pod.claims, out)
    if "resizePolicy" in container:
        _resize_policy(container["resizePolicy"], pod.restart_policy, f"{path}.resizePolicy", out)
    security.container(container.get("securityContext"), f"{path}.securityContext", pod.host_users, out)


def _ports(ports: list[Json], path: str, out: Causes) -> None:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        here, name, number = f"{path}[{index}]", port.get("name"), port.get("containerPort", 0)
        if name:
            if faults := names.port_name(name):
                names.check(faults, f"{here}.name", name, out)
            elif name in seen:
                out.append(duplicate(f"{here}.name", name))
            seen.add(name)
        if not number:
            out.append(required(f"{here}.containerPort"))
        for field in ("containerPort", "hostPort"):
            value = port.get(field, 0)
            if value and not 1 <= value <= 65535:
                out.append(invalid(f"{here}.{field}", value, names.port_number(value)[0]))
        protocol = port.get("protocol", "")
        if not protocol:
            out.append(required(f"{here}.protocol"))
        elif protocol not in _PROTOCOLS:
            out.append(not_supported(f"{here}.protocol", protocol, _PROTOCOLS))


def _host_ports(containers: list[Json], path: str, out: Causes) -> None:
    seen: set[str] = set()
    for index, container in enumerate(containers):
        for number, port in enumerate(container.get("ports", ())):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if key in seen:
                out.append(duplicate(f"{path}[{index}].ports[{number}].hostPort", key))
            seen.add(key)


def _mounts(container: Json, volumes: Volumes, path: str, out: Causes) -> None:
    devices = container.get("volumeDevices", ())
    seen: set[str] = set()
    for index, mount in enumerate(container["volumeMounts"]):
        here, name, where = f"{path}[{index}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            out.append(required(f"{here}.name"))
        if name not in volumes:
            out.append(not_found(f"{here}.name", name))
        if not where:
            out.append(required(f"{here}.mountPath"))
        if where in seen:
            out.append(invalid(f"{here}.mountPath", where, "must be unique"))
        seen.add(where)
        for device in devices:
            if device.get("name") == name:
                out.append(invalid(f"{here}.name", name, "must not already exist in volumeDevices"))
            if device.get("devicePath") == where:
                why = "must not already exist as a path in volumeDevices"
                out.append(invalid(f"{here}.mountPath", where, why))
        if len(mount) > 2:
            _mount_options(mount, volumes.get(name, {}), container, path, here, out)


def _mount_options(mount: Json, volume: Json, container: Json, path: str, here: str, out: Causes) -> None:
    sub_path, expression = mount.get("subPath"), mount.get("subPathExpr")
    if sub_path:
        local_descending_path(sub_path, f"{path}.subPath", out)
    if expression:
        if sub_path:
            why = "subPathExpr and subPath are mutually exclusive"
            out.append(invalid(f"{here}.subPathExpr", expression, why))
        local_descending_path(expression, f"{path}.subPathExpr", out)
    propagation = mount.get("mountPropagation")
    if propagation is not None:
        allowed = ("Bidirectional", "HostToContainer", "None")
        privileged = (container.get("securityContext") or {}).get("privileged")
        if propagation not in allowed:
            out.append(not_supported(f"{path}.mountPropagation", propagation, allowed))
        elif propagation == "Bidirectional" and not privileged:
            why = "Bidirectional mount propagation is available only to privileged containers"
            out.append(forbidden(f"{path}.mountPropagation", why))
    recursive = mount.get("recursiveReadOnly")
    if recursive not in (None, "Disabled"):
        where = f"{path}.recursiveReadOnly"
        if recursive not in ("Enabled", "IfPossible"):
            out.append(not_supported(where, recursive, ("Disabled", "Enabled", "IfPossible")))
        elif not mount.get("readOnly"):
            out.append(forbidden(where, "may only be specified when readOnly is true"))


def _devices(container: Json, volumes: Volumes, path: str, out: Causes) -> None:
    seen_names: set[str] = set()
    seen_paths: set[str] = set()
    for index, device in enumerate(container["volumeDevices"]):
        here, name, where = f"{path}[{index}]", device.get("name", ""), device.get("devicePath", "")
        if not name:
            out.append(required(f"{here}.name"))
        if name in seen_names:
            out.append(invalid(f"{here}.name", name, "must be unique"))
        volume = volumes.get(name)
        if volume is None:
            out.append(not_found(f"{here}.name", name))
        elif "persistentVolumeClaim" not in volume and "ephemeral" not in volume:
            why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            out.append(invalid(f"{here}.name", name, why))
        if not where:
            out.append(required(f"{here}.devicePath"))
        if where in seen_paths:
            out.append(invalid(f"{here}.devicePath", where, "must be unique"))
        if ".." in where.split("/"):
            out.append(invalid(f"{here}.devicePath", where, "can not contain backsteps ('..')"))
        seen_names.add(name)
        seen_paths.add(where)
        for mount in container.get("volumeMounts", ()):
            if mount.get("name") == name:
                out.append(invalid(f"{here}.name", name, "must not already exist in volumeMounts"))


def _resize_policy(policies: list[Json], restart_policy: str, path: str, out: Causes) -> None:
    seen: set[str] = set()
    allowed = ("NotRequired", "RestartContainer")
    for index, policy in enumerate(policies):
        resource, action = policy.get("resourceName", ""), policy.get("restartPolicy", "")
        if resource in seen:
            out.append(duplicate(f"{path}[{index}]", resource))
        seen.add(resource)
        if not resource:
            out.append(required(path))
        elif resource not in ("cpu", "memory"):
            out.append(not_supported(path, resource, ("cpu", "memory")))
        if not action:
            out.append(required(path))
        elif action not in allowed:
            out.append(not_supported(path, action, allowed))
        if restart_policy == "Never" and action != "NotRequired":
            why = "must be 'NotRequired' when `restartPolicy` is 'Never'"
            out.append(invalid(path, action, why))
