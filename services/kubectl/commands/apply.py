"""`apply`: makes objects be as files say, without touching what others have set.

The client-side way: what was applied last time stands in an annotation, and `three_way` finds out
what has changed since. With --server-side the server does that. Upstream: kubectl's apply command.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from services.api.errors import ApiError, is_conflict
from services.client.transport import PatchType
from services.kubectl import following, manifests, resources, served, three_way
from services.kubectl.commands.create import LAST_APPLIED
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, quote, raise_all, with_source
from services.kubectl.flags import Flag, boolean, integer, seconds, text, texts
from services.kubectl.manifests import Manifest
from services.kubectl.output import printers
from services.kubectl.output.results import DRY_RUN, FIELD_MANAGER, PRINT_FLAGS, VALIDATE, Results
from services.kubectl.session import Session
from services.machinery.schema.schema import schema_of

Json = dict[str, Any]

CONFLICT_RETRIES_MAX = 5
MANAGER = "kubectl-client-side-apply"
FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    DRY_RUN,
    FIELD_MANAGER,
    VALIDATE,
    boolean("all", "With --prune: every object of the kinds"),
    text("cascade", "How --force and --prune delete", default="background", bare="background"),
    texts("filename", "Files, directories or - for stdin with what to apply", short="f"),
    boolean("force", "Delete and create again what cannot be changed"),
    boolean("force-conflicts", "Take fields over from other managers, with --server-side"),
    integer("grace-period", "Seconds given to what --force deletes", default=-1),
    text("kustomize", "Not supported", short="k"),
    boolean("openapi-patch", "Accepted for compatibility", default=True),
    boolean("overwrite", "Settle conflicts with the live object by the files", default=True),
    boolean("prune", "Delete what was applied before and is in no file any more"),
    texts("prune-allowlist", "Kinds that --prune may delete", split=False),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    text("selector", "Only objects of the files whose labels match", short="l"),
    boolean("server-side", "Let the server merge"),
    seconds("timeout", "How long --force waits for a deletion"),
    boolean("wait", "Wait for deletions"),
)


async def run(session: Session) -> None:
    flags = session.flags
    if session.args:
        raise session.usage_error(f"Unexpected args: [{' '.join(session.args)}]")
    if not flags["filename"] and not flags["kustomize"]:
        raise Fail("must specify one of -f and -k")
    dry_run = session.dry_run()
    if flags["server-side"] and dry_run == "client":
        raise Fail(
            "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)"
        )
    if flags["force-conflicts"] and not flags["server-side"]:
        raise Fail("--force-conflicts only works with --server-side")
    if flags["force"] and flags["server-side"]:
        raise Fail("--force cannot be used with --server-side")
    if flags["force"] and dry_run == "server":
        raise Fail("--dry-run=server cannot be used with --force")
    if flags["prune"]:
        raise Fail("--prune is not supported; delete what is not needed any more by name or label")
    results = Results(session, "", dry_run)
    items = manifests.read(session)
    errors: list[Exception] = [item.error for item in items if isinstance(item, manifests.Unreadable)]
    found = [item for item in items if isinstance(item, Manifest)]
    if not found and not errors:
        raise Fail("no objects passed to apply")
    applied: list[tuple[Json, str]] = []
    for item in found:
        try:
            applied.append(await _apply(session, item, dry_run))
            if not flags["output"]:
                results.show(*applied[-1])
        except (ApiError, Fail) as error:
            errors.append(error)
    if flags["output"]:
        _print(session, results, applied)
    raise_all(errors)


def _print(session: Session, results: Results, applied: list[tuple[Json, str]]) -> None:
    """With -o: names one by one; several whole objects as one List."""
    if len(applied) > 1 and session.flags["output"] != "name":
        items = [resources.without_managed_fields(obj) for obj, _ in applied]
        whole = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}
        session.write(
            printers.structured(printers.asked_for(session.flags), session.flags["template"])(whole)
        )
        return
    for obj, operation in applied:
        results.show(obj, operation)


async def _apply(session: Session, item: Manifest, dry_run: str) -> tuple[Json, str]:
    metadata = item.object.get("metadata") or {}
    if metadata.get("generateName") and not metadata.get("name"):
        raise Fail(f"from {metadata['generateName']}: cannot use generate name with apply")
    if session.flags["server-side"]:
        return await _server_side(session, item, dry_run)
    try:
        live = await session.client.get(item.resource, item.name, item.namespace)
    except ApiError as error:
        if error.reason != "NotFound" or not item.name:
            raise _told(error, item, "retrieving current configuration of") from error
        return await _create(session, item, dry_run)
    return await _patch(session, item, live, dry_run)


def _told(error: ApiError, item: Manifest, doing: str) -> Exception:
    return with_source(doing, item.source, error)


async def _server_side(session: Session, item: Manifest, dry_run: str) -> tuple[Json, str]:
    try:
        answer = await session.client.patch(
            item.resource,
            item.name,
            item.namespace,
            json.dumps(item.object).encode(),
            patch_type=PatchType.APPLY,
            dry_run=dry_run == "server",
            field_validation=session.validation(),
            field_manager=session.flags["field-manager"] or "kubectl",
            force=session.flags["force-conflicts"],
        )
    except ApiError as error:
        if is_conflict(error):
            raise Fail(_conflict_text(error)) from error
        raise
    return resources.complete(item.resource, session.took(answer)), "serverside-applied"


def _conflict_text(error: ApiError) -> str:
    return (
        f"{error.message}\nPlease review the fields above--they currently have other managers. Here\n"
        "are the ways you can resolve this warning:\n"
        "* If you intend to manage all of these fields, please re-run the apply\n"
        "  command with the `--force-conflicts` flag.\n"
        "* If you do not intend to manage all of the fields, please edit your\n"
        "  manifest to remove references to the fields that should keep their\n"
        "  current managers.\n"
        "* You may co-own fields by updating your manifest to match the existing\n"
        "  value; in this case, you'll become the manager if the other manager(s)\n"
        "  stop managing the field (remove it from their configuration).\n"
        "See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"
    )


def with_annotation(obj: Json) -> Json:
    """The object with itself, as it is to be remembered, in an annotation."""
    result = copy.deepcopy(obj)
    metadata = result.setdefault("metadata", {})
    annotations = metadata.get("annotations")
    if not isinstance(annotations, dict):
        annotations = metadata["annotations"] = {}
    annotations.pop(LAST_APPLIED, None)
    annotations[LAST_APPLIED] = printers.compact_json(result) + "\n"
    return result


async def _create(session: Session, item: Manifest, dry_run: str) -> tuple[Json, str]:
    wanted = with_annotation(item.object)
    if dry_run == "client":
        return wanted, "created"
    try:
        answer = await session.client.create(
            item.resource,
            wanted,
            item.namespace,
            dry_run=dry_run == "server",
            field_validation=session.validation(),
            field_manager=session.flags["field-manager"] or MANAGER,
        )
    except ApiError as error:
        raise _told(error, item, "creating") from error
    return resources.complete(item.resource, session.took(answer)), "created"


async def _patch(session: Session, item: Manifest, live: Json, dry_run: str) -> tuple[Json, str]:
    if LAST_APPLIED not in (live["metadata"].get("annotations") or {}):
        session.warn(
            f"resource {item.resource.plural}/{item.name} is missing the {LAST_APPLIED} annotation which is"
            f" required by {session.world.program} apply. {session.world.program} apply should only be"
            " used on"
            f" resources created declaratively by either {session.world.program} create --save-config or"
            f" {session.world.program} apply. The missing annotation will be patched automatically."
        )
    for attempt in range(CONFLICT_RETRIES_MAX):
        change = difference(item, live)
        if not change:
            return resources.complete(item.resource, live), "unchanged"
        if dry_run == "client":
            return resources.complete(item.resource, live), "configured"
        try:
            answer = await _send(session, item, change, dry_run)
        except ApiError as error:
            if session.flags["force"] and (is_conflict(error) or error.reason == "Invalid"):
                return await _recreate(session, item)
            if not is_conflict(error) or attempt == CONFLICT_RETRIES_MAX - 1:
                raise _patch_error(error, item, change) from error
            live = await session.client.get(item.resource, item.name, item.namespace)
            continue
        return answer, "configured"
    raise AssertionError("unreachable: the last attempt returns or raises")


async def _send(session: Session, item: Manifest, change: Json, dry_run: str) -> Json:
    answer = await session.client.patch(
        item.resource,
        item.name,
        item.namespace,
        change,
        patch_type=served.patch_type(item.resource),
        dry_run=dry_run == "server",
        field_validation=session.validation(),
        field_manager=session.flags["field-manager"] or MANAGER,
    )
    return resources.complete(item.resource, session.took(answer))


def difference(item: Manifest, live: Json) -> Json:
    """What has to be sent to make the live object what the file says."""
    last = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    original = json.loads(last) if last else {}
    schema = schema_of(item.resource.api_version, item.resource.kind)
    change = three_way.patch(original, with_annotation(item.object), live, schema)
    for field in ("apiVersion", "kind"):
        change.pop(field, None)
    return change


async def _recreate(session: Session, item: Manifest) -> tuple[Json, str]:
    """--force: what cannot be changed goes, and comes back as wanted."""
    grace = session.flags["grace-period"]
    await session.client.delete(
        item.resource, item.name, item.namespace, grace_seconds=grace if grace >= 0 else None
    )
    await following.until_gone(session, item.resource, item.namespace, item.name, "")
    obj, _ = await _create(session, item, "none")
    return obj, "configured"


def _patch_error(error: ApiError, item: Manifest, change: Json) -> ApiError:
    """Says which change to which object failed."""
    resource = item.resource
    group_version = f"{resource.group}/{resource.version}"
    message = (
        f"error when applying patch:\n{printers.compact_json(change)}\nto:\n"
        f"Resource: {quote(f'{group_version}, Resource={resource.plural}')},"
        f" GroupVersionKind: {quote(f'{group_version}, Kind={resource.kind}')}\n"
        f"Name: {quote(item.name)}, Namespace: {quote(item.namespace)}\n"
        f"for: {quote(item.source)}: error when patching {quote(item.source)}: {error.message}"
    )
    return ApiError({**error.status, "message": message})


async def _view_last(session: Session) -> None:
    if not session.args:
        raise Fail(resources.NO_RESOURCE)
    found, errors = await resources.fetch(session, resources.parse(session, session.args))
    raise_all(errors)
    for item in found:
        last = (item.object["metadata"].get("annotations") or {}).get(LAST_APPLIED)
        if not last:
            raise Fail(f"no last-applied-configuration annotation found on resource: {item.name}")
        printer = printers.to_json if session.flags["output"] == "json" else printers.to_yaml
        session.write(printer(json.loads(last)))


APPLY = Command(
    "apply",
    "apply (-f FILENAME | -k DIRECTORY)",
    "Apply a configuration to a resource by file name or stdin. The resource name must be specified."
    " This resource will be created if it doesn't exist yet.",
    run=run,
    flags=FLAGS,
    children=(
        Command(
            "view-last-applied",
            "view-last-applied (TYPE [NAME | -l label] | TYPE/NAME | -f FILENAME)",
            "View the latest last-applied-configuration annotations of a resource/object.",
            run=_view_last,
            flags=(text("output", "json or yaml", short="o", default="yaml"),),
        ),
    ),
    examples="""
  # What a file describes
  {program} apply -f kubia.yaml

  # What is typed
  cat pod.json | {program} apply -f -
""",
)
