"""`set`: one thing in the Pod template of an object: images, environment, resources, service account."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from services.api.errors import ApiError
from services.client.transport import PatchType
from services.kubectl import manifests, resources
from services.kubectl.commands import set_env, set_resources
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, quote, raise_all
from services.kubectl.flags import Flag, boolean, text, texts
from services.kubectl.output.results import DRY_RUN, FIELD_MANAGER, PRINT_FLAGS, Results
from services.kubectl.resources import Found
from services.kubectl.session import Session
from services.machinery import labels

Json = dict[str, Any]
Edit = Callable[[Json], None]

TEMPLATED = (
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "DaemonSet",
    "StatefulSet",
    "Job",
    "CronJob",
)
COMMON: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    DRY_RUN,
    FIELD_MANAGER,
    boolean("all", "Every object of the kinds in the namespace"),
    texts("filename", "Files that name the objects", short="f"),
    text("kustomize", "Not supported", short="k"),
    boolean("local", "Only change what the files hold"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    text("selector", "Only objects whose labels match", short="l"),
)


class Unfit(Fail):
    """The object has not what is to be set."""


async def _targets(session: Session, words: list[str]) -> list[Found]:
    flags = session.flags
    if flags["local"]:
        return manifests.local(session)
    selecting = bool(flags["all"] or flags["selector"])
    wanted = (
        manifests.references(session)
        if flags["filename"]
        else resources.parse(session, words, collections=selecting)
    )
    found, errors = await resources.fetch(session, wanted, labels=flags["selector"])
    raise_all(errors)
    return found


def divide(args: list[str], what: str) -> tuple[list[str], list[str]]:
    """Words that name objects, then the changes."""
    words: list[str] = []
    changes: list[str] = []
    for arg in args:
        if "=" in arg or (arg.endswith("-") and what == "environment variable"):
            changes.append(arg)
        elif changes:
            raise Fail(f"all resources must be specified before {what} changes: {arg}")
        else:
            words.append(arg)
    return words, changes


def pod_spec(obj: Json) -> Json:
    """The Pod spec inside an object."""
    if obj["kind"] == "Pod":
        return obj.setdefault("spec", {})  # type: ignore[no-any-return]
    if obj["kind"] not in TEMPLATED:
        raise Unfit(f"the object is not a pod or does not have a pod template: *v1.{obj['kind']}")
    holder = obj["spec"]["jobTemplate"] if obj["kind"] == "CronJob" else obj
    spec: Json = holder["spec"]["template"].setdefault("spec", {})
    return spec


async def change(
    session: Session, found: list[Found], edit: Edit, operation: str, failing: str, *, always: bool = False
) -> None:
    """Edits each object, sends what differs as a strategic merge patch, and says so.

    `failing` begins what is said of a refusal. Without `always`, nothing is said of what stays as it was.
    """
    dry_run = session.dry_run()
    results = Results(session, operation, dry_run)
    errors: list[Exception] = []
    for item in found:
        edited = copy.deepcopy(item.object)
        try:
            edit(edited)
            if edited == item.object and not always:
                continue
            if dry_run != "client" and not session.flags["local"]:
                answer = await session.client.patch(
                    item.resource,
                    item.name,
                    item.namespace,
                    _difference(item.object, edited),
                    patch_type=PatchType.STRATEGIC,
                    dry_run=dry_run == "server",
                    field_manager=session.flags["field-manager"] or "kubectl-set",
                )
                edited = resources.complete(item.resource, session.took(answer))
            results.show(edited)
        except ApiError as error:
            errors.append(Fail(f"failed to patch {failing} {error.message}"))
        except Unfit as error:
            errors.append(Fail(f"{item.resource.plural}/{item.name} {error}"))
        except Fail as error:
            errors.append(error)
    raise_all(errors)


def _difference(before: Any, after: Any) -> Any:
    """A strategic merge patch between two Pod templates: lists of named things merge by name."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return after
    patch: Json = {}
    for key in {*before, *after}:
        old, new = before.get(key), after.get(key)
        if key not in after:
            patch[key] = None
        elif key in _WHOLE:
            patch[key] = new
        elif old != new:
            patch[key] = _named_difference(old, new) if _named(old) and _named(new) else _difference(old, new)
    return patch


_WHOLE = ("subjects",)  # lists that the API replaces as one


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value)


def _named_difference(before: Any, after: Any) -> list[Json]:
    old = {item["name"]: item for item in before}
    names = {item["name"] for item in after}
    patch = []
    for item in after:
        if item["name"] not in old:
            patch.append(item)
        elif item != old[item["name"]]:
            patch.append({**_difference(old[item["name"]], item), "name": item["name"]})
    return [*patch, *({"name": name, "$patch": "delete"} for name in old if name not in names)]


async def image(session: Session) -> None:
    words, changes = divide(session.args, "image")
    if not words and not session.flags["filename"]:
        raise Fail(resources.NO_RESOURCE)
    if not changes and len(words) < 2:
        raise Fail("at least one image update is required")
    if not changes:
        resources.parse(session, words)  # says what is wrong with `deploy/web a`
        raise Fail("at least one image update is required")
    images = dict(pair.split("=", 1) for pair in changes)

    def edit(obj: Json) -> None:
        spec = pod_spec(obj)
        everything = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
        for name, value in images.items():
            hits = [container for container in everything if name in ("*", container["name"])]
            if not hits:
                raise Fail(f"unable to find container named {quote(name)}")
            for container in hits:
                container["image"] = value

    await change(
        session, await _targets(session, words), edit, "image updated", "image update to pod template:"
    )


async def service_account(session: Session) -> None:
    if not session.args:
        raise Fail("serviceaccount is required")
    *words, name = session.args

    def edit(obj: Json) -> None:
        spec = pod_spec(obj)
        spec["serviceAccountName"] = spec["serviceAccount"] = name

    await change(
        *(session, await _targets(session, words), edit, "serviceaccount updated", "ServiceAccountName"),
        always=True,
    )


async def subject(session: Session) -> None:
    """Whom a binding names besides."""
    flags = session.flags
    accounts = [account.partition(":") for account in flags["serviceaccount"]]
    if not (flags["user"] or flags["group"] or accounts):
        raise Fail("you must specify at least one value of user, group or serviceaccount")
    for _, colon, name in accounts:
        if not (colon and name) or ":" in name:
            raise Fail("serviceaccount must be <namespace>:<name>")
    group = "rbac.authorization.k8s.io"
    wanted: list[Json] = [
        {"kind": "User", "apiGroup": group, "name": name} for name in sorted({*flags["user"]})
    ]
    wanted += [{"kind": "Group", "apiGroup": group, "name": name} for name in sorted({*flags["group"]})]
    wanted += [
        {"kind": "ServiceAccount", "namespace": namespace or session.namespace, "name": name}
        for namespace, _, name in sorted({*accounts})
    ]

    def edit(obj: Json) -> None:
        if obj["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            raise Unfit("setting subjects is only supported for RoleBinding/ClusterRoleBinding")
        held = obj.get("subjects") or []
        obj["subjects"] = [*held, *(each for each in wanted if each not in held)]

    targets = await _targets(session, session.args)
    if any(item.resource.kind == "ClusterRoleBinding" for item in targets):
        for namespace, _, _name in accounts:
            if not namespace:
                raise Fail("serviceaccount must be <namespace>:<name>, namespace must be specified")
    await change(session, targets, edit, "subjects updated", "subjects to rolebinding:")


async def selector(session: Session) -> None:
    if not session.args:
        raise Fail("one selector is required")
    *words, last = session.args
    try:
        requirements = labels.parse(last).requirements
    except labels.SelectorError as error:
        raise Fail(str(error)) from error
    found = await _targets(session, words)
    for item in found:
        if item.resource.kind != "Service":
            raise Fail("setting a selector is only supported for Services")
    wanted = _equalities(requirements)
    dry_run = session.dry_run()
    results = Results(session, "selector updated", dry_run)
    for item in found:
        if dry_run != "client":
            answer = await session.client.patch(
                item.resource,
                item.name,
                item.namespace,
                [{"op": "replace", "path": "/spec/selector", "value": wanted}],
                patch_type=PatchType.JSON,
                dry_run=dry_run == "server",
            )
            item.object = resources.complete(item.resource, session.took(answer))
        results.show(item.object)


def _equalities(requirements: Iterable[labels.Requirement]) -> dict[str, str]:
    """What a Service's selector cannot say is refused."""
    expressions = [each for each in requirements if each.operator not in _EQUAL]
    if expressions:
        shown = (
            f"{{{each.key} {_OPERATORS.get(each.operator, each.operator)} [{' '.join(each.values)}]}}"
            for each in expressions
        )
        raise Fail(f"match expression [{' '.join(shown)}] not supported on this object")
    return {each.key: each.values[0] for each in requirements}


_EQUAL = ("=", "==")
_OPERATORS = {"in": "In", "notin": "NotIn", "exists": "Exists", "!": "DoesNotExist", "!=": "NotIn"}


async def env(session: Session) -> None:
    words, changes = divide(session.args, "environment variable")
    flags = session.flags
    if not words and not flags["filename"]:
        raise Fail("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    if flags["list"] and flags["output"]:
        raise Fail("--list and --output may not be specified together")
    if flags["keys"] and not flags["from"]:
        raise Fail("when specifying --keys, a configmap or secret must be provided with --from")
    edit_spec = await set_env.editor(session, changes)
    found = await _targets(session, words)
    if flags["list"]:
        for item in found:
            spec = pod_spec(item.object)
            edit_spec(item.object, spec)
            await set_env.show(session, item, spec)
        return
    await change(
        session,
        found,
        lambda obj: edit_spec(obj, pod_spec(obj)),
        "env updated",
        "env update to pod template:",
    )


async def limits(session: Session) -> None:
    edit_spec = set_resources.editor(session)
    found = await _targets(session, session.args)
    await change(
        session,
        found,
        lambda obj: edit_spec(pod_spec(obj)),
        "resource requirements updated",
        "resources update to pod template",
    )


def _command(
    name: str,
    use: str,
    long: str,
    run: Callable[[Session], Awaitable[None]],
    *flags: Flag,
    aliases: tuple[str, ...] = (),
) -> Command:
    return Command(name, f"{name} {use}", long, run=run, flags=(*COMMON, *flags), aliases=aliases)


SET = Command(
    "set",
    "set SUBCOMMAND",
    "Configure application resources.\n\n These commands help you make changes to existing application"
    " resources.",
    children=(
        _command(
            "env",
            "RESOURCE/NAME KEY_1=VAL_1 ... KEY_N=VAL_N",
            "Update environment variables on a pod template",
            env,
            *set_env.FLAGS,
        ),
        _command(
            "image",
            "(-f FILENAME | TYPE NAME) CONTAINER_NAME_1=CONTAINER_IMAGE_1 ...",
            "Update the image of a pod template",
            image,
        ),
        _command(
            "resources",
            "(-f FILENAME | TYPE NAME)  ([--limits=LIMITS & --requests=REQUESTS]",
            "Update resource requests/limits on objects with pod templates",
            limits,
            *set_resources.FLAGS,
        ),
        _command(
            "selector", "(-f FILENAME | TYPE NAME) EXPRESSIONS", "Set the selector on a resource", selector
        ),
        _command(
            "serviceaccount",
            "(-f FILENAME | TYPE NAME) SERVICE_ACCOUNT",
            "Update the service account of a resource",
            service_account,
            aliases=("sa",),
        ),
        _command(
            "subject",
            "(-f FILENAME | TYPE NAME) [--user=username] [--group=groupname]"
            " [--serviceaccount=namespace:serviceaccountname]",
            "Update the user, group, or service account in a role binding or cluster role binding",
            subject,
            texts("user", "Usernames to bind to the role", split=False),
            texts("group", "Groups to bind to the role", split=False),
            texts("serviceaccount", "Service accounts to bind to the role, namespace:name", split=False),
        ),
    ),
)
