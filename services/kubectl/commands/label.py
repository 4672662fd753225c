"""`label` and `annotate`: short notes on objects, added as key=value, removed as key-."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.api.errors import ApiError
from services.client.transport import PatchType
from services.kubectl import manifests, resources
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, quote, raise_all
from services.kubectl.flags import Flag, boolean, text, texts
from services.kubectl.output.results import DRY_RUN, FIELD_MANAGER, PRINT_FLAGS, Results
from services.kubectl.resources import Found
from services.kubectl.session import Session
from services.machinery import labels

Json = dict[str, Any]

FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    DRY_RUN,
    FIELD_MANAGER,
    boolean("all", "Every object of the kinds in the namespace"),
    boolean("all-namespaces", "In all namespaces", short="A"),
    text("field-selector", "Only objects whose fields match"),
    texts("filename", "Files that name the objects", short="f"),
    text("kustomize", "Not supported", short="k"),
    boolean("list", "Print what there is after the change"),
    boolean("local", "Only change what the files hold"),
    boolean("overwrite", "Change values that exist"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    text("resource-version", "Only if this is the current version"),
    text("selector", "Only objects whose labels match", short="l"),
)


@dataclass(frozen=True)
class Notes:
    """What differs between labels and annotations."""

    field: str  # in the metadata
    word: str


LABELS = Notes("labels", "label")
ANNOTATIONS = Notes("annotations", "annotation")


@dataclass(frozen=True)
class Change:
    added: dict[str, str]
    removed: tuple[str, ...]


def _divide(args: list[str], notes: Notes) -> tuple[list[str], list[str]]:
    """Resources stand first, changes behind them."""
    words: list[str] = []
    changes: list[str] = []
    for arg in args:
        is_change = ("=" in arg and not arg.startswith("=")) or (arg.endswith("-") and arg != "-")
        if is_change:
            changes.append(arg)
        elif changes:
            raise Fail(f"all resources must be specified before {notes.word} changes: {arg}")
        else:
            words.append(arg)
    return words, changes


def _parse(changes: list[str], notes: Notes) -> Change:
    added: dict[str, str] = {}
    removed: list[str] = []
    for change in changes:
        key, equals, value = change.partition("=")
        if equals:
            if not key or (notes is LABELS and "=" in value):
                raise Fail(f"invalid {notes.word} spec: {change}")
            faults = labels.value_faults(value) if notes is LABELS else []
            if faults:
                raise Fail(f'invalid label value: "{change}": {";".join(faults)}')
            added[key] = value
        else:
            removed.append(change[:-1])
    if set(added) & set(removed):
        raise Fail(
            f"can not both modify and remove {'a label' if notes is LABELS else 'an annotation'} in"
            " the same command"
        )
    return Change(added, tuple(removed))


async def _run(session: Session, notes: Notes) -> None:
    flags = session.flags
    words, changes = _divide(session.args, notes)
    change = _parse(changes, notes)
    if flags["list"] and flags["output"]:
        raise Fail("--list and --output may not be specified together")
    for other in ("selector", "field-selector"):
        if flags["all"] and flags[other]:
            raise Fail(f"cannot set --all and --{other} at the same time")
    if not words and not flags["filename"]:
        raise Fail("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    if not changes and not flags["list"]:
        raise Fail(f"at least one {notes.word} update is required")
    found, errors = await _found(session, words)
    several = len(found) > 1 or flags["all"] or flags["selector"] or flags["field-selector"]
    if flags["resource-version"] and several:
        raise Fail("--resource-version may only be used with a single resource")
    for item in found:
        try:
            await _apply(session, item, change, notes, single=len(found) == 1)
        except (Fail, ApiError) as error:
            errors.append(error)
    raise_all(errors)


async def _found(session: Session, words: list[str]) -> tuple[list[Found], list[Exception]]:
    flags = session.flags
    if flags["local"]:
        return manifests.local(session), []
    selecting = bool(flags["all"] or flags["selector"] or flags["field-selector"])
    wanted = (
        manifests.references(session)
        if flags["filename"]
        else resources.parse(session, words, collections=selecting)
    )
    return await resources.fetch(
        session,
        wanted,
        labels=flags["selector"],
        fields=flags["field-selector"],
        all_namespaces=flags["all-namespaces"],
    )


async def _apply(session: Session, item: Found, change: Change, notes: Notes, *, single: bool) -> None:
    flags = session.flags
    now: dict[str, str] = dict(item.object["metadata"].get(notes.field) or {})
    if not flags["overwrite"]:
        _refuse_overwriting(now, change, notes)
    dry_run = session.dry_run()
    local = dry_run == "client" or flags["local"] or (flags["list"] and not (change.added or change.removed))
    if not local and notes is LABELS:
        for key in change.removed:
            if key not in now:
                session.print(f"label {quote(key)} not found.")
    added = {key: value for key, value in change.added.items() if now.get(key) != value}
    removed = [key for key in change.removed if key in now]
    after = {key: value for key, value in {**now, **change.added}.items() if key not in change.removed}
    patched = item.object
    if not local and (added or removed or notes is ANNOTATIONS):
        patched = await _patch(session, item, change, notes, dry_run)
    else:
        item.object["metadata"][notes.field] = after
    if flags["list"]:
        _list(session, item, after, notes, single=single)
        return
    Results(session, _operation(added, removed, notes), dry_run).show(patched)


def _refuse_overwriting(now: dict[str, str], change: Change, notes: Notes) -> None:
    if notes is LABELS:
        faults = [
            f"'{key}' already has a value ({now[key]}), and --overwrite is false"
            for key, value in change.added.items()
            if key in now and now[key] != value
        ]
        raise_all([Fail(fault) for fault in faults])
        return
    faults = [f"'{key}' already has a value ({now[key]})" for key in change.added if key in now]
    if faults:
        raise Fail(
            "--overwrite is false but found the following declared annotation(s): " + "; ".join(faults)
        )


async def _patch(session: Session, item: Found, change: Change, notes: Notes, dry_run: str) -> Json:
    body: Json = {"metadata": {notes.field: {**change.added, **dict.fromkeys(change.removed)}}}
    if session.flags["resource-version"]:
        body["metadata"]["resourceVersion"] = session.flags["resource-version"]
    answer = await session.client.patch(
        item.resource,
        item.name,
        item.namespace,
        body,
        patch_type=PatchType.MERGE,
        dry_run=dry_run == "server",
        field_manager=session.flags["field-manager"] or f"kubectl-{notes.word.removesuffix('ion')}",
    )
    return resources.complete(item.resource, session.took(answer))


def _operation(added: dict[str, str], removed: list[str], notes: Notes) -> str:
    if notes is ANNOTATIONS:
        return "annotated"
    if added and removed:
        return "modified"
    if added:
        return "labeled"
    return "unlabeled" if removed else "not labeled"


def _list(session: Session, item: Found, after: dict[str, str], notes: Notes, *, single: bool) -> None:
    indent = ""
    if not single:
        indent = " "
        session.print(f"Listing {notes.field} for {item.resource.kind}.{item.resource.group}/{item.name}:")
    for key, value in sorted(after.items()):
        session.print(f"{indent}{key}={value}")


async def label(session: Session) -> None:
    await _run(session, LABELS)


async def annotate(session: Session) -> None:
    await _run(session, ANNOTATIONS)


LABEL = Command(
    "label",
    "label [--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version]",
    "Update the labels on a resource.",
    run=label,
    flags=FLAGS,
    examples="""
  # Add one, then remove it
  {program} label pod kubia tier=web
  {program} label pod kubia tier-
""",
)
ANNOTATE = Command(
    "annotate",
    "annotate [--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N"
    " [--resource-version=version]",
    "Update the annotations on one or more resources.",
    run=annotate,
    flags=FLAGS,
)
