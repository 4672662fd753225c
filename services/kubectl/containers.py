"""Which Pod, and which container in it, a person means by `logs X` or `exec deploy/X`."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from services.api import kinds
from services.kubectl.errors import Fail, quote
from services.kubectl.output.labels import format_selector
from services.kubectl.resources import Found
from services.kubectl.session import Session

Json = dict[str, Any]

SELECTING = (
    *("Service", "ReplicationController", "ReplicaSet", "Deployment"),
    *("DaemonSet", "StatefulSet", "Job"),
)
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
        raise Fail(f"invalid service '{obj['metadata']['name']}': Service is defined without a selector")
    if obj["kind"] in ("Service", "ReplicationController"):
        selector = {"matchLabels": selector}
    return format_selector(selector)


async def pods_of(session: Session, found: Found, doing: str) -> list[Json]:
    """The Pod itself, or the Pods that an object selects; the ones to look at first come first.

    Waits for the first Pod as long as --pod-running-timeout says. `doing` begins what is said of a kind
    that selects none.
    """
    kind = found.resource.kind
    if kind == "Pod":
        return [found.object]
    if kind not in SELECTING:
        raise Fail(f"{doing} *v1.{kind}: selector for *v1.{kind} not implemented")
    resource = kinds.resource_of_kind("v1", "Pod")
    assert resource is not None
    selector = selector_of(found.object)
    page = await session.client.list_page(resource, found.namespace, labels=selector, limit=0)
    if page.items:
        return sorted(page.items, key=promise)
    stream = session.client.watch(
        resource, found.namespace, labels=selector, resource_version=page.resource_version
    )
    try:
        async with session.world.clock.timeout(session.flags["pod-running-timeout"]), aclosing(stream):
            async for batch in stream:
                for change in batch:
                    if change.type in ("ADDED", "MODIFIED"):
                        return [change.object]
    except TimeoutError:
        pass
    raise Fail("timed out waiting for the condition")


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
