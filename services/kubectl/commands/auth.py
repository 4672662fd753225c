"""`auth can-i|whoami|reconcile`: who one is to the server, what one may do, and roles as they should be."""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import resources, served
from services.kubectl.commands import auth_reconcile
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail
from services.kubectl.flags import boolean, text
from services.kubectl.output import printers
from services.kubectl.output.columns import align
from services.kubectl.output.results import PRINT_FLAGS
from services.kubectl.session import Session
from services.machinery.policy_rules import broken_down, combined, compacted

Json = dict[str, Any]

_VERBS = frozenset(
    (
        *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "use", "bind"),
        *("impersonate", "*", "approve", "sign", "escalate", "attest"),
    )
)
_URL_VERBS = frozenset(("get", "put", "post", "head", "options", "delete", "patch", "*"))
_NOT_SERVED = ("users", "groups")  # known to roles alone
_USAGE = (
    "you must specify two arguments: verb resource or verb resource/resourceName.\n"
    "See '{} -h' for help and examples."
)


def _review(kind: str) -> kinds.Resource:
    group = "authentication" if kind == "SelfSubjectReview" else "authorization"
    found = kinds.review_named(f"{group}.k8s.io", "v1", f"{kind.lower()}s")
    assert found is not None
    return found


async def _ask(session: Session, kind: str, spec: Json | None = None) -> Json:
    resource = _review(kind)
    asked: Json = {"apiVersion": resource.api_version, "kind": kind, **({"spec": spec} if spec else {})}
    return session.took(await session.client.create(resource, asked))


# -- may I ---------------------------------------------------------------------------------------


async def can_i(session: Session) -> None:
    flags, args = session.flags, session.args
    if flags["list"]:
        if args:
            raise Fail("list option must be specified with no arguments")
        if flags["quiet"] or flags["all-namespaces"] or flags["subresource"]:
            why = "neither quiet, all-namespaces nor subresource options"
            raise Fail(f"list option can't be specified with {why}")
        await _list(session)
        return
    if len(args) != 2:
        raise Fail(_USAGE.format(session.command))
    namespace = "" if flags["all-namespaces"] else session.namespace
    verb, what = args
    spec = await _about(session, verb, what, namespace)
    if flags["no-headers"]:
        raise Fail("--no-headers cannot be set without --list specified")
    status = (await _ask(session, "SelfSubjectAccessReview", spec)).get("status") or {}
    allowed = bool(status.get("allowed"))
    if not flags["quiet"]:
        told = [status[field] for field in ("reason", "evaluationError") if status.get(field)]
        session.print("yes" if allowed else " - ".join(("no", *told)))
    if not allowed:
        raise session.exit(1)


async def _about(session: Session, verb: str, what: str, namespace: str) -> Json:
    """The review's spec; what of the words is unusual is warned of."""
    if what.startswith("/"):
        if session.flags["subresource"]:
            raise Fail("--subresource can not be used with NonResourceURL")
        if verb not in _URL_VERBS:
            session.warn(f"verb '{verb}' is not a known verb\n")
        return {"nonResourceAttributes": {"verb": verb, "path": what}}
    word, _, name = what.partition("/")
    found = None if word == "*" else await _resource(session, word)
    if found is not None and namespace and not found.namespaced:
        group = f" in group '{found.group}'" if found.group else ""
        session.warn(f"resource '{found.plural}' is not namespace scoped{group}\n")
    if not session.flags["all-namespaces"] and verb not in _VERBS:
        session.warn(f"verb '{verb}' is not a known verb\n")
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": found.group if found else "",
        "resource": found.plural if found else word,
        "subresource": session.flags["subresource"],
        "name": name,
    }
    return {"resourceAttributes": {key: value for key, value in attributes.items() if value}}


async def _resource(session: Session, word: str) -> kinds.Resource | None:
    try:
        return resources.lookup(word.lower())
    except served.Unserved:
        raise  # the whole command once more, when it is known what is served
    except Fail:
        if word.lower() not in _NOT_SERVED:
            plural, dot, group = word.lower().partition(".")
            where = f" in group '{group}'" if dot else ""
            session.warn(f"the server doesn't have a resource type '{plural}'{where}\n")
        return None


async def _list(session: Session) -> None:
    spec = {"namespace": session.namespace}
    status = (await _ask(session, "SelfSubjectRulesReview", spec)).get("status") or {}
    if status.get("incomplete"):
        session.warn(f"the list may be incomplete: {status.get('evaluationError', '')}")
    rules = [*(status.get("resourceRules") or ()), *(status.get("nonResourceRules") or ())]
    rows: list[tuple[str, ...]] = [] if session.flags["no-headers"] else [_HEAD]
    for rule in compacted(part for each in rules for part in broken_down(each)):
        lists = (rule.get(field) or () for field in ("nonResourceURLs", "resourceNames", "verbs"))
        rows.append((combined(rule), *(_shown(each) for each in lists)))
    for line in align(rows):
        session.print(line)


_HEAD = ("Resources", "Non-Resource URLs", "Resource Names", "Verbs")


def _shown(values: Any) -> str:
    return f"[{' '.join(values)}]"


# -- who am I ------------------------------------------------------------------------------------


async def who_am_i(session: Session) -> None:
    try:
        review = await _ask(session, "SelfSubjectReview")
    except ApiError as error:
        if error.code == 403:
            why = "the selfsubjectreviews API is not enabled in the cluster"
            raise Fail(f"{why} or you do not have permission to call it") from error
        raise
    if output := session.flags["output"]:
        session.write(printers.structured(output, session.flags["template"])(review))
        return
    user = (review.get("status") or {}).get("userInfo") or {}
    rows: list[tuple[str, str]] = [("ATTRIBUTE", "VALUE")]
    rows += [
        (shown, user[field]) for shown, field in (("Username", "username"), ("UID", "uid")) if user.get(field)
    ]
    rows += [("Groups", _shown(user["groups"]))] if user.get("groups") else []
    rows += [(f"Extra: {key}", _shown(values)) for key, values in sorted((user.get("extra") or {}).items())]
    for line in align(rows):
        session.print(line)


AUTH = Command(
    "auth",
    "auth [flags]",
    "Inspect authorization.",
    children=(
        Command(
            "can-i",
            "can-i VERB [TYPE | TYPE/NAME | NONRESOURCEURL]",
            "Check whether an action is allowed.",
            run=can_i,
            flags=(
                boolean("all-namespaces", "Whether it is allowed in all namespaces", short="A"),
                boolean("list", "Show all that is allowed"),
                boolean("no-headers", "Show that without headers"),
                boolean("quiet", "Say nothing, and tell it by the exit code", short="q"),
                text("subresource", "The subresource, such as pods' log"),
            ),
            examples="  # Whether I may create pods in any namespace\n"
            "  kubectl auth can-i create pods --all-namespaces\n\n"
            "  # All that I may do in a namespace\n  kubectl auth can-i --list --namespace=foo",
        ),
        Command(
            "reconcile",
            "reconcile -f FILENAME",
            "Reconciles rules for RBAC role, role binding, cluster role, and cluster role binding objects.",
            run=auth_reconcile.reconcile,
            flags=auth_reconcile.FLAGS,
            examples="  # Let the cluster's roles have what a file says\n"
            "  kubectl auth reconcile -f my-rbac-rules.yaml",
        ),
        Command(
            "whoami",
            "whoami",
            "Experimental: Check self subject attributes.",
            run=who_am_i,
            flags=PRINT_FLAGS,
            examples="  # Whom the server takes me for\n  kubectl auth whoami",
        ),
    ),
)
