"""Where a Pod's container can be reached: what must hold before a node is asked. Pure.

Upstream: `pkg/registry/core/pod/strategy.go` LogLocation, ExecLocation, PortForwardLocation.
"""

from __future__ import annotations

from typing import Any

from services.api import errors
from services.machinery.clock import parse_time

Json = dict[str, Any]
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def container_of(pod: Json, wanted: str) -> str:
    """The container that is meant. ApiError (400) where the Pod has none such, or too many to choose."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    plain = [each["name"] for each in spec.get("containers") or []]
    initial = [each["name"] for each in spec.get("initContainers") or []]
    ephemeral = [each["name"] for each in spec.get("ephemeralContainers") or []]
    if wanted:
        if wanted not in (*plain, *initial, *ephemeral):
            raise errors.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    default = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER, "")
    if default in plain:
        return str(default)
    if len(plain) == 1:
        return str(plain[0])
    message = f"a container name must be specified for pod {name}, choose one of: [{' '.join(plain)}]"
    if initial:
        message += f" or one of the init containers: [{' '.join(initial)}]"
    if ephemeral:
        message += f" or one of the ephemeral containers: [{' '.join(ephemeral)}]"
    raise errors.bad_request(message)


def node_for_streams(pod: Json, *, command: bool) -> str:
    """The node of a Pod for exec, attach (`command`) or port-forward. ApiError 400."""
    name, phase = pod["metadata"]["name"], (pod.get("status") or {}).get("phase", "")
    if command and phase in ("Succeeded", "Failed"):
        raise errors.bad_request(f"cannot exec into a container in a completed pod; current phase is {phase}")
    node = pod["spec"].get("nodeName", "")
    if not node:
        raise errors.bad_request(f"pod {name} does not have a host assigned")
    return str(node)


def address_of(node: Json) -> str:
    """Where the kubelet of a node listens, "host:port". ApiError 500 where the node does not say."""
    status = node.get("status") or {}
    addresses = {each.get("type"): each.get("address") for each in reversed(status.get("addresses") or [])}
    host = addresses.get("InternalIP") or addresses.get("Hostname") or addresses.get("ExternalIP")
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port")
    if not host or not port:
        kinds = "[InternalIP Hostname ExternalIP]"
        raise errors.internal(
            f"no preferred addresses found for node {node['metadata']['name']}; known addresses: {kinds}"
        )
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_log_options(
    pod: str,
    *,
    tail_lines: int | None,
    since_seconds: int | None,
    limit_bytes: int | None,
    since_time: str,
) -> None:
    """ApiError 422, or 400 where the time cannot be read."""
    if since_time:
        try:
            parse_time(since_time)
        except ValueError:
            shown = f'"{since_time}" as "2006-01-02T15:04:05Z07:00": cannot parse "{since_time}" as "2006"'
            raise errors.bad_request(f"parsing time {shown}") from None
    causes = []
    if tail_lines is not None and tail_lines < 0:
        causes.append(_invalid("tailLines", tail_lines, "must be greater than or equal to 0"))
    if limit_bytes is not None and limit_bytes < 1:
        causes.append(_invalid("limitBytes", limit_bytes, "must be greater than 0"))
    if since_seconds is not None and since_time:
        message = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        causes.append({"reason": "FieldValueForbidden", "message": message, "field": ""})
    elif since_seconds is not None and since_seconds < 1:
        causes.append(_invalid("sinceSeconds", since_seconds, "must be greater than 0"))
    if causes:
        raise errors.invalid("", "PodLogOptions", pod, causes)


def _invalid(field: str, value: int, rule: str) -> errors.Cause:
    return {"reason": "FieldValueInvalid", "message": f"Invalid value: {value}: {rule}", "field": field}
