"""`taint`: what keeps Pods off a node, added as key=value:Effect, removed as key:Effect-."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.api.errors import ApiError
from services.client.transport import PatchType
from services.kubectl import resources
from services.kubectl.commands.cordon import node_resource
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, raise_all
from services.kubectl.flags import Flag, boolean, text
from services.kubectl.output.results import DRY_RUN, FIELD_MANAGER, PRINT_FLAGS, VALIDATE, Results
from services.kubectl.resources import Found, Wanted
from services.kubectl.session import Session
from services.machinery import labels

Json = dict[str, Any]

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    DRY_RUN,
    FIELD_MANAGER,
    VALIDATE,
    boolean("all", "Every node"),
    boolean("overwrite", "Change taints that exist"),
    text("selector", "Only nodes whose labels match", short="l"),
)


@dataclass(frozen=True)
class Taint:
    key: str
    value: str = ""
    effect: str = ""

    def json(self) -> Json:
        body = {"key": self.key, "effect": self.effect}
        return {**body, "value": self.value} if self.value else body

    def __str__(self) -> str:
        return f"{self.key}={self.effect}"


def parse(spec: str) -> tuple[Taint, bool]:
    """A taint and whether it is to be removed. ValueError in upstream's words."""
    if spec.endswith("-"):
        key, _, effect = spec[:-1].partition(":")
        key, _, value = key.partition("=")
        if effect and effect not in EFFECTS:
            raise ValueError(f"invalid taint effect: {effect}, unsupported taint effect")
        return Taint(key, value, effect), True
    head, colon, effect = spec.partition(":")
    key, equals, value = head.partition("=")
    if not colon and equals:
        faults = labels.key_faults(spec)
        raise ValueError(f"invalid taint spec: {spec}, {'; '.join(faults)}")
    if colon and effect not in EFFECTS:
        raise ValueError(f"invalid taint effect: {effect}, unsupported taint effect")
    faults = [*labels.key_faults(key), *(labels.value_faults(value) if equals else ())]
    if faults or spec.count(":") > 1 or head.count("=") > 1:
        raise ValueError(f"invalid taint spec: {spec}, {'; '.join(faults)}")
    return Taint(key, value, effect), False


async def run(session: Session) -> None:
    flags = session.flags
    words, add, remove = _arguments(session)
    if resources.lookup(words[0]).kind != "Node":
        raise Fail(f"invalid resource type {words[0]}, only node types are supported")
    if flags["all"] and flags["selector"]:
        raise Fail("setting 'all' parameter with a non empty selector is prohibited")
    if len(words) < 2 and not flags["all"] and not flags["selector"]:
        raise Fail("at least one resource name must be specified since 'all' parameter is not set")
    clash = [r for r in remove for a in add if a.key == r.key and r.effect in ("", a.effect)]
    if clash:
        raise Fail(
            "can not both modify and remove the following taint(s) in the same command: "
            + ", ".join(str(taint) for taint in clash)
        )
    resource = node_resource()
    wanted = [Wanted(resource, name) for name in words[1:]] or [Wanted(resource)]
    found, errors = await resources.fetch(session, wanted, labels=flags["selector"])
    for item in found:
        try:
            await _apply(session, item, add, remove)
        except (ApiError, Fail) as error:
            errors.append(error)
    raise_all(errors)


def _arguments(session: Session) -> tuple[list[str], list[Taint], list[Taint]]:
    words: list[str] = []
    specs: list[str] = []
    for arg in session.args:
        if "=" in arg or ":" in arg or arg.endswith("-"):
            specs.append(arg)
        elif specs:
            raise Fail(f"all resources must be specified before taint changes: {arg}")
        else:
            words.append(arg)
    if not words:
        raise Fail("one or more resources must be specified as <resource> <name>")
    if not specs:
        raise Fail("at least one taint update is required")
    try:
        parsed = [parse(spec) for spec in specs]
    except ValueError as error:
        raise session.usage_error(str(error)) from error
    add = [taint for taint, removal in parsed if not removal]
    return words, add, [taint for taint, removal in parsed if removal]


async def _apply(session: Session, item: Found, add: list[Taint], remove: list[Taint]) -> None:
    now = [
        Taint(entry["key"], entry.get("value", ""), entry.get("effect", ""))
        for entry in (item.object.get("spec") or {}).get("taints") or ()
    ]
    known = {(taint.key, taint.effect) for taint in now}
    existing = [taint for taint in add if (taint.key, taint.effect) in known]
    if existing and not session.flags["overwrite"]:
        names = ",".join(taint.key for taint in existing)
        raise Fail(
            f"node {item.name} already has {names} taint(s) with same effect(s) and --overwrite is false"
        )
    kept, missing = _without(now, remove)
    raise_all([Fail(f'taint "{_named(taint)}" not found') for taint in missing])
    fresh = {(taint.key, taint.effect) for taint in add}
    after = [*add, *(taint for taint in kept if (taint.key, taint.effect) not in fresh)]
    dry_run = session.dry_run()
    results = Results(session, _operation(add, remove, existing), dry_run)
    patched = {**item.object, "spec": {**item.object.get("spec", {}), "taints": [t.json() for t in after]}}
    if dry_run != "client":
        answer = await session.client.patch(
            item.resource,
            item.name,
            "",
            {"spec": {"taints": [taint.json() for taint in after] or None}},
            patch_type=PatchType.MERGE,
            dry_run=dry_run == "server",
            field_manager=session.flags["field-manager"] or "kubectl-taint",
        )
        patched = resources.complete(item.resource, session.took(answer))
    results.show(patched)


def _without(now: list[Taint], remove: list[Taint]) -> tuple[list[Taint], list[Taint]]:
    missing = []
    for taint in remove:
        kept = [t for t in now if not (t.key == taint.key and taint.effect in ("", t.effect))]
        if len(kept) == len(now):
            missing.append(taint)
        now = kept
    return now, missing


def _named(taint: Taint) -> str:
    return f"{taint.key}:{taint.effect}" if taint.effect else taint.key


def _operation(add: list[Taint], remove: list[Taint], existing: list[Taint]) -> str:
    if add and (remove or existing):
        return "modified"
    return "tainted" if add else "untainted"


TAINT = Command(
    "taint",
    "taint NODE NAME KEY_1=VAL_1:TAINT_EFFECT_1 ... KEY_N=VAL_N:TAINT_EFFECT_N",
    "Update the taints on one or more nodes.",
    run=run,
    flags=FLAGS,
    examples="""
  # Keep Pods away that do not tolerate it, then let them in again
  {program} taint nodes node-1 dedicated=web:NoSchedule
  {program} taint nodes node-1 dedicated:NoSchedule-
""",
)
