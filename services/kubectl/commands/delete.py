"""`delete`: by file, name, label or all of a kind; then waits until the objects are really gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import following, manifests, resources
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, quote, raise_all, with_source
from services.kubectl.flags import Flag, boolean, integer, seconds, text, texts
from services.kubectl.output.results import DRY_RUN
from services.kubectl.session import Session, dry_run_suffix

Json = dict[str, Any]
Propagation = Literal["", "Foreground", "Background", "Orphan"]

WAIT_SECONDS_MAX = 168 * 3600  # a week stands for "as long as it takes"
CASCADES: dict[str, Propagation] = {
    "background": "Background",
    "foreground": "Foreground",
    "orphan": "Orphan",
    "true": "Background",
    "false": "Orphan",
}
FLAGS: tuple[Flag, ...] = (
    boolean("all", "Every object of the kinds in the namespace"),
    boolean("all-namespaces", "In all namespaces", short="A"),
    text("cascade", "background, foreground or orphan", default="background", bare="background"),
    DRY_RUN,
    text("field-selector", "Only objects whose fields match"),
    texts("filename", "Files, directories or - for stdin that name the objects", short="f"),
    boolean("force", "Do not wait for the kubelet; with --grace-period=0"),
    integer("grace-period", "Seconds given to end gracefully; negative: the object's own", default=-1),
    boolean("ignore-not-found", "Treat a missing object as deleted"),
    boolean("interactive", "Ask before deleting", short="i"),
    text("kustomize", "Not supported", short="k"),
    boolean("now", "The same as --grace-period=1"),
    text("output", "name: only print names", short="o"),
    text("raw", "Path to delete"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    text("selector", "Only objects whose labels match", short="l"),
    seconds("timeout", "How long to wait until objects are gone; 0: as long as it takes"),
    boolean("wait", "Wait until the objects are gone", default=True),
)


@dataclass(frozen=True)
class Victim:
    resource: kinds.Resource
    namespace: str
    name: str
    source: str = ""


async def run(session: Session) -> None:
    flags = session.flags
    propagation = CASCADES.get(flags["cascade"])
    if propagation is None:
        raise Fail(
            f'invalid cascade value ({flags["cascade"]}). Must be "background", "foreground", or "orphan"'
        )
    grace = _grace_seconds(session)
    dry_run = session.dry_run()
    victims, errors = await _victims(session)
    _check(session, grace)
    ignore = flags["ignore-not-found"] or (
        not flags.changed("ignore-not-found")
        and bool(flags["all"] or flags["selector"] or flags["field-selector"])
    )
    if flags["interactive"] and not _confirmed(session, victims):
        return
    _warn_cluster_scope(session, victims)
    waited: list[tuple[Victim, str]] = []
    for victim in victims:
        try:
            uid = "" if dry_run == "client" else await _delete(session, victim, grace, propagation, dry_run)
        except ApiError as error:
            errors.append(with_source("deleting", victim.source, error))
            continue
        report(session, victim, grace, dry_run)
        waited.append((victim, uid))
    errors = [error for error in errors if not (ignore and getattr(error, "reason", "") == "NotFound")]
    if not victims and not errors and not flags["filename"] and not flags["output"]:
        session.print("No resources found")
    # What was deleted is waited for even where something else failed.
    if flags["wait"] and dry_run == "none":
        await _wait(session, waited)
    raise_all(errors)


def _grace_seconds(session: Session) -> int:
    flags = session.flags
    grace = int(flags["grace-period"])
    if flags["now"]:
        if grace != -1:
            raise Fail("--now and --grace-period cannot be specified together")
        grace = 1
    if grace == 0 and not flags["force"]:
        return 1  # Only --force deletes without asking the node.
    return 0 if flags["force"] and grace < 0 else grace


def _check(session: Session, grace: int) -> None:
    flags = session.flags
    if flags["output"] not in ("", "name"):
        raise Fail(f"unexpected -o output mode: {flags['output']}. We only support '-o name'")
    for other in ("selector", "field-selector"):
        if flags["all"] and flags[other]:
            raise Fail(f"cannot set --all and --{other} at the same time")
    if flags["force"] and grace == 0:
        session.warn(
            "Immediate deletion does not wait for confirmation that the running resource has been terminated."
            " The resource may continue to run on the cluster indefinitely."
        )
    elif flags["force"] and grace > 0:
        raise Fail("--force and --grace-period greater than 0 cannot be specified together")


async def _victims(session: Session) -> tuple[list[Victim], list[Exception]]:
    flags = session.flags
    if flags["filename"] or flags["kustomize"]:
        found, errors = [], []
        for item in manifests.read(session):
            if isinstance(item, manifests.Unreadable):
                errors.append(item.error)
            else:
                found.append(Victim(item.resource, item.namespace, item.name, item.source))
        return found, errors  # type: ignore[return-value]
    selecting = bool(flags["all"] or flags["selector"] or flags["field-selector"])
    wanted = resources.parse(session, session.args, collections=selecting)
    resources.check(
        wanted, selector=flags["selector"], all_namespaces=flags["all-namespaces"], everything=flags["all"]
    )
    if not any(item.name == "" for item in wanted):
        return [
            Victim(item.resource, resources.namespace_of(session, item.resource), item.name)
            for item in wanted
        ], []
    objects, failed = await resources.fetch(
        session,
        wanted,
        labels=flags["selector"],
        fields=flags["field-selector"],
        all_namespaces=flags["all-namespaces"],
    )
    return [Victim(item.resource, item.namespace, item.name) for item in objects], failed


def _warn_cluster_scope(session: Session, victims: list[Victim]) -> None:
    given = session.namespace_given and not session.flags["all-namespaces"]
    if given and any(not victim.resource.namespaced for victim in victims):
        session.warn("deleting cluster-scoped resources, not scoped to the provided namespace")


def _confirmed(session: Session, victims: list[Victim]) -> bool:
    if not victims:
        session.print("No resources found")
        return False
    session.print(f"You are about to delete the following {len(victims)} resource(s):")
    for victim in victims:
        session.print(f"{_prefix(victim)}/{victim.name}")
    session.write("Do you want to continue? (y/N): ")
    session.world.out.flush()
    if session.world.stdin.readline().strip() in (b"y", b"Y"):
        return True
    session.print("deletion is cancelled")
    return False


async def _delete(
    session: Session, victim: Victim, grace: int, propagation: Propagation, dry_run: str
) -> str:
    answer = await session.client.delete(
        victim.resource,
        victim.name,
        victim.namespace,
        grace_seconds=grace if grace >= 0 else None,
        propagation=propagation,
        dry_run=dry_run == "server",
    )
    obj = session.took(answer)
    if obj.get("kind") == "Status":
        return str((obj.get("details") or {}).get("uid", ""))
    return str(obj["metadata"].get("uid", ""))


def _prefix(victim: Victim) -> str:
    kind = victim.resource.kind.lower()
    return f"{kind}.{victim.resource.group}" if victim.resource.group else kind


def report(session: Session, victim: Victim, grace: int, dry_run: str) -> None:
    if session.flags["output"] == "name":
        session.print(f"{_prefix(victim)}/{victim.name}")
        return
    operation = "force deleted" if grace == 0 else "deleted"
    where = f" from {victim.namespace} namespace" if victim.resource.namespaced else ""
    session.print(f"{_prefix(victim)} {quote(victim.name)} {operation}{where}{dry_run_suffix(dry_run)}")


async def _wait(session: Session, waited: list[tuple[Victim, str]]) -> None:
    session.world.out.flush()
    limit = session.flags["timeout"] or WAIT_SECONDS_MAX
    for victim, uid in waited:
        try:
            async with session.world.clock.timeout(limit):
                await following.until_gone(session, victim.resource, victim.namespace, victim.name, uid)
        except TimeoutError as error:
            raise Fail(
                f"timed out waiting for the condition on {victim.resource.plural}/{victim.name}"
            ) from error


DELETE = Command(
    "delete",
    "delete ([-f FILENAME] | TYPE [(NAME | -l label | --all)])",
    "Delete resources by file names, stdin, resources and names, or by resources and label selector.",
    run=run,
    flags=FLAGS,
    examples="""
  # One Pod
  {program} delete pod kubia

  # What a file describes
  {program} delete -f kubia-rc.yaml

  # Everything of the usual kinds in the namespace
  {program} delete all --all
""",
)
