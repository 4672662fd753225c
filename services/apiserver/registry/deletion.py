"""What a deletion does to an object: at once, after grace, or when its finalizers are done.

Upstream: `registry/rest` BeforeDelete and the Store's handling of finalizers. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson

from services.api import errors
from services.api.errors import ApiError
from services.api.kinds import Resource
from services.apiserver.rules import json_text
from services.machinery.clock import parse_time, rfc3339

Json = dict[str, Any]
Propagation = Literal["", "Foreground", "Background", "Orphan"]
# A century: what is longer has no date, and would never be waited for.
GRACE_SECONDS_MAX = 100 * 365 * 86_400
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
DEFINITION_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
ORPHANING = ("jobs.batch", "replicationcontrollers")


@dataclass(frozen=True, slots=True)
class Options:
    """meta/v1 DeleteOptions, checked."""

    grace_seconds: int | None = None
    uid: str = ""
    resource_version: str = ""
    propagation: Propagation = ""
    dry_run: bool = False


def parse_options(raw: bytes) -> Options:
    """Reads DeleteOptions from JSON; empty bytes mean none. ApiError 400, 422."""
    if not raw:
        return Options()
    try:
        given = orjson.loads(raw)
    except orjson.JSONDecodeError:
        fault = json_text.syntax_fault(raw.decode(errors="replace")) or "invalid UTF-8"
        raise errors.bad_request(f"couldn't get version/kind; json parse error: {fault}") from None
    if not isinstance(given, dict):
        raise errors.bad_request("couldn't get version/kind; json parse error: not an object")
    if given.get("kind", "DeleteOptions") != "DeleteOptions":
        raise errors.bad_request(
            f'no kind "{given["kind"]}" is registered for version "{given.get("apiVersion", "")}" in scheme'
            ' "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"'
        )
    preconditions = given.get("preconditions") or {}
    grace = given.get("gracePeriodSeconds")
    if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int)):
        raise errors.bad_request("gracePeriodSeconds must be a number")
    if not isinstance(preconditions, dict):
        raise errors.bad_request("preconditions must be an object")
    return Options(
        None if grace is None else max(grace, 1 if grace < 0 else 0),
        str(preconditions.get("uid") or ""),
        str(preconditions.get("resourceVersion") or ""),
        _propagation(given),
        _dry_run(given),
    )


def _propagation(given: Json) -> Propagation:
    policy, orphan = given.get("propagationPolicy"), given.get("orphanDependents")
    if policy is not None and orphan is not None:
        raise _invalid(
            "propagationPolicy",
            "FieldValueInvalid",
            f'Invalid value: "{policy}": orphanDependents and deletionPropagation cannot be both set',
        )
    if policy is None:
        return "" if orphan is None else "Orphan" if orphan else "Background"
    if policy not in ("Foreground", "Background", "Orphan"):
        supported = '"Foreground", "Background", "Orphan", "nil"'
        raise _invalid(
            "propagationPolicy",
            "FieldValueNotSupported",
            f'Unsupported value: "{policy}": supported values: {supported}',
        )
    checked: Propagation = policy
    return checked


def _dry_run(given: Json) -> bool:
    values = given.get("dryRun") or []
    if values and values != ["All"]:
        shown = " ".join(f'"{value}"' for value in values)
        raise _invalid(
            "dryRun", "FieldValueNotSupported", f'Unsupported value: [{shown}]: supported values: "All"'
        )
    return bool(values)


def _invalid(field: str, reason: str, message: str) -> ApiError:
    cause = {"reason": reason, "message": message, "field": field}
    return errors.invalid("meta.k8s.io", "DeleteOptions", "", [cause])


def check_preconditions(resource: Resource, obj: Json, revision: int, options: Options) -> None:
    """ApiError 409 where the object is not the one that was meant."""
    uid = obj["metadata"].get("uid", "")
    if options.uid and options.uid != uid:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({uid})."
            " The object might have been deleted and then recreated"
        )
    elif options.resource_version and options.resource_version != str(revision):
        why = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the"
            f" ResourceVersion in record ({revision}). The object might have been modified"
        )
    else:
        return
    name = obj["metadata"]["name"]
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = {"name": name, "group": resource.group, "kind": resource.kind}
    raise errors.failure(409, "Conflict", f'Operation cannot be fulfilled on {kind} "{name}": {why}', details)


def orphans_by_default(resource: Resource, obj: Json) -> bool:
    """Whether a deletion that does not say leaves the dependents: the oldest controllers' way."""
    finalizers = obj["metadata"].get("finalizers") or ()
    return resource.qualified in ORPHANING and not {ORPHAN, FOREGROUND} & set(finalizers)


def warnings(resource: Resource, options: Options) -> tuple[str, ...]:
    """What is not obvious about the default."""
    if resource.qualified == "jobs.batch" and not options.propagation:
        return (
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to"
            " remove them or set propagationPolicy=Orphan to suppress this warning",
        )
    return ()


def before_delete(obj: Json, options: Options, grace: int | None, now: datetime) -> tuple[Json, bool]:
    """The object as it is after the request, and whether it goes at once.

    `grace` is what the kind's strategy makes of the wish; None: the kind knows no grace.
    """
    new = {**obj, "metadata": {**obj["metadata"]}}
    metadata = new["metadata"]
    _set_finalizers(metadata, options.propagation)
    if metadata.get("deletionTimestamp"):
        return _again(new, grace, now)
    held = bool(grace or metadata.get("finalizers"))
    if held or grace is not None:
        # Upstream marks what knows grace even where there is none left: the answer shows it.
        _mark(metadata, now, grace or 0)
    return new, not held


def _again(new: Json, grace: int | None, now: datetime) -> tuple[Json, bool]:
    """A deletion of what is being deleted: it may only become shorter."""
    metadata = new["metadata"]
    before = metadata.get("deletionGracePeriodSeconds", 0)
    after = before if grace is None else min(grace, before)
    if after < before:
        moment = parse_time(metadata["deletionTimestamp"]) - timedelta(
            seconds=min(before - after, GRACE_SECONDS_MAX)
        )
        metadata["deletionTimestamp"] = rfc3339(moment)
        metadata["deletionGracePeriodSeconds"] = after
    return new, after == 0 and not metadata.get("finalizers")


def _mark(metadata: Json, now: datetime, grace_seconds: int) -> None:
    metadata["deletionTimestamp"] = rfc3339(now + timedelta(seconds=min(grace_seconds, GRACE_SECONDS_MAX)))
    metadata["deletionGracePeriodSeconds"] = grace_seconds
    if metadata.get("generation", 0) > 0:
        metadata["generation"] += 1


def _set_finalizers(metadata: Json, propagation: Propagation) -> None:
    """The garbage collector's own finalizers follow the policy asked for; none asked keeps what is there."""
    if not propagation:
        return
    kept = [name for name in metadata.get("finalizers") or [] if name not in (ORPHAN, FOREGROUND)]
    if propagation == "Orphan":
        kept.append(ORPHAN)
    elif propagation == "Foreground":
        kept.append(FOREGROUND)
    if kept:
        metadata["finalizers"] = kept
    else:
        metadata.pop("finalizers", None)


def before_delete_namespace(obj: Json, options: Options, now: datetime) -> tuple[Json, bool]:
    """A namespace first loses what is in it: it waits for `spec.finalizers`, without grace."""
    new = {**obj, "metadata": {**obj["metadata"]}}
    _set_finalizers(new["metadata"], options.propagation)
    if not new["metadata"].get("deletionTimestamp"):
        new["metadata"]["deletionTimestamp"] = rfc3339(now)
        new["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
        return new, False
    held = (obj.get("spec") or {}).get("finalizers") or new["metadata"].get("finalizers")
    return new, not held


def before_delete_definition(obj: Json, options: Options, now: datetime) -> tuple[Json, bool]:
    """A definition first loses the objects that it defined: it waits for a finalizer of its own."""
    if obj["metadata"].get("deletionTimestamp"):
        return before_delete(obj, options, None, now)
    new = {**obj, "metadata": {**obj["metadata"]}}
    _set_finalizers(new["metadata"], options.propagation)
    new["metadata"]["deletionTimestamp"] = rfc3339(now)
    finalizers = new["metadata"].get("finalizers") or []
    if DEFINITION_FINALIZER not in finalizers:
        new["metadata"]["finalizers"] = [*finalizers, DEFINITION_FINALIZER]
    pending = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": rfc3339(now),
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }
    status = obj.get("status") or {}
    kept = [each for each in status.get("conditions") or () if each["type"] != "Terminating"]
    new["status"] = {**status, "conditions": [*kept, pending]}
    return new, False


def is_finished(new: Json, old: Json) -> bool:
    """Whether this update takes away the last thing that kept a deleted object."""
    before = old["metadata"]
    if not before.get("deletionTimestamp") or before.get("deletionGracePeriodSeconds"):
        return False
    if new["metadata"].get("finalizers"):
        return False
    return new.get("kind") != "Namespace" or not (new.get("spec") or {}).get("finalizers")
