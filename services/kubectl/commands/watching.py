"""`get -w`: what there is, then a line for every change, until the user has seen enough.

The list's revision is where the watch starts, so that nothing is missed in between. A watch that
the server ends is taken up again where it stopped.
"""

from __future__ import annotations

from typing import Any

from services.kubectl import resources
from services.kubectl.commands import get
from services.kubectl.errors import Fail
from services.kubectl.output.columns import TablePrinter
from services.kubectl.resources import Wanted
from services.kubectl.session import Session

Json = dict[str, Any]


async def run(session: Session, wanted: list[Wanted]) -> None:
    if len({item.resource.plural for item in wanted}) > 1:
        raise Fail("you may only specify a single resource type")
    if len(wanted) != 1:
        raise Fail("watch is only supported on individual resources and resource collections")
    item = wanted[0]
    from services.kubectl.__main__ import timeout_seconds

    try:
        async with session.world.clock.timeout(timeout_seconds(session.flags)):
            if get.is_table(session):
                await _tables(session, item)
            else:
                await _objects(session, item)
    except TimeoutError:
        return


def _event(session: Session, type: str) -> str | None:
    return type if session.flags["output-watch-events"] else None


async def _tables(session: Session, item: Wanted) -> None:
    table = await get.fetch_table(session, item)
    printer = get.table_printer(session, item.resource, with_kind=session.flags["show-kind"])
    if not session.flags["watch-only"]:
        printer.print(table, _event(session, "ADDED"))
        session.world.out.flush()
    version = table.get("metadata", {}).get("resourceVersion", "")
    await _follow(session, item, version, printer)


async def _objects(session: Session, item: Wanted) -> None:
    namespace = resources.namespace_of(session, item.resource, all_namespaces=session.flags["all-namespaces"])
    if item.name:
        obj = await session.client.get(item.resource, item.name, namespace)
        objects, version = [obj], obj["metadata"].get("resourceVersion", "")
    else:
        page = await session.client.list_page(
            item.resource,
            namespace,
            labels=session.flags["selector"],
            fields=session.flags["field-selector"],
            limit=0,
        )
        objects, version = page.items, page.resource_version
    if not session.flags["watch-only"]:
        for obj in objects:
            _show(session, item, obj)
    await _follow(session, item, version, None)


def _show(session: Session, item: Wanted, obj: Json) -> None:
    obj = resources.complete(item.resource, obj)
    if not session.flags["show-managed-fields"]:
        resources.without_managed_fields(obj)
    if session.flags["output"] == "yaml":
        session.write("---\n")
    session.write(get.render(session, [obj], single=True))
    session.world.out.flush()


async def _follow(session: Session, item: Wanted, version: str, printer: TablePrinter | None) -> None:
    flags = session.flags
    fields = f"metadata.name={item.name}" if item.name else flags["field-selector"]
    arguments: Json = {
        "namespace": resources.namespace_of(session, item.resource, all_namespaces=flags["all-namespaces"]),
        "labels": flags["selector"],
        "fields": fields,
    }
    if printer is not None:
        arguments["view"] = get.view_of(session)
    while True:
        stream = session.client.watch(item.resource, resource_version=version, **arguments)
        async for batch in stream:
            for change in batch:
                version = change.resource_version or version
                if change.type == "BOOKMARK":
                    continue
                if printer is not None:
                    printer.print(change.object, _event(session, change.type))
                else:
                    _show(session, item, change.object)
            session.world.out.flush()
