"""`edit`: an object in the person's own editor; what they changed is sent as a patch when they are done."""

from __future__ import annotations

import asyncio
import shlex
import tempfile
from pathlib import Path
from typing import Any

from services.api.errors import ApiError
from services.kubectl import manifests, resources, served, three_way
from services.kubectl.commands.registry import Command
from services.kubectl.decoding import documents
from services.kubectl.errors import Fail, message_of
from services.kubectl.flags import Flag, boolean, text, texts
from services.kubectl.output import printers
from services.kubectl.output.results import FIELD_MANAGER, PRINT_FLAGS, VALIDATE, Results
from services.kubectl.resources import Found
from services.kubectl.session import Session
from services.machinery.schema.schema import schema_of

Json = dict[str, Any]

HEAD = (
    "# Please edit the object below. Lines beginning with a '#' will be ignored,\n"
    "# and an empty file will abort the edit. If an error occurs while saving this file will be\n"
    "# reopened with the relevant failures.\n#\n"
)
ATTEMPTS_MAX = 10
FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    FIELD_MANAGER,
    VALIDATE,
    texts("filename", "Files that name the objects", short="f"),
    text("kustomize", "Not supported", short="k"),
    boolean("output-patch", "Show the patch"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    boolean("save-config", "Note in an annotation what the object was made from"),
    text("subresource", "Edit this subresource: status, scale"),
    boolean("windows-line-endings", "Accepted for compatibility"),
)


async def run(session: Session) -> None:
    wanted = (
        manifests.references(session) if session.flags["filename"] else resources.parse(session, session.args)
    )
    found, errors = await resources.fetch(session, wanted)
    if errors:
        raise errors[0]
    for item in found:
        await _edit(session, item)


async def _edit(session: Session, item: Found) -> None:
    before = resources.without_managed_fields(item.object)
    original = printers.to_yaml(before)
    text, trouble = HEAD + original, ""
    for _ in range(ATTEMPTS_MAX):
        edited = await _in_editor(session, HEAD + trouble + text.removeprefix(HEAD))
        body = "".join(line for line in edited.splitlines(keepends=True) if not line.startswith("#"))
        if not body.strip() or body == original:
            session.print("Edit cancelled, no changes made.")
            return
        try:
            edited_objects = list(documents(body.encode(), "edited file"))
            if len(edited_objects) != 1 or not isinstance(edited_objects[0], dict):
                raise Fail("The edited file failed validation: one object was expected")
            await _send(session, item, before, edited_objects[0])
            return
        except (ApiError, Fail) as error:
            lines = message_of(error).splitlines()
            trouble = "".join(f"# {line}\n" for line in lines) + "#\n"
            text = body
            session.complain(f"error: {item.resource.qualified} {item.name!r} could not be saved")
    raise Fail("Edit cancelled, the changes could not be saved")


async def _send(session: Session, item: Found, before: Json, after: Json) -> None:
    schema = schema_of(item.resource.api_version, item.resource.kind)
    change = three_way.patch(before, after, before, schema)
    if not change:
        session.print("Edit cancelled, no changes made.")
        return
    answer = await session.client.patch(
        item.resource,
        item.name,
        item.namespace,
        change,
        patch_type=served.patch_type(item.resource),
        subresource=session.flags["subresource"],
        field_validation=session.validation(),
        field_manager=session.flags["field-manager"] or "kubectl-edit",
    )
    if session.flags["output-patch"]:
        session.print(f"Patch: {printers.compact_json(change)}")
    Results(session, "edited").show(resources.complete(item.resource, session.took(answer)))


async def _in_editor(session: Session, text: str) -> str:
    """What the person leaves behind. The editor has the terminal while it runs."""
    environ = session.world.environ
    editor = environ.get("KUBE_EDITOR") or environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="ok-edit-") as folder:
        path = Path(folder) / "object.yaml"
        path.write_text(text)
        try:
            process = await asyncio.create_subprocess_exec(*shlex.split(editor), str(path))
        except OSError as error:
            raise Fail(f"unable to launch the editor {editor!r}") from error
        if await process.wait():
            raise Fail(f"there was a problem with the editor {editor!r}")
        return path.read_text()


EDIT = Command(
    "edit",
    "edit (RESOURCE/NAME | -f FILENAME)",
    "Edit a resource from the default editor.",
    run=run,
    flags=FLAGS,
    examples="""
  # With the editor of your choice
  KUBE_EDITOR="nano" {program} edit rc kubia
""",
)
