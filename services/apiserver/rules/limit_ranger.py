"""Admission plugin LimitRanger: what Pods and claims of a namespace may ask for, by its LimitRanges.

`complete` gives containers what they left out; `check` refuses what is out of bounds. What is stored is not
looked at again: a new LimitRange changes nothing that is there. Upstream: `plugin/pkg/admission/limitranger`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from services.api import core_v1, errors, kinds
from services.apiserver.rules.context import Context
from services.machinery import pod_amounts, quantity
from services.machinery.pod_amounts import Amounts

Json = dict[str, Any]

LIMIT_RANGES = kinds.resource_of(core_v1.LimitRange)
ANNOTATION = "kubernetes.io/limit-ranger"
LIMITED = ("Pod", "PersistentVolumeClaim")


def complete(obj: Json, ctx: Context) -> None:
    """Gives a Pod's containers the defaults, and says in an annotation which."""
    for limits in _limits(obj, ctx):
        default: Json = {}
        asked: Json = {}
        for limit in limits:
            if limit.get("type") == "Container":
                default |= limit.get("default") or {}
                asked |= limit.get("defaultRequest") or {}
        spec = obj["spec"]
        changes = [
            *_given(spec.get("containers"), default, asked, "container"),
            *_given(spec.get("initContainers"), default, asked, "init container"),
        ]
        if changes:
            annotations = obj["metadata"].setdefault("annotations", {})
            annotations[ANNOTATION] = f"LimitRanger plugin set: {'; '.join(changes)}"


def check(
    verb: str, resource: kinds.Resource, subresource: str, obj: Json, old: Json | None, ctx: Context
) -> None:
    """ApiError (403) for what is out of bounds."""
    if subresource not in ("", "resize"):
        return  # A report of what there is asks for nothing.
    if resource.kind == "Pod" and verb == "update" and not subresource:
        return  # What a Pod may use does not change otherwise.
    if old is not None and old["metadata"].get("deletionTimestamp"):
        return  # What goes must be able to lose its finalizers.
    for limits in _limits(obj, ctx):
        judge = _claim_faults if resource.kind == "PersistentVolumeClaim" else _pod_faults
        faults = list(judge(obj, limits))
        if faults:
            name = obj["metadata"].get("name") or obj["metadata"].get("generateName", "")
            shown = faults[0] if len(faults) == 1 else f"[{', '.join(dict.fromkeys(faults))}]"
            raise errors.forbidden(resource, name, shown)


def _limits(obj: Json, ctx: Context) -> Iterator[list[Json]]:
    """The limits of each LimitRange in the object's namespace."""
    for found in ctx.within(LIMIT_RANGES, obj["metadata"].get("namespace", "")):
        yield found["spec"].get("limits") or []


def _given(containers: Iterable[Json] | None, default: Json, asked: Json, what: str) -> Iterator[str]:
    """Fills in what is missing; yields what it set."""
    for container in containers or ():
        resources = container.get("resources") or {}
        for field, amounts, word in (("requests", asked, "request"), ("limits", default, "limit")):
            missing = [name for name in amounts if name not in (resources.get(field) or {})]
            if missing:
                more = {name: amounts[name] for name in missing}
                resources[field] = {**(resources.get(field) or {}), **more}
                yield f"{', '.join(sorted(missing))} {word} for {what} {container.get('name', '')}"
        if resources:
            container["resources"] = resources


# -- bounds --------------------------------------------------------------------------------------


def _pod_faults(pod: Json, limits: list[Json]) -> Iterator[str]:
    spec = pod["spec"]
    for limit in limits:
        match limit.get("type"):
            case "Container":
                for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
                    resources = container.get("resources") or {}
                    asked, limited = (
                        pod_amounts.amounts(resources.get(field) or {}) for field in ("requests", "limits")
                    )
                    yield from _bounds(limit, "Container", asked, limited)
            case "Pod":
                asked, limited = (pod_amounts.of_containers(spec, field) for field in ("requests", "limits"))
                yield from _bounds(limit, "Pod", asked, limited)


def _claim_faults(claim: Json, limits: list[Json]) -> Iterator[str]:
    asked = pod_amounts.amounts((claim["spec"].get("resources") or {}).get("requests") or {})
    for limit in limits:
        if limit.get("type") == "PersistentVolumeClaim":
            kind = "PersistentVolumeClaim"
            for name, text in _sorted(limit, "min"):
                yield from _least(kind, name, text, asked, {})
            for name, text in _sorted(limit, "max"):
                yield from _most_asked(kind, name, text, asked)


def _bounds(limit: Json, kind: str, asked: Amounts, limited: Amounts) -> Iterator[str]:
    for name, text in _sorted(limit, "min"):
        yield from _least(kind, name, text, asked, limited)
    for name, text in _sorted(limit, "max"):
        yield from _most(kind, name, text, asked, limited)
    for name, text in _sorted(limit, "maxLimitRequestRatio"):
        yield from _ratio(kind, name, text, asked, limited)


def _sorted(limit: Json, field: str) -> list[tuple[str, str]]:
    return sorted((limit.get(field) or {}).items())


def _least(kind: str, name: str, text: str, asked: Amounts, limited: Amounts) -> Iterator[str]:
    least, why = quantity.parse(text), f"minimum {name} usage per {kind} is {text}"
    if name not in asked:
        yield f"{why}.  No request is specified"
    elif asked[name] < least:
        yield f"{why}, but request is {pod_amounts.shown(name, asked[name])}"
    elif name in limited and limited[name] < least:
        yield f"{why}, but limit is {pod_amounts.shown(name, limited[name])}"


def _most(kind: str, name: str, text: str, asked: Amounts, limited: Amounts) -> Iterator[str]:
    most, why = quantity.parse(text), f"maximum {name} usage per {kind} is {text}"
    if name not in limited:
        yield f"{why}.  No limit is specified"
    elif limited[name] > most:
        yield f"{why}, but limit is {pod_amounts.shown(name, limited[name])}"
    elif asked.get(name, 0) > most:
        yield f"{why}, but request is {pod_amounts.shown(name, asked[name])}"


def _most_asked(kind: str, name: str, text: str, asked: Amounts) -> Iterator[str]:
    most, why = quantity.parse(text), f"maximum {name} usage per {kind} is {text}"
    if name not in asked:
        yield f"{why}.  No request is specified"
    elif asked[name] > most:
        yield f"{why}, but request is {pod_amounts.shown(name, asked[name])}"


def _ratio(kind: str, name: str, text: str, asked: Amounts, limited: Amounts) -> Iterator[str]:
    why = f"{name} max limit to request ratio per {kind} is {text}, but"
    if not asked.get(name):
        yield f"{why} no request is specified or request is 0"
    elif not limited.get(name):
        yield f"{why} no limit is specified or limit is 0"
    elif (ratio := limited[name] / asked[name]) > quantity.parse(text):
        yield f"{why} provided ratio is {float(ratio):f}"
