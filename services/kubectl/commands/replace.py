"""`replace`: puts a whole object in the place of the one that is there."""

from __future__ import annotations

from services.api.errors import ApiError
from services.kubectl import following, manifests, resources
from services.kubectl.commands import delete
from services.kubectl.commands.create import remember
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, raise_all, with_source
from services.kubectl.flags import Flag, boolean, integer, seconds, text, texts
from services.kubectl.manifests import Manifest
from services.kubectl.output.results import DRY_RUN, FIELD_MANAGER, PRINT_FLAGS, VALIDATE, Results
from services.kubectl.session import Session

FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    DRY_RUN,
    FIELD_MANAGER,
    VALIDATE,
    text("cascade", "How --force deletes", default="background", bare="background"),
    texts("filename", "Files, directories or - for stdin with the objects", short="f"),
    boolean("force", "Delete and create again"),
    integer("grace-period", "Seconds given to what --force deletes", default=-1),
    text("kustomize", "Not supported", short="k"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    boolean("save-config", "Note in an annotation what the object was made from"),
    text("subresource", "Replace this subresource: status, scale"),
    seconds("timeout", "How long --force waits for a deletion"),
    boolean("wait", "Wait for deletions"),
)


async def run(session: Session) -> None:
    flags = session.flags
    if not flags["filename"] and not flags["kustomize"]:
        raise Fail("must specify one of -f and -k")
    dry_run = session.dry_run()
    for flag in ("grace-period", "timeout"):
        if flags.changed(flag) and flags[flag] >= 0 and not flags["force"]:
            raise Fail(f"--{flag} must have --force specified")
    if flags["force"] and dry_run != "none":
        raise Fail("--dry-run can not be used when --force is set")
    results = Results(session, "replaced", dry_run)
    errors: list[Exception] = []
    count = 0
    for item in manifests.read(session):
        if isinstance(item, manifests.Unreadable):
            errors.append(item.error)
            continue
        count += 1
        try:
            if flags["force"] and dry_run == "none":
                await _remove(session, item)
            results.show(await _replace(session, item, dry_run))
        except ApiError as error:
            errors.append(with_source("replacing", item.source, error))
    if not count and not errors:
        raise Fail("no objects passed to replace")
    raise_all(errors)


async def _remove(session: Session, item: Manifest) -> None:
    grace = session.flags["grace-period"]
    victim = delete.Victim(item.resource, item.namespace, item.name)
    try:
        await session.client.delete(
            item.resource, item.name, item.namespace, grace_seconds=grace if grace >= 0 else 0
        )
    except ApiError as error:
        if error.reason != "NotFound":
            raise
        return
    delete.report(session, victim, 1, "none")
    await following.until_gone(session, item.resource, item.namespace, item.name, "")


async def _replace(session: Session, item: Manifest, dry_run: str) -> resources.Json:
    flags = session.flags
    if flags["save-config"]:
        remember(item.object)
    if dry_run == "client":
        return item.object
    validation = session.validation()
    manager = flags["field-manager"] or "kubectl-replace"
    server_dry_run = dry_run == "server"
    if flags["force"]:
        answer = await session.client.create(
            item.resource,
            item.object,
            item.namespace,
            dry_run=server_dry_run,
            field_validation=validation,
            field_manager=manager,
        )
    else:
        answer = await session.client.update(
            item.resource,
            item.object,
            item.name,
            item.namespace,
            subresource=flags["subresource"],
            dry_run=server_dry_run,
            field_validation=validation,
            field_manager=manager,
        )
    return resources.complete(item.resource, session.took(answer))


REPLACE = Command(
    "replace",
    "replace -f FILENAME",
    "Replace a resource by file name or stdin.",
    run=run,
    flags=FLAGS,
)
