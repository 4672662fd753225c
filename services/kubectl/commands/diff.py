"""`diff`: what `apply` would change, as unified diffs of YAML. Ends with 1 where there is a difference."""

from __future__ import annotations

import difflib
import json
from typing import Any

from services.api.errors import ApiError
from services.client.transport import PatchType
from services.kubectl import manifests, resources, served
from services.kubectl.commands import apply
from services.kubectl.commands.create import LAST_APPLIED
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Exit, Fail, Verbatim, render
from services.kubectl.flags import Flag, boolean, integer, text, texts
from services.kubectl.manifests import Manifest
from services.kubectl.output import printers
from services.kubectl.output.results import FIELD_MANAGER
from services.kubectl.session import Session

Json = dict[str, Any]

TROUBLE = 2  # diff's own code for "could not compare"
FLAGS: tuple[Flag, ...] = (
    FIELD_MANAGER,
    integer("concurrency", "Accepted for compatibility", default=1),
    texts("filename", "Files, directories or - for stdin with what would be applied", short="f"),
    boolean("force-conflicts", "With --server-side: take fields over"),
    text("kustomize", "Not supported", short="k"),
    boolean("prune", "Not supported"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    text("selector", "Only objects of the files whose labels match", short="l"),
    boolean("server-side", "Let the server merge"),
    boolean("show-managed-fields", "Compare metadata.managedFields too"),
)


async def run(session: Session) -> None:
    try:
        if not session.flags["filename"] and not session.flags["kustomize"]:
            raise Fail("must specify one of -f and -k")
        differs = False
        for item in manifests.objects(session):
            differs = await _compare(session, item) or differs
    except Fail as error:
        raise Fail(str(error), TROUBLE) from error
    except ApiError as error:
        raise Verbatim(render(error)[0], TROUBLE) from error
    if differs:
        raise Exit(1)


async def _compare(session: Session, item: Manifest) -> bool:
    try:
        live: Json | None = await session.client.get(item.resource, item.name, item.namespace)
    except ApiError as error:
        if error.reason != "NotFound":
            raise
        live = None
    merged = await _merged(session, item, live)
    before, after = _text(session, item, live), _text(session, item, merged)
    if before == after:
        return False
    resource = item.resource
    group = f"{resource.group}." if resource.group else ""
    name = f"{group}{resource.version}.{resource.kind}.{item.namespace}.{item.name}"
    stamp = session.world.clock.now().strftime("%Y-%m-%d %H:%M:%S.%f") + "000 +0000"
    session.print(f"diff -u -N LIVE/{name} MERGED/{name}")
    lines = difflib.unified_diff(before, after, f"LIVE/{name}", f"MERGED/{name}", stamp, stamp, lineterm="")
    for line in lines:
        session.print(line)
    return True


async def _merged(session: Session, item: Manifest, live: Json | None) -> Json:
    """What the server would store."""
    if session.flags["server-side"]:
        answer = await session.client.patch(
            item.resource,
            item.name,
            item.namespace,
            json.dumps(item.object).encode(),
            patch_type=PatchType.APPLY,
            dry_run=True,
            field_manager=session.flags["field-manager"] or "kubectl",
            force=session.flags["force-conflicts"],
        )
        return session.took(answer)
    manager = session.flags["field-manager"] or apply.MANAGER
    if live is None:
        answer = await session.client.create(
            item.resource, item.object, item.namespace, dry_run=True, field_manager=manager
        )
        return session.took(answer)
    change = apply.difference(item, live)
    annotations = change.get("metadata", {}).get("annotations", {})
    annotations.pop(LAST_APPLIED, None)
    answer = await session.client.patch(
        item.resource,
        item.name,
        item.namespace,
        change,
        patch_type=served.patch_type(item.resource),
        dry_run=True,
        field_manager=manager,
    )
    return session.took(answer)


def _text(session: Session, item: Manifest, obj: Json | None) -> list[str]:
    if obj is None:
        return []
    shown = resources.complete(item.resource, obj)
    if not session.flags["show-managed-fields"]:
        resources.without_managed_fields(shown)
    return printers.to_yaml(shown).splitlines()


DIFF = Command(
    "diff",
    "diff -f FILENAME",
    "Diff configurations specified by file name or stdin between the current online configuration,"
    " and the configuration as it would be if applied.",
    run=run,
    flags=FLAGS,
)
