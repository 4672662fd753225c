"""What the status of a definition says: which names it was given, whether it is served. Pure.

Each function gives the new status, or None where nothing is to change. Upstream: the naming, establishing
and finalizing controllers of apiextensions-apiserver.
"""

from __future__ import annotations

import binascii
import ssl
from base64 import b64decode
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from services.apiserver.custom.resource import condition, is_true
from services.machinery.clock import rfc3339

Json = dict[str, Any]
Judgement = tuple[str, str, str, str]  # type, status, reason, message

_SINGLE = ("plural", "singular", "kind", "listKind")


def named(definition: Json, others: Iterable[Json], now: datetime) -> Json | None:
    """Takes the names that nobody else in the group has."""
    wanted: Json = definition["spec"]["names"]
    status: Json = definition.get("status") or {}
    accepted: Json = status.get("acceptedNames") or {}
    if _same_names(wanted, accepted):
        return None
    resources, kinds = _taken(definition, others)
    names = dict(accepted)
    judgement: Judgement = ("NamesAccepted", "True", "NoConflicts", "no conflicts found")
    for field in ("plural", "singular"):
        judgement = _take(names, wanted, field, resources, judgement)
    judgement = _take_short_names(names, wanted, resources, judgement)
    for field in ("kind", "listKind"):
        judgement = _take(names, wanted, field, kinds, judgement)
    _copy(names, wanted, "categories")
    changed = set_condition(definition, judgement, now)
    if names == accepted and changed is None:
        return None
    made = {**(changed or status), "acceptedNames": {"kind": "", "plural": "", **names}}
    if not is_true(definition, "Established"):
        installing = judgement[1] == "True"
        established: Judgement = (
            ("Established", "False", "Installing", "the initial names have been accepted")
            if installing
            else ("Established", "False", "NotAccepted", "not all names are accepted")
        )
        if installing or condition(definition, "Established") is None:
            made = set_condition({**definition, "status": made}, established, now) or made
    return made


def _same_names(wanted: Json, accepted: Json) -> bool:
    fields = (*_SINGLE, "shortNames", "categories")
    return all((wanted.get(field) or None) == (accepted.get(field) or None) for field in fields)


def _taken(definition: Json, others: Iterable[Json]) -> tuple[set[str], set[str]]:
    """What others in the group go by: as resources, as kinds."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        same = other["metadata"]["name"] == definition["metadata"]["name"]
        if same or other["spec"]["group"] != definition["spec"]["group"]:
            continue
        names = (other.get("status") or {}).get("acceptedNames") or {}
        resources |= {names.get("plural", ""), names.get("singular", ""), *(names.get("shortNames") or ())}
        kinds |= {names.get("kind", ""), names.get("listKind", "")}
    return resources, kinds


def _take(names: Json, wanted: Json, field: str, taken: set[str], judgement: Judgement) -> Judgement:
    name = wanted.get(field, "")
    if name != names.get(field, "") and name in taken:
        reason = f"{field[0].upper()}{field[1:]}Conflict"
        return ("NamesAccepted", "False", reason, f'"{name}" is already in use')
    names[field] = name
    return judgement


def _take_short_names(names: Json, wanted: Json, taken: set[str], judgement: Judgement) -> Judgement:
    own = names.get("shortNames") or []
    clashes = [each for each in wanted.get("shortNames") or [] if each not in own and each in taken]
    if clashes:
        said = [f'"{each}" is already in use' for each in clashes]
        message = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
        return ("NamesAccepted", "False", "ShortNamesConflict", message)
    _copy(names, wanted, "shortNames")
    return judgement


def _copy(names: Json, wanted: Json, field: str) -> None:
    if wanted.get(field):
        names[field] = wanted[field]
    else:
        names.pop(field, None)


def established(definition: Json, now: datetime) -> Json | None:
    """Once its names are accepted and it is answered for."""
    if not is_true(definition, "NamesAccepted") or is_true(definition, "Established"):
        return None
    if not _bundle_is_valid(definition):
        why = "The conversion webhook CABundle is invalid"
        return set_condition(definition, ("Established", "False", "InvalidCABundle", why), now)
    said: Judgement = ("Established", "True", "InitialNamesAccepted", "the initial names have been accepted")
    return set_condition(definition, said, now)


def _bundle_is_valid(definition: Json) -> bool:
    webhook = (definition["spec"].get("conversion") or {}).get("webhook") or {}
    bundle = (webhook.get("clientConfig") or {}).get("caBundle") or ""
    try:
        text = b64decode(bundle).decode()
        if text.strip():
            ssl.create_default_context(cadata=text)
    except (binascii.Error, UnicodeDecodeError, ssl.SSLError, ValueError):
        return False
    return True


def without_condition(definition: Json, kind: str) -> Json | None:
    """The status without it."""
    if condition(definition, kind) is None:
        return None
    status = definition["status"]
    return {**status, "conditions": [each for each in status["conditions"] if each["type"] != kind]}


def set_condition(definition: Json, judgement: Judgement, now: datetime) -> Json | None:
    """The status with that condition; its time moves only when its status does."""
    kind, status, reason, message = judgement
    present = condition(definition, kind)
    told = {"type": kind, "status": status, "reason": reason, "message": message}
    if present is not None and all(present.get(field) == value for field, value in told.items()):
        return None
    moved = present is None or present["status"] != status
    when = rfc3339(now) if moved or present is None else present.get("lastTransitionTime")
    told["lastTransitionTime"] = when or rfc3339(now)
    before: Json = definition.get("status") or {}
    kept = before.get("conditions") or []
    if present is None:
        return {**before, "conditions": [*kept, told]}
    return {**before, "conditions": [told if each["type"] == kind else each for each in kept]}
