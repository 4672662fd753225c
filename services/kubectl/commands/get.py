"""`get`: objects as a table that the server makes, or whole in a chosen format; with `-w` as they change.

Upstream: kubectl's get command. Several kinds are printed one below the other, each with its own
columns and its kind before the names. What could not be found is told at the end.
"""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.client.transport import IncludeObject, Representation, View
from services.kubectl import resources
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Exit, Fail, Several, message_of, raise_all
from services.kubectl.flags import Flag, boolean, integer, text, texts
from services.kubectl.output import printers
from services.kubectl.output.columns import TablePrinter
from services.kubectl.resources import Found, Wanted
from services.kubectl.session import Session

Json = dict[str, Any]

CHUNK_OBJECTS = 500

FLAGS: tuple[Flag, ...] = (
    boolean("all-namespaces", "List the objects of all namespaces", short="A"),
    boolean("allow-missing-template-keys", "Ignore missing fields in templates", default=True),
    integer(
        "chunk-size", "Ask for large lists in pieces of this size; 0 for one piece", default=CHUNK_OBJECTS
    ),
    text("field-selector", "Only objects whose fields match, such as status.phase=Running"),
    texts("filename", "Files, directories or - for stdin that name the objects", short="f"),
    boolean("ignore-not-found", "Treat a missing object as a success that prints nothing"),
    texts("label-columns", "Labels to show as columns", short="L"),
    boolean("no-headers", "Leave the headers of tables out"),
    text("output", f"Format of the output: {', '.join(printers.GET_FORMATS)}", short="o"),
    boolean("output-watch-events", "Show the type of each event while watching"),
    text("raw", "Ask the server for this path"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    text("selector", "Only objects whose labels match, such as app=kubia", short="l"),
    boolean("server-print", "Let the server make the table", default=True),
    boolean("show-kind", "Write the kind before each name"),
    boolean("show-labels", "Show all labels in the last column"),
    boolean("show-managed-fields", "Show metadata.managedFields in whole objects"),
    text("sort-by", "Sort by this field, as a JSONPath"),
    text("subresource", "Ask for this subresource: status, scale"),
    text("template", "The template, or its file"),
    boolean("watch", "After listing, go on with every change", short="w"),
    boolean("watch-only", "Only changes, without listing first"),
)

NOTHING_TO_GET = (
    'You must specify the type of resource to get. Use "{program} api-resources" for a complete list of'
    " supported resources.\n"
)


async def run(session: Session) -> None:
    _validate(session)
    if session.flags["raw"]:
        from services.kubectl.commands import raw

        return await raw.get(session, session.flags["raw"])
    if session.flags["filename"]:
        from services.kubectl import manifests

        wanted = manifests.references(session)
    else:
        wanted = _wanted(session)
    if session.flags["watch"] or session.flags["watch-only"]:
        from services.kubectl.commands import watching

        return await watching.run(session, wanted)
    if is_table(session):
        return await _print_tables(session, wanted)
    return await _print_objects(session, wanted)


def _validate(session: Session) -> None:
    """Flags that exclude each other."""
    flags, output = session.flags, session.flags["output"]
    watching = flags["watch"] or flags["watch-only"]
    if flags["raw"]:
        if session.args:
            raise Fail("arguments may not be passed when --raw is specified")
        if watching or flags["selector"]:
            others = "other flags that filter the server request or alter the output"
            raise Fail(f"--raw may not be specified with {others}")
        if output:
            raise Fail("--raw and --output are mutually exclusive")
    if flags["show-labels"] and output not in ("", "wide"):
        raise Fail(f"--show-labels option cannot be used with {output} printer")
    if flags["output-watch-events"] and not watching:
        raise Fail("--output-watch-events option can only be used with --watch or --watch-only")


def _wanted(session: Session) -> list[Wanted]:
    flags = session.flags
    if not session.args:
        session.complain(NOTHING_TO_GET.format(program=session.world.program))
        raise Fail(
            "Required resource not specified.\n"
            f'Use "{session.world.program} explain <resource>" for a detailed description of that resource'
            f" (e.g. {session.world.program} explain pods).\n"
            f"See '{session.command} -h' for help and examples"
        )
    wanted = resources.parse(session, session.args)
    resources.check(wanted, selector=flags["selector"], all_namespaces=flags["all-namespaces"])
    if not is_table(session):
        check_output(session)
    return wanted


def check_output(session: Session) -> None:
    """A wrong `-o` is told before the server is asked."""
    output = printers.asked_for(session.flags)
    word, _, argument = output.partition("=")
    if word in ("custom-columns", "custom-columns-file"):
        columns_of(argument or session.flags["template"], from_file=word.endswith("file"))
    else:
        printers.structured(output, session.flags["template"], printers.GET_FORMATS)


def columns_of(argument: str, *, from_file: bool = False) -> Any:
    from services.kubectl.output import custom_columns

    if not from_file:
        return custom_columns.parse(argument)
    from pathlib import Path

    try:
        return custom_columns.parse_file(Path(argument).read_text())
    except OSError as error:
        raise Fail(
            f"error reading template {argument}, open {argument}: no such file or directory"
        ) from error


def is_table(session: Session) -> bool:
    return printers.asked_for(session.flags) in ("", "wide")


def view_of(session: Session) -> View:
    """The Table; with whole objects where rows are to be sorted by their fields."""
    include = IncludeObject.OBJECT if session.flags["sort-by"] else IncludeObject.METADATA
    return View(representation=Representation.TABLE, include_object=include)


async def fetch_table(session: Session, item: Wanted) -> Json:
    """One Table with everything that an argument stands for."""
    flags, client = session.flags, session.client
    namespace = resources.namespace_of(session, item.resource, all_namespaces=flags["all-namespaces"])
    view = view_of(session)
    if item.name:
        return await client.get(
            item.resource, item.name, namespace, subresource=flags["subresource"], view=view
        )
    table: Json | None = None
    token = ""
    while True:
        try:
            page = await client.list_page(
                item.resource,
                namespace,
                labels=flags["selector"],
                fields=flags["field-selector"],
                limit=flags["chunk-size"],
                continue_token=token,
                view=view,
            )
        except ApiError as error:
            raise resources.selector_error(
                error, item.resource, flags["selector"], flags["field-selector"]
            ) from error
        part = page.table or {"rows": []}
        if table is None:
            table = part
        else:
            table["rows"] = [*(table.get("rows") or ()), *(part.get("rows") or ())]
        token = page.continue_token
        if not token:
            table.setdefault("metadata", {})["resourceVersion"] = page.resource_version
            return table


def table_printer(
    session: Session, resource: kinds.Resource, *, with_kind: bool, with_namespace: bool = False
) -> TablePrinter:
    flags = session.flags
    return TablePrinter(
        session.world.out,
        wide=flags["output"] == "wide",
        headers=not flags["no-headers"],
        kind_prefix=printers.kind_prefix(resource) if with_kind else "",
        with_namespace=with_namespace or (flags["all-namespaces"] and resource.namespaced),
        show_labels=flags["show-labels"],
        label_columns=flags["label-columns"],
    )


async def _print_tables(session: Session, wanted: list[Wanted]) -> None:
    flags = session.flags
    errors: list[Exception] = []
    tables: list[tuple[kinds.Resource, Json]] = []
    for item in wanted:
        try:
            _append(tables, item.resource, await fetch_table(session, item))
        except ApiError as error:
            _gather(error, errors, flags["ignore-not-found"])
    if flags["sort-by"]:
        from services.kubectl.output import sorting

        tables = sorting.sort_tables(tables, flags["sort-by"])
    if not flags["server-print"]:
        tables = [(resource, _name_and_age(session, table)) for resource, table in tables]
    with_kind = flags["show-kind"] or len({resource.plural for resource, _ in tables}) > 1
    printer: TablePrinter | None = None
    last: kinds.Resource | None = None
    wrote = False
    for resource, table in tables:
        if printer is None or resource is not last:
            # Once there is a column of namespaces, all that follow have it.
            spaces = printer is not None and printer.with_namespace
            printer = table_printer(session, resource, with_kind=with_kind, with_namespace=spaces)
            last = resource
            if wrote and table.get("rows") and not flags["no-headers"]:
                session.print()
        wrote = printer.print(table) or wrote
    if not wrote and not errors and not flags["ignore-not-found"]:
        session.complain(_nothing(session, wanted))
    raise_all(errors)


def _append(tables: list[tuple[kinds.Resource, Json]], resource: kinds.Resource, table: Json) -> None:
    """Tables of one kind that follow each other are one table, so that their columns agree."""
    if tables and tables[-1][0] is resource:
        tables[-1][1]["rows"] = [*(tables[-1][1].get("rows") or ()), *(table.get("rows") or ())]
    else:
        tables.append((resource, table))


def _gather(error: ApiError, errors: list[Exception], ignore_not_found: bool) -> None:
    if not (ignore_not_found and error.reason == "NotFound"):
        errors.append(error)


def _nothing(session: Session, wanted: list[Wanted]) -> str:
    namespaced = all(item.resource.namespaced for item in wanted)
    if namespaced and not session.flags["all-namespaces"]:
        return f"No resources found in {session.namespace} namespace."
    return "No resources found"


def _name_and_age(session: Session, table: Json) -> Json:
    """What a client without the server's help would print."""
    from services.machinery.duration import since

    now = session.world.clock.now()
    rows = [
        {**row, "cells": [_metadata(row).get("name"), since(_metadata(row).get("creationTimestamp"), now)]}
        for row in table.get("rows") or ()
    ]
    columns = [{"name": "Name", "format": "name", "priority": 0}, {"name": "Age", "priority": 0}]
    return {**table, "columnDefinitions": columns, "rows": rows}


def _metadata(row: Json) -> Json:
    return (row.get("object") or {}).get("metadata") or {}


async def _print_objects(session: Session, wanted: list[Wanted]) -> None:
    flags = session.flags
    found, errors = await _fetch(session, wanted)
    errors = [e for e in errors if not (flags["ignore-not-found"] and getattr(e, "reason", "") == "NotFound")]
    if flags["sort-by"]:
        from services.kubectl.output import sorting

        found = sorting.sort_objects(found, flags["sort-by"])
    for item in found:
        if not flags["show-managed-fields"]:
            resources.without_managed_fields(item.object)
    single = len(wanted) == 1 and bool(wanted[0].name)
    if found or not errors:
        if single and not found:
            return
        session.write(render(session, [item.object for item in found], single=single))
    if errors and not single:
        raise Several(errors)
    raise_all(errors)


async def _fetch(session: Session, wanted: list[Wanted]) -> tuple[list[Found], list[Exception]]:
    flags = session.flags
    if not flags["subresource"]:
        return await resources.fetch(
            session,
            wanted,
            labels=flags["selector"],
            fields=flags["field-selector"],
            all_namespaces=flags["all-namespaces"],
        )
    found: list[Found] = []
    errors: list[Exception] = []
    for item in wanted:
        namespace = resources.namespace_of(session, item.resource)
        try:
            obj = await session.client.get(
                item.resource, item.name, namespace, subresource=flags["subresource"]
            )
            found.append(Found(item.resource, resources.complete(item.resource, obj)))
        except ApiError as error:
            errors.append(error)
    return found, errors


def render(session: Session, objects: list[Json], *, single: bool) -> str:
    """Objects in the format of `-o`: one as itself, several as a List."""
    output, template = printers.asked_for(session.flags), session.flags["template"]
    word, _, argument = output.partition("=")
    if word in ("custom-columns", "custom-columns-file"):
        from services.kubectl.output import custom_columns

        columns = columns_of(argument or template, from_file=word.endswith("file"))
        return custom_columns.render(columns, objects, headers=not session.flags["no-headers"])
    printer = printers.structured(
        output,
        template,
        printers.GET_FORMATS,
        allow_missing=session.flags["allow-missing-template-keys"],
    )
    if single:
        return printer(objects[0])
    return printer(
        {"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {"resourceVersion": ""}}
    )


def explain(session: Session, errors: list[Exception]) -> None:
    """Tells what failed and ends with 1."""
    for error in errors:
        session.complain(message_of(error))
    if errors:
        raise Exit(1)


GET = Command(
    name="get",
    use="get [(-o|--output=)json|yaml|name|wide|…] (TYPE[.VERSION][.GROUP] [NAME | -l label] | TYPE/NAME ...)"
    " [flags]",
    long="Display one or many resources.\n\n"
    "Prints a table of the most important facts about objects, or whole objects with -o.",
    run=run,
    flags=FLAGS,
    examples="""
  # All pods, as a table
  {program} get pods

  # With node and address
  {program} get pods -o wide

  # One pod whole
  {program} get pod kubia -o yaml

  # Every change, until Ctrl-C
  {program} get pods --watch
""",
)
