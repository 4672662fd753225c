"""`auth reconcile`: roles and bindings lack nothing that a file says, and keep what they have besides.

Rules are compared by what they allow, subjects one by one. A binding to another role is made anew. Upstream:
`component-helpers/auth/rbac/reconciliation`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from services.api import kinds
from services.api.errors import ApiError, is_already_exists, is_conflict, is_not_found
from services.kubectl import manifests
from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, boolean, text, texts
from services.kubectl.manifests import Manifest
from services.kubectl.output.results import DRY_RUN, PRINT_FLAGS, Results
from services.kubectl.session import Session
from services.machinery.policy_rules import text as shown_rule
from services.machinery.policy_rules import uncovered

Json = dict[str, Any]

FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    DRY_RUN,
    texts("filename", "Files of roles and bindings", short="f"),
    text("kustomize", "Not supported", short="k"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    boolean("remove-extra-permissions", "Take from roles what the file does not say"),
    boolean("remove-extra-subjects", "Take from bindings whom the file does not name"),
)
KINDS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
GROUP = "rbac.authorization.k8s.io"
AUTO_UPDATE = "rbac.authorization.kubernetes.io/autoupdate"
ATTEMPTS_MAX = 3


class Outcome(NamedTuple):
    """`operation` is empty where nothing lacks."""

    object: Json
    operation: str = ""
    missing: list[Json] = []
    extra: list[Json] = []


async def reconcile(session: Session) -> None:
    if not session.flags["filename"] and not session.flags["kustomize"]:
        raise Fail("must specify one of -f and -k")
    if session.args:
        raise Fail("no arguments are allowed")
    if (dry_run := session.dry_run()) == "server":
        raise Fail("--dry-run=server for kubectl auth reconcile is not supported yet")
    results = Results(session, "reconciled", dry_run)
    for item in manifests.objects(session):
        if item.resource.group == GROUP and item.resource.kind in KINDS:
            outcome = await _one(session, item, confirmed=dry_run == "none")
            results.show(outcome.object)
            _tell(session, outcome)


async def _one(session: Session, item: Manifest, *, confirmed: bool) -> Outcome:
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return await _attempt(session, item, confirmed)
        except ApiError as error:
            if attempt == ATTEMPTS_MAX or not is_conflict(error):
                raise
    raise AssertionError("unreachable")


async def _attempt(session: Session, item: Manifest, confirmed: bool) -> Outcome:
    is_role = item.resource.kind in ("Role", "ClusterRole")
    field = "rules" if is_role else "subjects"
    wanted = item.object.get(field) or []
    try:
        found = await session.client.get(item.resource, item.name, item.namespace)
    except ApiError as error:
        if not is_not_found(error):
            raise
        made = await _create(session, item) if confirmed else item.object
        return Outcome(made, "create", wanted)
    if not is_role and found.get("roleRef") != item.object.get("roleRef"):
        if confirmed:
            await session.client.delete(item.resource, item.name, item.namespace)
            found = await _create(session, item)
        return Outcome(found, "recreate")
    held = found.get(field) or []
    outcome = outcome_of(session, item, found, held, wanted, is_role=is_role)
    if outcome.operation and confirmed and _auto_updates(found):
        return outcome._replace(
            object=session.took(
                await session.client.update(item.resource, outcome.object, item.name, item.namespace)
            )
        )
    return outcome


def outcome_of(
    session: Session, item: Manifest, found: Json, held: list[Json], wanted: list[Json], *, is_role: bool
) -> Outcome:
    if is_role:
        missing, extra = uncovered(wanted, held), uncovered(held, wanted)
        drops, field = session.flags["remove-extra-permissions"], "rules"
    else:
        missing = [each for each in wanted if each not in held]
        extra = [each for each in held if each not in wanted]
        drops, field = session.flags["remove-extra-subjects"], "subjects"
    meta, model = found["metadata"], item.object.get("metadata") or {}
    marked = all(
        (meta.get(part) or {}).get(key) == value
        for part in ("labels", "annotations")
        for key, value in (model.get(part) or {}).items()
    )
    if not missing and marked and not (extra and drops):
        return Outcome(found)
    new = {**found, field: list(wanted) if drops else [*held, *missing]}
    new["metadata"] = {
        **meta,
        **{
            part: {**(meta.get(part) or {}), **(model.get(part) or {})}
            for part in ("labels", "annotations")
            if meta.get(part) or model.get(part)
        },
    }
    return Outcome(new, "update", missing, extra if drops else [])


def _auto_updates(found: Json) -> bool:
    return bool((found["metadata"].get("annotations") or {}).get(AUTO_UPDATE) != "false")


async def _create(session: Session, item: Manifest) -> Json:
    """With its namespace, where that is not there yet."""
    if item.namespace:
        namespaces = kinds.resource_of_kind("v1", "Namespace")
        assert namespaces is not None
        wanted = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": item.namespace}}
        try:
            await session.client.create(namespaces, wanted)
        except ApiError as error:
            if not is_already_exists(error):
                raise
    return session.took(await session.client.create(item.resource, item.object, item.namespace))


def _tell(session: Session, outcome: Outcome) -> None:
    if not outcome.operation:
        return
    held = "" if _auto_updates(outcome.object) else f", but object opted out ({AUTO_UPDATE}: false)"
    session.complain(f"\treconciliation required {outcome.operation}{held}")
    what = "rules" if outcome.object["kind"] in ("Role", "ClusterRole") else "subjects"
    for title, entries in (
        (f"missing {what} added", outcome.missing),
        (f"extra {what} removed", outcome.extra),
    ):
        if entries:
            session.complain(f"\t{title}:")
            for line in _lines(what, entries):
                session.complain(f"\t\t{line}")


def _lines(what: str, entries: Iterable[Json]) -> list[str]:
    if what == "rules":
        return [shown_rule(entry) for entry in entries]
    order = (("Kind", "kind"), ("APIGroup", "apiGroup"), ("Name", "name"), ("Namespace", "namespace"))
    return ["{" + " ".join(f"{go}:{each.get(key, '')}" for go, key in order) + "}" for each in entries]
