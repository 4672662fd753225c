"""Containers inside a description: image, ports, state, resources, probes, environment, mounts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from services.kubectl.describe.writer import Writer, boolean, rfc1123
from services.kubectl.errors import quote
from services.machinery import quantity

Json = dict[str, Any]
Resolve = Callable[[Json], str]  # the value of a fieldRef


def describe(
    writer: Writer,
    title: str,
    containers: Iterable[Json],
    statuses: Iterable[Json],
    resolve: Resolve,
    space: str = "",
) -> None:
    containers = list(containers)
    known = {status["name"]: status for status in statuses}
    writer.write(0, f"{space}{title}:{'' if containers else ' <none>'}\n")
    for container in containers:
        status = known.get(container["name"])
        _basics(writer, container, status, space)
        _command(writer, container)
        if status is not None:
            _state(writer, status)
        resources(writer, 2, container.get("resources") or {})
        for field, title in (
            ("livenessProbe", "Liveness"),
            ("readinessProbe", "Readiness"),
            ("startupProbe", "Startup"),
        ):
            if container.get(field):
                writer.line(2, f"{title}:", probe(container[field]))
        _environment_from(writer, container)
        _environment(writer, container, resolve)
        _mounts(writer, container)


def _basics(writer: Writer, container: Json, status: Json | None, space: str) -> None:
    writer.write(1, f"{' ' if space else ''}{container['name']}:\n")
    if status is not None:
        writer.line(2, "Container ID:", status.get("containerID", ""))
    writer.line(2, "Image:", container.get("image", ""))
    if status is not None:
        writer.line(2, "Image ID:", status.get("imageID", ""))
    for field, title in (("containerPort", "Port"), ("hostPort", "Host Port")):
        ports = ", ".join(_port(port, field) for port in container.get("ports") or ())
        writer.line(2, f"{title}s:" if "," in ports else f"{title}:", ports or "<none>")
    profile = (container.get("securityContext") or {}).get("seccompProfile")
    if profile:
        writer.line(2, "SeccompProfile:", profile["type"])
        if profile["type"] == "Localhost":
            writer.line(3, "LocalhostProfile:", profile.get("localhostProfile", ""))


def _port(port: Json, field: str) -> str:
    text = f"{port.get(field, 0)}/{port.get('protocol', 'TCP')}"
    return f"{text} ({port['name']})" if port.get("name") else text


def _command(writer: Writer, container: Json) -> None:
    for field, title in (("command", "Command"), ("args", "Args")):
        if container.get(field):
            writer.write(2, f"{title}:\n")
            for word in container[field]:
                for row in word.split("\n"):
                    writer.write(3, f"{row}\n")


def _state(writer: Writer, status: Json) -> None:
    _one_state(writer, "State", status.get("state") or {})
    last = status.get("lastState") or {}
    if last.get("terminated"):
        _one_state(writer, "Last State", last)
    writer.line(2, "Ready:", "True" if status.get("ready") else "False")
    writer.line(2, "Restart Count:", status.get("restartCount", 0))


def _one_state(writer: Writer, title: str, state: Json) -> None:
    if state.get("running") is not None:
        writer.line(2, f"{title}:", "Running")
        writer.line(3, "Started:", rfc1123(state["running"].get("startedAt")))
        return
    terminated = state.get("terminated")
    if terminated is None:
        writer.line(2, f"{title}:", "Waiting")
        if (state.get("waiting") or {}).get("reason"):
            writer.line(3, "Reason:", state["waiting"]["reason"])
        return
    writer.line(2, f"{title}:", "Terminated")
    for field, name in (("reason", "Reason:"), ("message", "Message:")):
        if terminated.get(field):
            writer.line(3, name, terminated[field])
    writer.line(3, "Exit Code:", terminated.get("exitCode", 0))
    if terminated.get("signal"):
        writer.line(3, "Signal:", terminated["signal"])
    writer.line(3, "Started:", rfc1123(terminated.get("startedAt")))
    writer.line(3, "Finished:", rfc1123(terminated.get("finishedAt")))


def resources(writer: Writer, level: int, values: Mapping[str, Any]) -> None:
    for field, title in (("limits", "Limits"), ("requests", "Requests")):
        amounts = values.get(field) or {}
        if amounts:
            writer.write(level, f"{title}:\n")
        for name, amount in sorted(amounts.items()):
            writer.line(level + 1, f"{name}:", amount)


def probe(values: Json) -> str:
    """One line: what is asked, and how patiently."""
    attributes = (
        f"delay={values.get('initialDelaySeconds', 0)}s timeout={values.get('timeoutSeconds', 0)}s"
        f" period={values.get('periodSeconds', 0)}s #success={values.get('successThreshold', 0)}"
        f" #failure={values.get('failureThreshold', 0)}"
    )
    if "exec" in values:
        return f"exec [{' '.join(values['exec'].get('command') or ())}] {attributes}"
    if get := values.get("httpGet"):
        path = get.get("path", "")
        url = f"{get.get('scheme', '').lower()}://{get.get('host', '')}:{get['port']}"
        return f"http-get {url}{path if path.startswith('/') or not path else '/' + path} {attributes}"
    if socket := values.get("tcpSocket"):
        return f"tcp-socket {socket.get('host', '')}:{socket['port']} {attributes}"
    if grpc := values.get("grpc"):
        return f"grpc <pod>:{grpc['port']} {grpc.get('service') or ''} {attributes}"
    return f"unknown {attributes}"


def _environment_from(writer: Writer, container: Json) -> None:
    sources = container.get("envFrom") or ()
    if not sources:
        return
    writer.write(2, "Environment Variables from:\n")
    for source in sources:
        kind = "ConfigMap" if source.get("configMapRef") else "Secret"
        reference = source.get("configMapRef") or source.get("secretRef") or {}
        prefix = f" with prefix '{source['prefix']}'" if source.get("prefix") else ""
        optional = f"Optional: {boolean(reference.get('optional'))}"
        writer.line(3, reference.get("name", ""), f"{kind}{prefix}", optional)


def _environment(writer: Writer, container: Json, resolve: Resolve) -> None:
    entries = container.get("env") or ()
    writer.write(2, "Environment:\n" if entries else "Environment:\t<none>\n")
    for entry in entries:
        name, source = entry["name"], entry.get("valueFrom")
        if not source:
            first, *rest = entry.get("value", "").split("\n")
            writer.line(3, f"{name}:", first)
            for row in rest:
                writer.line(3, "", row)
        elif field := source.get("fieldRef"):
            where = f"({field.get('apiVersion', 'v1')}:{field['fieldPath']})"
            writer.line(3, f"{name}:", f"{resolve(field)} {where}")
        elif field := source.get("resourceFieldRef"):
            writer.line(3, f"{name}:", f"{_amount(field, container)} ({field['resource']})")
        elif key := source.get("secretKeyRef"):
            text = f"<set to the key '{key['key']}' in secret '{key['name']}'>"
            writer.line(3, f"{name}:", text, f"Optional: {boolean(key.get('optional'))}")
        elif key := source.get("configMapKeyRef"):
            text = f"<set to the key '{key['key']}' of config map '{key['name']}'>"
            writer.line(3, f"{name}:", text, f"Optional: {boolean(key.get('optional'))}")


def _amount(field: Json, container: Json) -> str:
    """What a resourceFieldRef gives the container: divided, rounded up."""
    which, _, name = field["resource"].partition(".")
    amounts = (container.get("resources") or {}).get(which) or {}
    divisor = quantity.parse(field.get("divisor") or "1") or 1
    value = quantity.parse(amounts.get(name, "0"))
    text = str(-(-value // divisor))
    return (
        "node allocatable" if text == "0" and field["resource"] in ("limits.cpu", "limits.memory") else text
    )


def _mounts(writer: Writer, container: Json) -> None:
    mounts = sorted(container.get("volumeMounts") or (), key=lambda mount: mount["mountPath"])
    writer.write(2, "Mounts:\n" if mounts else "Mounts:\t<none>\n")
    for mount in mounts:
        words = ["ro" if mount.get("readOnly") else "rw"]
        if mount.get("subPath"):
            words.append(f"path={quote(mount['subPath'])}")
        writer.write(3, f"{mount['mountPath']} from {mount['name']} ({','.join(words)})\n")
    devices = sorted(container.get("volumeDevices") or (), key=lambda device: device["devicePath"])
    if devices:
        writer.write(2, "Devices:\n")
    for device in devices:
        writer.write(3, f"{device['devicePath']} from {device['name']}\n")
