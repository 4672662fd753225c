"""`patch`: changes fields of an object by a JSON, merge or strategic merge patch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from services.api.errors import bad_request
from services.client.transport import PatchType
from services.kubectl import manifests, resources
from services.kubectl.commands.registry import Command
from services.kubectl.decoding import documents, kind_of
from services.kubectl.errors import Fail, raise_all
from services.kubectl.flags import Flag, boolean, text, texts
from services.kubectl.output.results import DRY_RUN, FIELD_MANAGER, PRINT_FLAGS, Results
from services.kubectl.session import Session

Json = dict[str, Any]

TYPES = {"json": PatchType.JSON, "merge": PatchType.MERGE, "strategic": PatchType.STRATEGIC}
FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    DRY_RUN,
    FIELD_MANAGER,
    texts("filename", "Files that name the objects", short="f"),
    text("kustomize", "Not supported", short="k"),
    boolean("local", "Not supported"),
    text("patch", "The patch, as JSON or YAML", short="p"),
    text("patch-file", "A file with the patch"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    text("subresource", "Patch this subresource: status, scale"),
    text("type", "json, merge or strategic", default="strategic"),
)


async def run(session: Session) -> None:
    flags = session.flags
    if not flags["patch"] and not flags["patch-file"]:
        raise Fail("must specify --patch or --patch-file containing the contents of the patch")
    if flags["patch"] and flags["patch-file"]:
        raise Fail("cannot specify --patch and --patch-file together")
    if flags["local"] and session.args:
        raise Fail("cannot specify --local and server resources")
    if flags["local"]:
        raise Fail(f"{session.world.program} cannot do this with --local")
    kind = TYPES.get(flags["type"].lower())
    if kind is None:
        raise Fail(f'--type must be one of [json merge strategic], not "{flags["type"]}"')
    body = _body(_text(session))
    wanted = (
        manifests.references(session)
        if flags["filename"]
        else resources.parse(session, session.args, collections=False)
    )
    dry_run = session.dry_run()
    found, errors = await resources.fetch(session, wanted)
    for item in found:
        before = item.object["metadata"].get("resourceVersion")
        answer = await session.client.patch(
            item.resource,
            item.name,
            item.namespace,
            body,
            patch_type=kind,
            subresource=flags["subresource"],
            dry_run=dry_run in ("server", "client"),
            field_manager=flags["field-manager"] or "kubectl-patch",
        )
        obj = session.took(answer)
        if flags["subresource"] == "scale":
            obj = {"apiVersion": "autoscaling/v1", "kind": "Scale", **obj}
        obj = resources.complete(item.resource, obj)
        unchanged = obj["metadata"].get("resourceVersion") == before and dry_run == "none"
        Results(session, "patched (no change)" if unchanged else "patched", dry_run).show(obj)
    raise_all(errors)


def _text(session: Session) -> str:
    name = session.flags["patch-file"]
    if not name:
        return str(session.flags["patch"])
    if name == "-":
        return session.world.stdin.read().decode()
    try:
        return Path(name).read_text()
    except OSError as error:
        raise Fail(f"unable to read patch file: open {name}: no such file or directory") from error


def _body(text: str) -> bytes:
    """The patch as JSON; what is neither JSON nor YAML goes out as written, for the server to refuse."""
    if text.lstrip().startswith("{"):
        return text.encode()
    try:
        json.loads(text)
    except ValueError:
        values = list(documents(text.encode(), "patch"))
        if len(values) == 1 and not isinstance(values[0], (dict, list)):
            raise bad_request(
                f"json: cannot unmarshal {kind_of(values[0])} into Go value of type map[string]interface {{}}"
            ) from None
        return json.dumps(values[0] if values else None).encode()
    return text.encode()


PATCH = Command(
    "patch",
    "patch (-f FILENAME | TYPE NAME) [-p PATCH|--patch-file FILE]",
    "Update fields of a resource using strategic merge patch, a JSON merge patch, or a JSON patch.",
    run=run,
    flags=FLAGS,
    examples="""
  # Mark a node as unschedulable
  {program} patch node node-1 -p '{{"spec":{{"unschedulable":true}}}}'
""",
)
