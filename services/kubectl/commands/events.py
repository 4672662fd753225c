"""`events`: what happened, oldest first; for one object with --for, and as it happens with --watch."""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.kubectl import resources, served
from services.kubectl.commands.registry import Command
from services.kubectl.describe.events import interval
from services.kubectl.errors import Fail, Verbatim
from services.kubectl.flags import Flag, boolean, integer, text, texts
from services.kubectl.output import printers
from services.kubectl.output.columns import align
from services.kubectl.session import Session

Json = dict[str, Any]

FLAGS: tuple[Flag, ...] = (
    boolean("all-namespaces", "In all namespaces", short="A"),
    boolean("allow-missing-template-keys", "Ignore missing fields in templates", default=True),
    integer("chunk-size", "Ask for large lists in pieces of this size", default=500),
    text("for", "Only about this object: TYPE/NAME"),
    boolean("no-headers", "Leave the headers out"),
    text("output", f"Format of the output: {', '.join(printers.COMMON_FORMATS)}", short="o"),
    boolean("show-managed-fields", "Show metadata.managedFields"),
    text("template", "The template, or its file"),
    texts("types", "Normal, Warning"),
    boolean("watch", "After listing, go on with every new event", short="w"),
)


async def run(session: Session) -> None:
    flags = session.flags
    for word in flags["types"]:
        if word.lower() not in ("normal", "warning"):
            raise Fail("valid --types are Normal or Warning")
    fields = _fields(session)
    output = printers.asked_for(flags)
    printer = printers.structured(output, flags["template"]) if output else None
    resource = kinds.resource_of_kind("v1", "Event")
    assert resource is not None
    namespace = "" if flags["all-namespaces"] else session.namespace
    page = await session.client.list_page(resource, namespace, fields=fields, limit=0)
    found = sorted((event for event in page.items if _wanted(session, event)), key=_moment)
    found = [resources.complete(resource, event) for event in found]
    if printer is not None:
        if flags["output"] != "name" or found:
            items = [resources.without_managed_fields(event) for event in found]
            session.write(
                ""
                if flags["output"] == "name"
                else printer({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {}})
            )
        return
    if not found and not flags["watch"]:
        where = "" if flags["all-namespaces"] else f" in {session.namespace} namespace"
        session.complain(f"No events found{where}.")
        return
    widths: list[int] = []
    _print(session, found, widths, headers=not flags["no-headers"])
    if flags["watch"]:
        await _follow(session, resource, namespace, fields, page.resource_version, widths)


def _fields(session: Session) -> str:
    word = session.flags["for"]
    if not word:
        return ""
    if word.count("/") != 1 or not all(word.split("/")):
        raise Fail("--for must be in resource/name form")
    kind, name = word.split("/")
    try:
        resource = resources.lookup(kind)
    except served.Unserved:
        raise
    except Fail as error:
        raise Verbatim(str(error)) from error
    return (
        f"involvedObject.kind={resource.kind},involvedObject.name={name},"
        f"involvedObject.apiVersion={resource.api_version}"
    )


def _wanted(session: Session, event: Json) -> bool:
    types = [word.lower() for word in session.flags["types"]]
    return not types or event.get("type", "").lower() in types


def _moment(event: Json) -> str:
    series = event.get("series") or {}
    return (
        str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")
        .partition(".")[0]
        .rstrip("Z")
    )


def _print(session: Session, found: list[Json], widths: list[int], *, headers: bool) -> None:
    spaces = session.flags["all-namespaces"]
    rows = [_row(session, event, spaces=spaces) for event in found]
    if headers:
        head = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
        rows.insert(0, ["NAMESPACE", *head] if spaces else head)
    for line in align(rows, widths):
        session.print(line)


def _row(session: Session, event: Json, *, spaces: bool) -> list[str]:
    target = event.get("involvedObject") or {}
    row = [
        interval(event, session.world.clock.now()),
        event.get("type", ""),
        event.get("reason", ""),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        event.get("message", "").strip(),
    ]
    return [event["metadata"].get("namespace", ""), *row] if spaces else row


async def _follow(
    session: Session, resource: kinds.Resource, namespace: str, fields: str, version: str, widths: list[int]
) -> None:
    while True:
        session.world.out.flush()
        stream = session.client.watch(resource, namespace, fields=fields, resource_version=version)
        async for batch in stream:
            for change in batch:
                version = change.resource_version or version
                if change.type in ("ADDED", "MODIFIED") and _wanted(session, change.object):
                    _print(session, [change.object], widths, headers=False)
            session.world.out.flush()


EVENTS = Command(
    "events",
    "events [(-o|--output=)json|yaml|name|…] [--for TYPE/NAME] [--watch] [--types=Normal,Warning]",
    "Display events.\n\nPrints a table of the most important information about events.",
    run=run,
    flags=FLAGS,
)
