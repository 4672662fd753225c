"""Probes and lifecycle hooks: exactly one handler, and numbers that make sense."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import NOT_NEGATIVE
from services.machinery.field_errors import Causes, forbidden, invalid, not_supported, required

Json = dict[str, Any]


def port_number_or_name(port: int | str, path: str, out: Causes) -> None:
    faults = names.port_name(port) if isinstance(port, str) else names.port_number(port)
    for fault in faults:
        out.append(invalid(path, port, fault))


def probes(container: Json, path: str, out: Causes) -> None:
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is not None:
            _probe(probe, name, f"{path}.{name}", out)


def _probe(probe: Json, name: str, path: str, out: Causes) -> None:
    _handler(probe, path, None, out)
    for field in _SECONDS:
        if probe.get(field, 0) < 0:
            out.append(invalid(f"{path}.{field}", probe[field], NOT_NEGATIVE))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        out.append(invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    if name == "readinessProbe":
        if grace is not None:
            why = "must not be set for readinessProbes"
            out.append(invalid(f"{path}.terminationGracePeriodSeconds", grace, why))
    elif probe.get("successThreshold", 0) != 1:
        out.append(invalid(f"{path}.successThreshold", probe.get("successThreshold", 0), "must be 1"))


_SECONDS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")


def _handler(holder: Json, path: str, grace_seconds: int | None, out: Causes) -> None:
    seen = False
    for name in _HANDLERS:
        action = holder.get(name)
        if action is None:
            continue
        if seen:
            out.append(forbidden(f"{path}.{name}", "may not specify more than 1 handler type"))
            continue
        seen = True
        _action(name, action, f"{path}.{name}", grace_seconds, out)
    if not seen:
        out.append(required(path, "must specify a handler type"))


def _action(name: str, action: Json, path: str, grace_seconds: int | None, out: Causes) -> None:
    match name:
        case "exec":
            if not action.get("command"):
                out.append(required(f"{path}.command"))
        case "httpGet":
            _http_get(action, path, out)
        case "tcpSocket" | "grpc":
            port_number_or_name(action.get("port", 0), f"{path}.port", out)
        case "sleep":
            seconds = action.get("seconds", 0)
            if grace_seconds is not None and not 0 <= seconds <= grace_seconds:
                why = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_seconds})"
                out.append(invalid(path, seconds, why))


def _http_get(action: Json, path: str, out: Causes) -> None:
    if not action.get("path"):
        out.append(required(f"{path}.path"))
    port_number_or_name(action.get("port", 0), f"{path}.port", out)
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        out.append(not_supported(f"{path}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS")))
    for header in action.get("httpHeaders", ()):
        name = header.get("name", "")
        names.check(names.http_header_name(name), f"{path}.httpHeaders", name, out)


def lifecycle(container: Json, path: str, grace_seconds: int | None, out: Causes) -> None:
    hooks = container.get("lifecycle")
    if hooks is None:
        return
    for name in ("postStart", "preStop"):
        if hooks.get(name) is not None:
            _handler(hooks[name], f"{path}.lifecycle.{name}", grace_seconds, out)
    signal = hooks.get("stopSignal")
    if signal is not None and not signal.startswith("SIG"):
        out.append(not_supported(f"{path}.lifecycle.stopSignal", signal, ()))
