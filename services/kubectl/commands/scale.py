"""`scale`: how many Pods a controller keeps, through its scale subresource."""

from __future__ import annotations

from typing import Any

from services.api.errors import resource_unknown
from services.kubectl import following, manifests, resources
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, quote, raise_all
from services.kubectl.flags import Flag, boolean, integer, seconds, text, texts
from services.kubectl.output.results import DRY_RUN, PRINT_FLAGS, Results
from services.kubectl.resources import Found
from services.kubectl.session import Session

Json = dict[str, Any]

FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    DRY_RUN,
    boolean("all", "Every object of the kind in the namespace"),
    integer("current-replicas", "Only scale when it is this many now", default=-1),
    texts("filename", "Files that name the objects", short="f"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    integer("replicas", "How many from now on", required=True),
    text("resource-version", "Only scale when this is the current version"),
    text("selector", "Only objects whose labels match", short="l"),
    seconds("timeout", "How long to wait until the controller has seen it; 0: do not wait"),
)


async def run(session: Session) -> None:
    flags = session.flags
    if flags["replicas"] < 0:
        raise Fail("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
    if flags["current-replicas"] < -1:
        raise Fail("The --current-replicas must specify an integer of -1 or greater")
    dry_run = session.dry_run()
    results = Results(session, "scaled", dry_run)
    found, errors = await _targets(session)
    if not found:
        if errors:
            raise Fail(f"no objects passed to scale {errors[0]}")
        raise Fail("no objects passed to scale")
    for item in found:
        if dry_run != "client":
            await _scale(session, item, dry_run)
        results.show(item.object)
    raise_all(errors)


async def _targets(session: Session) -> tuple[list[Found], list[Exception]]:
    flags = session.flags
    if flags["filename"]:
        wanted = manifests.references(session)
    else:
        wanted = resources.parse(session, session.args, collections=bool(flags["all"] or flags["selector"]))
    return await resources.fetch(session, wanted, labels=flags["selector"])


async def _scale(session: Session, item: Found, dry_run: str) -> None:
    flags, client = session.flags, session.client
    if not any(subresource.name == "scale" for subresource in item.resource.subresources):
        raise resource_unknown()
    patch: Json = {"spec": {"replicas": flags["replicas"]}}
    if flags["current-replicas"] >= 0 or flags["resource-version"]:
        scale = await client.get(item.resource, item.name, item.namespace, subresource="scale")
        actual = scale["spec"].get("replicas", 0)
        if flags["current-replicas"] >= 0 and actual != flags["current-replicas"]:
            raise Fail(f"Expected replicas to be {flags['current-replicas']}, was {actual}")
        version = scale["metadata"]["resourceVersion"]
        if flags["resource-version"] and version != flags["resource-version"]:
            raise Fail(f"Expected resource version to be {flags['resource-version']}, was {version}")
        patch["metadata"] = {"resourceVersion": version}
    await client.patch(
        item.resource, item.name, item.namespace, patch, subresource="scale", dry_run=dry_run == "server"
    )
    if flags["timeout"] > 0 and dry_run == "none":
        await _wait(session, item)


async def _wait(session: Session, item: Found) -> None:
    wanted = session.flags["replicas"]
    try:
        async with session.world.clock.timeout(session.flags["timeout"]):
            async for obj in following.states(session, item.resource, item.namespace, item.name):
                status = (obj or {}).get("status") or {}
                if obj is None or status.get("replicas", 0) == wanted:
                    return
    except TimeoutError as error:
        raise Fail(f"timed out waiting for {quote(item.name)} to be synced") from error


SCALE = Command(
    "scale",
    "scale [--resource-version=version] [--current-replicas=count] --replicas=COUNT (-f FILENAME |"
    " TYPE NAME)",
    "Set a new size for a deployment, replica set, or replication controller.",
    run=run,
    flags=FLAGS,
    examples="""
  # Three Pods
  {program} scale rc kubia --replicas=3

  # Only if there are two now
  {program} scale --current-replicas=2 --replicas=3 deployment/kubia
""",
)
