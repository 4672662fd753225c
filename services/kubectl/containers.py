"""Which Pod, and which container in it, a person means by `logs X` or `exec deploy/X`."""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.kubectl.errors import Fail, quote
from services.kubectl.output.labels import format_selector
from services.kubectl.resources import Found
from services.kubectl.session import Session

Json = dict[str, Any]

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def names(pod: Json) -> list[str]:
    """Every container: regular ones first, then init and ephemeral ones, as kubectl lists them."""
    spec = pod.get("spec") or {}
    return [
        *(container["name"] for container in spec.get("containers") or ()),
        *(f"{container['name']} (init)" for container in spec.get("initContainers") or ()),
        *(f"{container['name']} (ephem)" for container in spec.get("ephemeralContainers") or ()),
    ]


def plain_names(pod: Json) -> list[str]:
    return [name.partition(" ")[0] for name in names(pod)]


def default(session: Session, pod: Json, *, quiet: bool = False) -> str:
    """The container meant when none is named; says so where there was a choice."""
    name = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER, "")
    if name in plain_names(pod):
        return str(name)
    if name and not quiet:
        session.complain(f"Default container name {quote(name)} not found in pod {pod['metadata']['name']}")
    first = plain_names(pod)[0]
    if len(names(pod)) > 1 and not quiet:
        session.complain(f"Defaulted container {quote(first)} out of: {', '.join(names(pod))}")
    return first


def selector_of(obj: Json) -> str:
    """The label selector of the Pods that belong to an object."""
    selector = (obj.get("spec") or {}).get("selector")
    if not selector:
        raise Fail(f"invalid service {obj['metadata']['name']!r}: Service is defined without a selector")
    if obj["kind"] in ("Service", "ReplicationController"):
        selector = {"matchLabels": selector}
    return format_selector(selector)


async def pods_of(session: Session, found: Found) -> list[Json]:
    """The Pod itself, or the Pods that an object selects; the ones to look at first come first."""
    if found.resource.kind == "Pod":
        return [found.object]
    if found.resource.kind not in ("Service", "ReplicationController", "ReplicaSet", "Deployment"):
        raise Fail(
            f"cannot get the logs from *v1.{found.resource.kind}: selector for {found.resource.kind}"
            " not implemented"
        )
    resource = kinds.resource_of_kind("v1", "Pod")
    assert resource is not None
    pods = await session.client.list(resource, found.namespace, labels=selector_of(found.object))
    return sorted(pods, key=promise)


def promise(pod: Json) -> tuple[bool, int, bool, str]:
    """Scheduled, running, ready Pods first, older before newer."""
    status = pod.get("status") or {}
    phase = {"Running": 0, "Unknown": 1, "Pending": 2}.get(status.get("phase", ""), 3)
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    return (
        not (pod.get("spec") or {}).get("nodeName"),
        phase,
        not ready,
        pod["metadata"].get("creationTimestamp") or "",
    )
