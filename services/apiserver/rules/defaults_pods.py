"""Defaults of Pods, and of the templates that workloads make them from.

Pod templates get less than Pods: requests, host ports and service links are defaulted for Pods only.
In place, on objects in normal form; nothing changes the second time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from services.machinery import quantity

Json = dict[str, Any]

_MODE = 0o644
_ENDS = r"[a-z0-9]+"
_COMPONENT = rf"{_ENDS}(?:(?:[._]|__|-+){_ENDS})*"
_HOST = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_IMAGE = re.compile(
    rf"(?:(?:{_HOST}(?:\.{_HOST})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?"
)


def pull_policy(image: str) -> str:
    """Always for `:latest` and no tag at all; what cannot be parsed counts as tagged."""
    match = _IMAGE.fullmatch(image)
    latest = match is not None and (match["tag"] == "latest" or not (match["tag"] or match["digest"]))
    return "Always" if latest else "IfNotPresent"


def pod(obj: Json) -> None:
    spec = obj["spec"]
    for container in (*(spec.get("containers") or ()), *spec.get("initContainers", ())):
        _requests_from_limits(container.get("resources", {}))
    _pod_requests_from_limits(spec)
    spec.setdefault("enableServiceLinks", True)
    if spec.get("hostNetwork"):
        for container in (*(spec.get("containers") or ()), *spec.get("initContainers", ())):
            for port in container.get("ports", ()):
                if not port.get("hostPort"):
                    port["hostPort"] = port.get("containerPort", 0)
    pod_spec(spec)


def _requests_from_limits(resources: Json) -> None:
    limits = resources.get("limits")
    if limits:
        requests = resources.setdefault("requests", {})
        for name, limit in limits.items():
            requests.setdefault(name, limit)


def _pod_requests_from_limits(spec: Json) -> None:
    """Pod-level limits become pod-level requests, unless the containers ask for something themselves."""
    resources = spec.get("resources")
    if not resources or not resources.get("limits"):
        return
    requests = resources.get("requests", {})
    for name, limit in resources["limits"].items():
        if name in ("cpu", "memory") or name.startswith("hugepages-"):
            asked = [
                container.get("resources", {}).get("requests", {}).get(name)
                for container in spec.get("containers") or ()
            ]
            total = sum(quantity.parse(text) for text in asked if text)
            requests.setdefault(name, quantity.format(total) if total else limit)
    if requests:
        resources["requests"] = requests


def pod_spec(spec: Json) -> None:
    """What Pods and Pod templates share."""
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:  # The old name of the field is kept equal to the new one.
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for container in spec.get("containers") or ():
        _container(container)
    for container in spec.get("initContainers", ()):
        _container(container)
    for container in spec.get("ephemeralContainers", ()):
        _container(container)
    for volume in spec.get("volumes", ()):
        _volume(volume)
    if "overhead" in spec:
        round_up(spec["overhead"])
    if "resources" in spec:
        _resource_requirements(spec["resources"])


def template(holder: Json) -> None:
    found = holder.get("template")
    if found:
        pod_spec(found["spec"])


def _container(container: Json) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    _resource_requirements(container.setdefault("resources", {}))
    for port in container.get("ports", ()):
        port.setdefault("protocol", "TCP")
    for variable in container.get("env", ()):
        source = variable.get("valueFrom")
        if source:
            _field_reference(source)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is not None:
            _probe(probe)
    lifecycle = container.get("lifecycle")
    if lifecycle:
        for hook in ("postStart", "preStop"):
            _http_get(lifecycle.get(hook))


def _resource_requirements(resources: Json) -> None:
    for name in ("limits", "requests"):
        if name in resources:
            round_up(resources[name])


def round_up(resources: Json) -> None:
    """Nothing is counted finer than a thousandth."""
    for name, text in resources.items():
        if text.endswith(("n", "u")):
            resources[name] = quantity.canonical(f"{quantity.milli(text)}m")


def _field_reference(holder: Json) -> None:
    reference = holder.get("fieldRef")
    if reference is not None and not reference.get("apiVersion"):
        reference["apiVersion"] = "v1"


def _probe(probe: Json) -> None:
    # Zero counts as unset for all of these, so they are absent when it was sent.
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    _http_get(probe)
    if probe.get("grpc") is not None:
        probe["grpc"].setdefault("service", "")


def _http_get(handler: Json | None) -> None:
    action = handler and handler.get("httpGet")
    if action:
        action.setdefault("path", "/")
        action.setdefault("scheme", "HTTP")


def _volume(volume: Json) -> None:
    if len(volume) == 1:  # Only its name.
        volume["emptyDir"] = {}
    for kind, value in volume.items():
        known = VOLUMES.get(kind)
        if known:
            known(value)


def _with_mode(source: Json) -> None:
    source.setdefault("defaultMode", _MODE)


def _downward(source: Json) -> None:
    source.setdefault("defaultMode", _MODE)
    for item in source.get("items", ()):
        _field_reference(item)


def _projected(source: Json) -> None:
    source.setdefault("defaultMode", _MODE)
    for projection in source.get("sources") or ():
        for item in (projection.get("downwardAPI") or {}).get("items", ()):
            _field_reference(item)
        token = projection.get("serviceAccountToken")
        if token is not None:
            token.setdefault("expirationSeconds", 3600)


def _filling(**values: Any) -> Callable[[Json], None]:
    def fill(source: Json) -> None:
        for name, value in values.items():
            source.setdefault(name, value)

    return fill


def _ephemeral(source: Json) -> None:
    claim = source.get("volumeClaimTemplate")
    if claim:
        claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def _image(source: Json) -> None:
    if not source.get("pullPolicy"):
        source["pullPolicy"] = pull_policy(source.get("reference", ""))


VOLUMES: dict[str, Callable[[Json], None]] = {
    "secret": _with_mode,
    "configMap": _with_mode,
    "downwardAPI": _downward,
    "projected": _projected,
    "hostPath": _filling(type=""),
    "iscsi": _filling(iscsiInterface="default"),
    "rbd": _filling(pool="rbd", user="admin", keyring="/etc/ceph/keyring"),
    "azureDisk": _filling(cachingMode="ReadWrite", kind="Shared", fsType="ext4", readOnly=False),
    "scaleIO": _filling(storageMode="ThinProvisioned", fsType="xfs"),
    "ephemeral": _ephemeral,
    "image": _image,
}
