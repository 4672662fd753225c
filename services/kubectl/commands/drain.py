"""`drain`: empties a node for maintenance, asking each Pod's disruption budget by way of eviction.

First the node is cordoned; then every Pod is judged (see `judge`), and nothing is touched unless all
may go. Upstream: kubectl's drain package.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import following
from services.kubectl.commands.cordon import nodes, set_schedulable
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Exit, quote, raise_all
from services.kubectl.flags import Flag, boolean, integer, seconds, text
from services.kubectl.output.results import DRY_RUN
from services.kubectl.resources import Found
from services.kubectl.session import Session, dry_run_suffix

Json = dict[str, Any]

RETRY_SECONDS = 5
MIRROR = "kubernetes.io/config.mirror"
FLAGS: tuple[Flag, ...] = (
    DRY_RUN,
    integer("chunk-size", "Ask for large lists in pieces of this size", default=500),
    boolean("delete-emptydir-data", "Go on although Pods lose what is in their emptyDir volumes"),
    boolean("disable-eviction", "Delete Pods without asking their disruption budgets"),
    boolean("force", "Go on although Pods have no controller and will not come back"),
    integer("grace-period", "Seconds given to each Pod; negative: its own", default=-1),
    boolean("ignore-daemonsets", "Leave Pods of DaemonSets alone"),
    text("pod-selector", "Only Pods whose labels match"),
    text("selector", "Only nodes whose labels match", short="l"),
    integer("skip-wait-for-delete-timeout", "Do not wait for Pods that are terminating for longer"),
    seconds("timeout", "How long to wait; 0: as long as it takes"),
)


@dataclass(frozen=True)
class Verdict:
    """`fatal` forbids the drain, `warning` is told; `skip` leaves the Pod where it is."""

    fatal: str = ""
    warning: str = ""
    skip: bool = False


def judge(pod: Json, flags: Any) -> Verdict:
    """What the drain means for one Pod."""
    metadata, phase = pod["metadata"], (pod.get("status") or {}).get("phase")
    finished = phase in ("Succeeded", "Failed")
    if MIRROR in (metadata.get("annotations") or {}):
        return Verdict(skip=True)
    owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None)
    if owner is not None and owner["kind"] == "DaemonSet" and not finished:
        if flags["ignore-daemonsets"]:
            return Verdict(warning="ignoring DaemonSet-managed Pods", skip=True)
        return Verdict(fatal="DaemonSet-managed Pods (use --ignore-daemonsets to ignore)")
    warning = ""
    if not finished and any("emptyDir" in volume for volume in pod["spec"].get("volumes") or ()):
        if not flags["delete-emptydir-data"]:
            return Verdict(fatal="Pods with local storage (use --delete-emptydir-data to override)")
        warning = "deleting Pods with local storage"
    if not finished and owner is None:
        if not flags["force"]:
            return Verdict(fatal="Pods that declare no controller (use --force to override)")
        warning = "deleting Pods that declare no controller"
    return Verdict(warning=warning)


async def run(session: Session) -> None:
    dry_run = session.dry_run()
    found, errors = await nodes(session, "drain")
    raise_all(errors)
    for item in found:
        await set_schedulable(session, item, cordoned=True, dry_run=dry_run)
    failed: list[tuple[Found, list[str]]] = []
    for item in found:
        try:
            await _drain(session, item, dry_run)
            session.print(f"node/{item.name} drained{dry_run_suffix(dry_run)}")
        except Undrainable as error:
            session.complain(
                f"error: unable to drain node {quote(item.name)} due to error: {error}, continuing command..."
            )
            failed.append((item, error.reasons))
    if failed:
        session.complain("There are pending nodes to be drained:")
        for item, _ in failed:
            session.complain(f" {item.name}")
        for _, reasons in failed:
            for reason in reasons:
                session.complain(reason)
        raise Exit(1)


class Undrainable(Exception):
    def __init__(self, reasons: list[str]) -> None:
        super().__init__(reasons[0] if len(reasons) == 1 else f"[{', '.join(reasons)}]")
        self.reasons = reasons


async def _drain(session: Session, node: Found, dry_run: str) -> None:
    resource = _pods()
    fields = f"spec.nodeName={node.name}"
    pods = await session.client.list(resource, fields=fields, labels=session.flags["pod-selector"])
    verdicts = [(pod, judge(pod, session.flags)) for pod in pods]
    fatal = _grouped((verdict.fatal, pod) for pod, verdict in verdicts if verdict.fatal)
    if fatal:
        raise Undrainable([f"cannot delete {reason}: {names}" for reason, names in fatal])
    warnings = _grouped((verdict.warning, pod) for pod, verdict in verdicts if verdict.warning)
    if warnings:
        session.warn("; ".join(f"{warning}: {names}" for warning, names in warnings))
    leaving = [pod for pod, verdict in verdicts if not verdict.skip]
    if dry_run == "client":
        return
    try:
        async with session.world.clock.timeout(session.flags["timeout"] or None):
            await _remove_all(session, leaving, dry_run)
    except TimeoutError as error:
        raise Undrainable(["global timeout reached: " + _go(session.flags["timeout"])]) from error


async def _remove_all(session: Session, pods: list[Json], dry_run: str) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for pod in pods:
                group.create_task(_remove(session, pod, dry_run))
    except* Undrainable as errors:
        raise Undrainable([str(error) for error in errors.exceptions]) from errors


def _go(limit: float) -> str:
    from services.machinery import duration

    return duration.go(limit)


def _pods() -> kinds.Resource:
    resource = kinds.resource_of_kind("v1", "Pod")
    assert resource is not None
    return resource


def _grouped(pairs: Iterable[tuple[str, Json]]) -> list[tuple[str, str]]:
    groups: dict[str, list[str]] = {}
    for reason, pod in pairs:
        groups.setdefault(reason, []).append(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}")
    return [(reason, ", ".join(names)) for reason, names in groups.items()]


async def _remove(session: Session, pod: Json, dry_run: str) -> None:
    """Evicts, or deletes, one Pod and waits until it is gone."""
    metadata = pod["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    grace = session.flags["grace-period"] if session.flags["grace-period"] >= 0 else None
    server_dry_run = dry_run == "server"
    if session.flags["disable-eviction"]:
        await session.client.delete(
            _pods(), name, namespace, grace_seconds=grace, dry_run=server_dry_run, propagation="Background"
        )
    else:
        session.print(f"evicting pod {namespace}/{name}{dry_run_suffix(dry_run)}")
        session.world.out.flush()
        await _evict(session, name, namespace, grace, server_dry_run)
    if server_dry_run:
        return
    await following.until_gone(session, _pods(), namespace, name, metadata.get("uid", ""))
    session.print(f"pod/{name} {'deleted' if session.flags['disable-eviction'] else 'evicted'}")
    session.world.out.flush()


async def _evict(session: Session, name: str, namespace: str, grace: int | None, dry_run: bool) -> None:
    body: Json = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }
    if grace is not None:
        body["deleteOptions"] = {"gracePeriodSeconds": grace}
    while True:
        try:
            await session.client.create(
                _pods(), body, namespace, name=name, subresource="eviction", dry_run=dry_run
            )
            return
        except ApiError as error:
            if error.reason == "NotFound":
                return
            what = f"pods/{quote(name)} -n {quote(namespace)}"
            if error.code != 429:
                raise Undrainable([f"error when evicting {what}: {error.message}"]) from error
            session.complain(
                f"error when evicting {what} (will retry after {RETRY_SECONDS}s): {error.message}"
            )
            await session.world.clock.sleep(RETRY_SECONDS)


DRAIN = Command(
    "drain",
    "drain NODE",
    "Drain node in preparation for maintenance.\n\n The given node will be marked unschedulable to prevent"
    " new pods from arriving.",
    run=run,
    flags=FLAGS,
)
