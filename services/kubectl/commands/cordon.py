"""`cordon` and `uncordon`: whether the scheduler may put Pods on a node."""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.client.transport import PatchType
from services.kubectl import resources
from services.kubectl.commands.registry import Command
from services.kubectl.errors import raise_all
from services.kubectl.flags import Flag, text
from services.kubectl.output.results import DRY_RUN
from services.kubectl.resources import Found, Wanted
from services.kubectl.session import Session, dry_run_suffix

Json = dict[str, Any]

FLAGS: tuple[Flag, ...] = (DRY_RUN, text("selector", "Only nodes whose labels match", short="l"))


def node_resource() -> kinds.Resource:
    resource = kinds.resource_of_kind("v1", "Node")
    assert resource is not None
    return resource


async def nodes(session: Session, verb: str) -> tuple[list[Found], list[Exception]]:
    """The nodes that the line names or selects."""
    selector = session.flags["selector"]
    if not session.args and not selector:
        raise session.usage_error(f"USAGE: {verb} NODE [flags]")
    if session.args and selector:
        raise session.usage_error("error: cannot specify both a node name and a --selector option")
    resource = node_resource()
    names = [arg.partition("/")[2] or arg for arg in session.args]
    wanted = [Wanted(resource, name) for name in names] or [Wanted(resource)]
    return await resources.fetch(session, wanted, labels=selector)


async def set_schedulable(session: Session, item: Found, *, cordoned: bool, dry_run: str) -> None:
    """Marks a node, and says what it was if nothing is to be done."""
    word = "cordoned" if cordoned else "uncordoned"
    if bool((item.object.get("spec") or {}).get("unschedulable")) == cordoned:
        session.print(f"node/{item.name} already {word}{dry_run_suffix(dry_run)}")
        return
    if dry_run != "client":
        await session.client.patch(
            item.resource,
            item.name,
            "",
            {"spec": {"unschedulable": True if cordoned else None}},
            patch_type=PatchType.STRATEGIC,
            dry_run=dry_run == "server",
        )
    session.print(f"node/{item.name} {word}{dry_run_suffix(dry_run)}")


async def _run(session: Session, *, cordoned: bool) -> None:
    dry_run = session.dry_run()
    found, errors = await nodes(session, "cordon" if cordoned else "uncordon")
    for item in found:
        try:
            await set_schedulable(session, item, cordoned=cordoned, dry_run=dry_run)
        except ApiError as error:
            errors.append(error)
    raise_all(errors)


async def cordon(session: Session) -> None:
    await _run(session, cordoned=True)


async def uncordon(session: Session) -> None:
    await _run(session, cordoned=False)


CORDON = Command("cordon", "cordon NODE", "Mark node as unschedulable.", run=cordon, flags=FLAGS)
UNCORDON = Command("uncordon", "uncordon NODE", "Mark node as schedulable.", run=uncordon, flags=FLAGS)
