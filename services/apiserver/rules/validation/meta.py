"""`metadata`: names, labels, annotations, owners, finalizers, and what of them may never change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.apiserver.rules.validation import names
from services.machinery.field_errors import (
    Causes,
    forbidden,
    invalid,
    required,
    too_long,
)
from services.machinery.schema import definition, in_order

Json = dict[str, Any]

ANNOTATIONS_BYTES_MAX = 256 * 1024
_BANNED_OWNERS = {("v1", "Event"): "/v1, Kind=Event"}
_STANDARD_FINALIZERS = frozenset(("kubernetes", "orphan", "foregroundDeletion"))
IMMUTABLE = "field is immutable"


def object_meta(
    meta: Json, namespaced: bool, name_check: names.NameCheck, out: Causes, path: str = "metadata"
) -> None:
    """The metadata of an object of a built-in kind."""
    generic_object_meta(meta, namespaced, name_check, out, path)
    for index, value in enumerate(meta.get("finalizers", ())):
        kube_finalizer(value, f"{path}.finalizers[{index}]", out)


def generic_object_meta(
    meta: Json, namespaced: bool, name_check: names.NameCheck, out: Causes, path: str = "metadata"
) -> None:
    """The same for any kind: finalizers may be called what they like."""
    generate = meta.get("generateName")
    if generate:
        names.check(names.prefix_of(name_check)(generate), f"{path}.generateName", generate, out)
    name = meta.get("name", "")
    if not name:
        out.append(required(f"{path}.name", "name or generateName is required"))
    else:
        names.check(name_check(name), f"{path}.name", name, out)
    namespace = meta.get("namespace", "")
    if namespaced:
        if not namespace:
            out.append(required(f"{path}.namespace"))
        else:
            names.check(names.namespace_name(namespace), f"{path}.namespace", namespace, out)
    elif namespace:
        out.append(forbidden(f"{path}.namespace", "not allowed on this type"))
    if meta.get("generation", 0) < 0:
        out.append(invalid(f"{path}.generation", meta["generation"], NOT_NEGATIVE))
    _accessories(meta, path, out)
    finalizers(meta, path, out)


NOT_NEGATIVE = "must be greater than or equal to 0"


def _accessories(meta: Json, path: str, out: Causes) -> None:
    if "labels" in meta:
        labels(meta["labels"], f"{path}.labels", out)
    if "annotations" in meta:
        check_annotations(meta["annotations"], f"{path}.annotations", out)
    if "ownerReferences" in meta:
        _owners(meta["ownerReferences"], f"{path}.ownerReferences", out)


def labels(values: Mapping[str, str], path: str, out: Causes) -> None:
    for key, value in values.items():
        if faults := names.qualified_name(key):
            names.check(faults, path, key, out)
        if faults := names.label_value(value):
            names.check(faults, path, value, out)


def check_annotations(values: Mapping[str, str], path: str, out: Causes) -> None:
    size = 0
    for key, value in values.items():
        # Upstream looks at the key in lower case; capitals in the prefix are forgiven.
        if faults := names.qualified_name(key.lower()):
            names.check(faults, path, key, out)
        size += len(key) + len(value)
    if size > ANNOTATIONS_BYTES_MAX // 4 and _bytes(values) > ANNOTATIONS_BYTES_MAX:
        out.append(too_long(path, ANNOTATIONS_BYTES_MAX))


def _bytes(values: Mapping[str, str]) -> int:
    return sum(len(key.encode()) + len(value.encode()) for key, value in values.items())


def _owners(references: list[Json], path: str, out: Causes) -> None:
    first = ""
    for reference in references:
        _owner(reference, path, out)
        if reference.get("controller"):
            name = f"{reference.get('kind', '')}/{reference.get('name', '')}"
            if first:
                detail = (
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{first} and {name}"
                )
                shown = [in_order(each, definition("meta.v1.OwnerReference")) for each in references]
                out.append(invalid(path, shown, detail))
            else:
                first = name


def _owner(reference: Json, path: str, out: Causes) -> None:
    api_version, kind = reference.get("apiVersion", ""), reference.get("kind", "")
    if api_version.count("/") > 1:
        detail = f"unexpected GroupVersion string: {api_version}"
        out.append(invalid(f"{path}.apiVersion", api_version, detail))
    if not api_version.rpartition("/")[2]:
        out.append(invalid(f"{path}.apiVersion", api_version, "version must not be empty"))
    if not kind:
        out.append(invalid(f"{path}.kind", kind, "must not be empty"))
    for field in ("name", "uid"):
        if not reference.get(field):
            out.append(invalid(f"{path}.{field}", "", "must not be empty"))
    if banned := _BANNED_OWNERS.get((api_version, kind)):
        shown = in_order(reference, definition("meta.v1.OwnerReference"))
        out.append(invalid(path, shown, f"{banned} is disallowed from being an owner"))


def finalizers(meta: Json, path: str, out: Causes) -> None:
    values = meta.get("finalizers")
    if not values:
        return
    for value in values:
        names.check(names.qualified_name(value), f"{path}.finalizers", value, out)
    if "orphan" in values and "foregroundDeletion" in values:
        both = "finalizer orphan and foregroundDeletion cannot be both set"
        out.append(invalid(f"{path}.finalizers", values, both))


def kube_finalizer(value: str, path: str, out: Causes) -> None:
    if "/" not in value and value not in _STANDARD_FINALIZERS:
        detail = "name is neither a standard finalizer name nor is it fully qualified"
        out.append(invalid(path, value, detail))


def object_meta_update(new: Json, old: Json, out: Causes, path: str = "metadata") -> None:
    if old.get("deletionTimestamp"):
        added = [name for name in new.get("finalizers", ()) if name not in old.get("finalizers", ())]
        if added:
            listed = "[]string{" + ", ".join(f'"{name}"' for name in sorted(added)) + "}"
            why = "no new finalizers can be added if the object is being deleted, found new finalizers"
            out.append(forbidden(f"{path}.finalizers", f"{why} {listed}"))
    if new.get("generation", 0) < old.get("generation", 0):
        out.append(invalid(f"{path}.generation", new.get("generation", 0), "must not be decremented"))
    for field in _IMMUTABLE:
        if new.get(field) != old.get(field):
            out.append(invalid(f"{path}.{field}", new.get(field, _EMPTY.get(field)), IMMUTABLE))
    if any(new.get(field) != old.get(field) for field in _ACCESSORIES):
        _accessories(new, path, out)


_IMMUTABLE = (
    "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
)  # fmt: skip
_EMPTY = {"name": "", "namespace": "", "uid": ""}
# What was valid once stays so; only changes need to be looked at again.
_ACCESSORIES = ("labels", "annotations", "ownerReferences")
_CHECKED = (*_IMMUTABLE, *_ACCESSORIES, "generateName", "generation", "finalizers")


def changed(new: Json, old: Json) -> bool:
    """Whether anything in the metadata differs that validation looks at."""
    return any(new.get(field) != old.get(field) for field in _CHECKED)


def immutable(new: Any, old: Any, path: str, out: Causes) -> None:
    if new != old:
        out.append(invalid(path, new, IMMUTABLE))


def shown_selector(selector: Json | None) -> Json | None:
    """A LabelSelector as a message prints it."""
    return None if selector is None else dict(in_order(selector, definition("meta.v1.LabelSelector")))


def not_negative(holder: Json, field: str, path: str, out: Causes) -> None:
    value = holder.get(field)
    if value is not None and value < 0:
        out.append(invalid(f"{path}.{field}", value, NOT_NEGATIVE))


def label_selector(selector: Json | None, path: str, out: Causes) -> None:
    """`matchLabels` and `matchExpressions` of a LabelSelector."""
    if selector is None:
        return
    if "matchLabels" in selector:
        labels(selector["matchLabels"], f"{path}.matchLabels", out)
    for index, expression in enumerate(selector.get("matchExpressions", ())):
        _requirement(expression, f"{path}.matchExpressions[{index}]", out)


def _requirement(expression: Json, path: str, out: Causes) -> None:
    operator, values = expression.get("operator", ""), expression.get("values") or ()
    match operator:
        case "In" | "NotIn":
            if not values:
                out.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        case "Exists" | "DoesNotExist":
            if values:
                why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                out.append(forbidden(f"{path}.values", why))
        case _:
            out.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
    key = expression.get("key", "")
    names.check(names.qualified_name(key), f"{path}.key", key, out)
    for index, value in enumerate(values):
        names.check(names.label_value(value), f"{path}.values[{index}]", value, out)


def selects(selector: Json | None, values: Mapping[str, str]) -> bool:
    """Whether a valid LabelSelector matches; a missing one matches nothing."""
    if selector is None:
        return False
    if any(values.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_meets(expression, values) for expression in selector.get("matchExpressions", ()))


def _meets(expression: Json, values: Mapping[str, str]) -> bool:
    held, wanted = values.get(expression.get("key", "")), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return held is not None and held in wanted
        case "NotIn":
            return held is None or held not in wanted
        case "Exists":
            return held is not None
        case _:
            return held is None
