"""What a request's query says: the options of each verb, checked as upstream checks them.

ApiError (400) for what is no number, (422) for values and combinations that are not allowed.
"""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from services.api import errors
from services.apiserver.fronts.rest import bodies
from services.apiserver.fronts.rest.paths import is_set
from services.apiserver.registry.request import FieldValidation, ListOptions, WatchOptions, WriteOptions
from services.apiserver.tables import IncludeObject

TRUE = ("1", "t", "T", "true", "TRUE", "True")
INT64_MAX = 2**63 - 1
_VALIDATIONS: tuple[FieldValidation, ...] = ("Ignore", "Warn", "Strict")
_INCLUDES: tuple[IncludeObject, ...] = ("Metadata", "None", "Object")
_MATCHES = ("", "NotOlderThan", "Exact")
_WRITES = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}


def flag(request: web.Request, name: str) -> bool:
    return is_set(request.query, name)


def number_of(request: web.Request, name: str) -> int:
    """0 where it is not given. ApiError (400)."""
    text = request.query.get(name, "")
    if not text:
        return 0
    digits = text[1:] if text[0] in "+-" else text
    if not (digits.isascii() and digits.isdigit()):
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if len(digits) > 19 or abs(int(text)) > INT64_MAX:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
    return int(text)


# -- reading -------------------------------------------------------------------------------------


def list_options(request: web.Request) -> ListOptions:
    query = request.query
    match = query.get("resourceVersionMatch", "")
    limit, _ = number_of(request, "limit"), number_of(request, "timeoutSeconds")
    if "sendInitialEvents" in query:
        raise _refused(
            _cause("sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list", "Forbidden")
        )
    if match and query.get("continue"):
        raise _refused(_match("resourceVersionMatch is forbidden when continue is provided"))
    if match and not query.get("resourceVersion"):
        raise _refused(_match("resourceVersionMatch is forbidden unless resourceVersion is provided"))
    if match not in _MATCHES:
        why = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
        raise _refused(_cause("resourceVersionMatch", why, "NotSupported"))
    return ListOptions(
        labels=query.get("labelSelector", ""),
        fields=query.get("fieldSelector", ""),
        resource_version=query.get("resourceVersion", ""),
        version_match=match,  # type: ignore[arg-type]
        limit=max(limit, 0),
        continue_token=query.get("continue", ""),
    )


def watch_options(request: web.Request) -> WatchOptions:
    query = request.query
    timeout_seconds = number_of(request, "timeoutSeconds")
    number_of(request, "limit")
    match, initial = query.get("resourceVersionMatch", ""), "sendInitialEvents" in query
    causes = []
    if initial and match != "NotOlderThan":
        causes.append(_match("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
        if match:
            why = f'Unsupported value: "{match}": supported values: "NotOlderThan"'
            causes.append(_cause("resourceVersionMatch", why, "NotSupported"))
    elif match and not initial:
        causes.append(
            _match("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
        )
    if query.get("continue"):
        causes.append(_match("resourceVersionMatch is forbidden when continue is provided"))
    if causes:
        raise _refused(*causes)
    return WatchOptions(
        labels=query.get("labelSelector", ""),
        fields=query.get("fieldSelector", ""),
        resource_version=query.get("resourceVersion", ""),
        bookmarks=flag(request, "allowWatchBookmarks"),
        timeout_seconds=timeout_seconds,
        send_initial_events=flag(request, "sendInitialEvents") if initial else None,
    )


def _cause(field: str, why: str, reason: str) -> errors.Cause:
    return {"reason": f"FieldValue{reason}", "message": why, "field": field}


def _match(why: str) -> errors.Cause:
    return _cause("resourceVersionMatch", f"Forbidden: {why}", "Forbidden")


def _refused(*causes: errors.Cause, kind: str = "ListOptions") -> errors.ApiError:
    return errors.invalid("meta.k8s.io", kind, "", causes)


def include_of(request: web.Request) -> IncludeObject:
    wanted = request.query.get("includeObject", "") or "Metadata"
    known = next((each for each in _INCLUDES if each == wanted), None)
    if known is None:
        why = f"includeObject: Invalid value: \"{wanted}\": must be 'Metadata', 'Object', 'None', or empty"
        raise errors.bad_request(f"Unable to convert to Table as requested: {why}")
    return known


# -- writing -------------------------------------------------------------------------------------


def write_options(request: web.Request, *, applies: bool = False) -> WriteOptions:
    query = request.query
    dry_run = dry_run_of(request)
    validation = query.get("fieldValidation", "Warn") or "Warn"
    known = next((each for each in _VALIDATIONS if each == validation), None)
    if known is None:
        why = f'Unsupported value: "{validation}": supported values: "", "Ignore", "Strict", "Warn"'
        cause = _cause("fieldValidation", why, "NotSupported")
        raise _refused(cause, kind=_WRITES.get(request.method, "PatchOptions"))
    agent = request.headers.get("User-Agent", "").partition("/")[0] or "unknown"
    return WriteOptions(
        dry_run=dry_run,
        field_validation=known,
        field_manager=query.get("fieldManager", "") or ("" if applies else agent),
        force=flag(request, "force"),
        guard=request.get("guard"),
    )


def dry_run_of(request: web.Request) -> bool:
    """ApiError (422) for what is not `All`."""
    values = request.query.getall("dryRun", [])
    if any(value != "All" for value in values):
        shown = orjson.dumps(values).decode().replace('","', '", "')
        cause = _cause("dryRun", f'Unsupported value: {shown}: supported values: "All"', "NotSupported")
        raise _refused(cause, kind=_WRITES.get(request.method, "DeleteOptions"))
    return bool(values)


async def delete_options(request: web.Request) -> bytes:
    """The body's DeleteOptions, else those of the query."""
    body = (await bodies.read_object(request, "DeleteOptions")).json
    if body.strip() not in (b"", b"null"):
        return body
    query, options = request.query, dict[str, Any]()
    if query.get("gracePeriodSeconds"):
        options["gracePeriodSeconds"] = number_of(request, "gracePeriodSeconds")
    if policy := query.get("propagationPolicy"):
        options["propagationPolicy"] = policy
    if "orphanDependents" in query:
        options["orphanDependents"] = flag(request, "orphanDependents")
    return orjson.dumps({"kind": "DeleteOptions", "apiVersion": "v1", **options}) if options else b""
