"""`rollout`: how a workload's change goes on, what it was before, and back to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.client.transport import PatchType
from services.kubectl import following, manifests, resources, revisions
from services.kubectl.commands.create import LAST_APPLIED
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, quote, raise_all
from services.kubectl.flags import Flag, boolean, integer, seconds, text, texts
from services.kubectl.output import printers
from services.kubectl.output.results import DRY_RUN, FIELD_MANAGER, PRINT_FLAGS, Results
from services.kubectl.resources import Found
from services.kubectl.session import Session
from services.machinery.clock import rfc3339

Json = dict[str, Any]

_TARGETS: tuple[Flag, ...] = (
    texts("filename", "Files that name the objects", short="f"),
    text("kustomize", "Not supported", short="k"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    text("selector", "Only objects whose labels match", short="l"),
)
_CHANGES: tuple[Flag, ...] = (*_TARGETS, *PRINT_FLAGS, FIELD_MANAGER)


async def _found(session: Session) -> list[Found]:
    flags = session.flags
    if flags["filename"]:
        wanted = manifests.references(session)
    elif not session.args:
        raise Fail("required resource not specified")
    else:
        wanted = resources.parse(session, session.args)
        resources.check(wanted, selector=flags["selector"])
    found, errors = await resources.fetch(session, wanted, labels=flags["selector"])
    raise_all(errors)
    return found


async def status(session: Session) -> None:
    flags = session.flags
    found = await _found(session)
    if not found:
        session.complain(f"No resources found in {session.namespace} namespace.")
    for item in found:
        if item.resource.kind not in PROGRESS:
            raise Fail(f"no status viewer has been implemented for {item.resource.kind}")
        try:
            async with session.world.clock.timeout(flags["timeout"] or None):
                await _follow(session, item)
        except TimeoutError as error:
            raise Fail("timed out waiting for the condition") from error


async def _follow(session: Session, item: Found) -> None:
    """Prints the state of the rollout whenever it reads differently, until it is done."""
    last = ""
    async for obj in following.states(session, item.resource, item.namespace, item.name):
        if obj is None:
            raise Fail("object has been deleted")
        message, done = PROGRESS[item.resource.kind](obj, session.flags["revision"])
        if message != last:
            session.print(message)
            session.world.out.flush()
            last = message
        if done or not session.flags["watch"]:
            return


def progress(deployment: Json, revision: int = 0) -> tuple[str, bool]:
    """One sentence about a rollout, and whether it is over. Fail when it cannot succeed any more."""
    name = quote(deployment["metadata"]["name"])
    spec, state = deployment.get("spec") or {}, deployment.get("status") or {}
    current = revisions.number(deployment)
    if revision > 0 and revision != current:
        raise Fail(f"desired revision ({revision}) is different from the running revision ({current})")
    if deployment["metadata"].get("generation", 0) > state.get("observedGeneration", 0):
        return "Waiting for deployment spec update to be observed...", False
    for condition in state.get("conditions") or ():
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            raise Fail(f"deployment {name} exceeded its progress deadline")
    desired, updated = spec.get("replicas", 1), state.get("updatedReplicas", 0)
    total, available = state.get("replicas", 0), state.get("availableReplicas", 0)
    waiting = f"Waiting for deployment {name} rollout to finish:"
    if updated < desired:
        return f"{waiting} {updated} out of {desired} new replicas have been updated...", False
    if total > updated:
        return f"{waiting} {total - updated} old replicas are pending termination...", False
    if available < updated:
        return f"{waiting} {available} of {updated} updated replicas are available...", False
    return f"deployment {name} successfully rolled out", True


def daemons_progress(daemon_set: Json, revision: int = 0) -> tuple[str, bool]:
    name, state = quote(daemon_set["metadata"]["name"]), daemon_set.get("status") or {}
    _must_roll(daemon_set)
    if daemon_set["metadata"].get("generation", 0) > state.get("observedGeneration", 0):
        return "Waiting for daemon set spec update to be observed...", False
    desired, updated = state.get("desiredNumberScheduled", 0), state.get("updatedNumberScheduled", 0)
    available, waiting = state.get("numberAvailable", 0), f"Waiting for daemon set {name} rollout to finish:"
    if updated < desired:
        return f"{waiting} {updated} out of {desired} new pods have been updated...", False
    if available < desired:
        return f"{waiting} {available} of {desired} updated pods are available...", False
    return f"daemon set {name} successfully rolled out", True


def stateful_progress(stateful_set: Json, revision: int = 0) -> tuple[str, bool]:
    spec, state = stateful_set.get("spec") or {}, stateful_set.get("status") or {}
    _must_roll(stateful_set)
    observed = state.get("observedGeneration", 0)
    if not observed or stateful_set["metadata"].get("generation", 0) > observed:
        return "Waiting for statefulset spec update to be observed...", False
    replicas, updated = spec.get("replicas", 1), state.get("updatedReplicas", 0)
    if state.get("readyReplicas", 0) < replicas:
        return f"Waiting for {replicas - state.get('readyReplicas', 0)} pods to be ready...", False
    rolling = (spec.get("updateStrategy") or {}).get("rollingUpdate")
    if rolling is not None:
        wanted = replicas - rolling.get("partition", 0)
        if updated < wanted:
            waiting = "Waiting for partitioned roll out to finish:"
            return f"{waiting} {updated} out of {wanted} new pods have been updated...", False
        return f"partitioned roll out complete: {updated} new pods have been updated...", True
    current, target = state.get("currentRevision", ""), state.get("updateRevision", "")
    if current != target:
        waiting = "waiting for statefulset rolling update to complete"
        return f"{waiting} {updated} pods at revision {target}...", False
    count = state.get("currentReplicas", 0)
    return f"statefulset rolling update complete {count} pods at revision {current}...", True


def _must_roll(obj: Json) -> None:
    if ((obj.get("spec") or {}).get("updateStrategy") or {}).get("type") != "RollingUpdate":
        raise Fail("rollout status is only available for RollingUpdate strategy type")


PROGRESS = {"Deployment": progress, "DaemonSet": daemons_progress, "StatefulSet": stateful_progress}


async def history(session: Session) -> None:
    found = await _found(session)
    for item in found:
        if item.resource.kind not in PROGRESS:
            raise Fail(f"no history viewer has been implemented for {quote(_group_kind(item))}")
        past = await revisions.of(session, item)
        revision = session.flags["revision"]
        if revision < 0:
            raise Fail("revision must be a positive integer: " + str(revision))
        if printers.asked_for(session.flags) and item.resource.kind == "Deployment":
            _show_sets(session, past, revision)
            continue
        operation = f"with revision #{revision}" if revision > 0 else ""
        Results(session, f"{operation}\n{revisions.show(past, revision)}").show(item.object)


def _show_sets(session: Session, past: Sequence[Json], revision: int) -> None:
    """With -o, the ReplicaSets themselves: all of them, or that of one revision."""
    chosen = [each for each in past if revision in (0, revisions.number(each))]
    if revision and not chosen:
        raise Fail("unable to find the specified revision")
    results = Results(session, "")
    for each in chosen:
        results.show({"apiVersion": "apps/v1", "kind": "ReplicaSet", **each})


def _group_kind(item: Found) -> str:
    return f"{item.resource.kind}.{item.resource.group}" if item.resource.group else item.resource.kind


async def undo(session: Session) -> None:
    dry_run = session.dry_run()
    wanted = session.flags["to-revision"]
    for item in await _found(session):
        if item.resource.kind not in PROGRESS:
            raise Fail(f"no rollbacker has been implemented for {quote(_group_kind(item))}")
        if LAST_APPLIED in (item.object["metadata"].get("annotations") or {}):
            session.warn(
                f"resource {item.resource.plural}/{item.name} was previously managed with 'kubectl apply'."
                f" Rolling back will not update the {LAST_APPLIED} annotation, which may cause unexpected"
                " behavior on future 'kubectl apply' operations. Consider using 'kubectl apply' with your"
                " previous configuration file instead."
            )
        target = revisions.choose(await revisions.of(session, item), wanted, item)
        operation = await _roll_back(session, item, target, dry_run)
        Results(session, operation, dry_run).show(item.object)


async def _roll_back(session: Session, item: Found, target: Json, dry_run: str) -> str:
    if dry_run == "client":
        return revisions.template_text(target["spec"]["template"])
    if (item.object.get("spec") or {}).get("paused"):
        raise Fail(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume'"
            " and try again"
        )
    template = revisions.without_hash(target["spec"]["template"])
    if revisions.same_template(template, item.object["spec"]["template"]):
        return f"skipped rollback (current template already matches revision {revisions.number(target)})"
    patch, patch_type = _back_to(item, target, template)
    await session.client.patch(
        item.resource,
        item.name,
        item.namespace,
        patch,
        patch_type=patch_type,
        dry_run=dry_run == "server",
        field_manager="kubectl-rollout",
    )
    return "rolled back"


def _back_to(item: Found, target: Json, template: Json) -> tuple[Any, PatchType]:
    """A ControllerRevision is itself the patch that leads to it."""
    if item.resource.kind != "Deployment":
        return target["data"], PatchType.STRATEGIC
    annotations = revisions.annotations_after(item.object, target)
    patch = [
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "replace", "path": "/metadata/annotations", "value": annotations},
    ]
    return patch, PatchType.JSON


async def _change(session: Session, operation: str, patch_for: Any) -> None:
    results = Results(session, operation)
    errors: list[Exception] = []
    for item in await _found(session):
        try:
            patch = patch_for(item)
        except Fail as error:
            errors.append(error)
            continue
        answer = await session.client.patch(
            item.resource,
            item.name,
            item.namespace,
            patch,
            patch_type=PatchType.STRATEGIC,
            field_manager=session.flags["field-manager"] or "kubectl-rollout",
        )
        results.show(resources.complete(item.resource, session.took(answer)))
    raise_all(errors)


def _only_deployments(item: Found, doing: str) -> None:
    if item.resource.kind != "Deployment":
        raise Fail(f"{item.resource.qualified} {quote(item.name)} {doing} is not supported")


async def pause(session: Session) -> None:
    def patch(item: Found) -> Json:
        _only_deployments(item, "pausing")
        if item.object["spec"].get("paused"):
            raise Fail(f"{item.resource.qualified} {quote(item.name)} is already paused")
        return {"spec": {"paused": True}}

    await _change(session, "paused", patch)


async def resume(session: Session) -> None:
    def patch(item: Found) -> Json:
        _only_deployments(item, "resuming")
        if not item.object["spec"].get("paused"):
            raise Fail(f"{item.resource.qualified} {quote(item.name)} is not paused")
        return {"spec": {"paused": None}}

    await _change(session, "resumed", patch)


async def restart(session: Session) -> None:
    moment = rfc3339(session.world.clock.now())

    def patch(item: Found) -> Json:
        if item.resource.kind not in PROGRESS:
            _only_deployments(item, "restarting")
        if item.object["spec"].get("paused"):
            raise Fail(
                f"{item.resource.qualified} {quote(item.name)} can't restart paused deployment"
                " (run rollout resume first)"
            )
        annotations = {"kubectl.kubernetes.io/restartedAt": moment}
        return {"spec": {"template": {"metadata": {"annotations": annotations}}}}

    await _change(session, "restarted", patch)


def _command(name: str, use: str, long: str, run: Any, *flags: Flag) -> Command:
    return Command(name, f"{name} {use}", long, run=run, flags=flags)


ROLLOUT = Command(
    "rollout",
    "rollout SUBCOMMAND",
    "Manage the rollout of one or many resources.\n        \n Valid resource types include:\n\n  * "
    " deployments\n  *  daemonsets\n  *  statefulsets",
    children=(
        _command(
            "history",
            "(TYPE NAME | TYPE/NAME) [flags]",
            "View rollout history",
            history,
            *_TARGETS,
            *PRINT_FLAGS,
            integer("revision", "Show this revision in full"),
        ),
        _command("pause", "RESOURCE", "Mark the provided resource as paused", pause, *_CHANGES),
        _command("restart", "RESOURCE", "Restart a resource", restart, *_CHANGES),
        _command("resume", "RESOURCE", "Resume a paused resource", resume, *_CHANGES),
        _command(
            "status",
            "(TYPE NAME | TYPE/NAME) [flags]",
            "Show the status of the rollout",
            status,
            *_TARGETS,
            integer("revision", "Only wait for this revision"),
            seconds("timeout", "How long to wait; 0: as long as it takes"),
            boolean("watch", "Go on until the rollout is done", short="w", default=True),
        ),
        _command(
            "undo",
            "(TYPE NAME | TYPE/NAME) [flags]",
            "Undo a previous rollout",
            undo,
            *_TARGETS,
            *PRINT_FLAGS,
            DRY_RUN,
            integer("to-revision", "The revision to go back to; 0: the one before"),
        ),
    ),
    examples="""
  # Back to what was before
  {program} rollout undo deployment/kubia

  # Wait until the change is done
  {program} rollout status deployment/kubia
""",
)
