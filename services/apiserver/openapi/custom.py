"""Custom resources as OpenAPI describes them: their schema as it was written, and what all have. Pure.

In the second edition, all that it cannot say is left out, and where a schema is open so are its fields, for
kubectl would refuse what is not named. Upstream: apiextensions-apiserver's `controller/openapi/builder`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.apiserver.custom.resource import CustomResource
from services.apiserver.openapi.descriptions import description_of

Json = dict[str, Any]
Reference = Callable[[str], Json]

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_PRESERVE, _EMBEDDED = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"
_JUNCTIONS = ("allOf", "oneOf", "anyOf", "not")
_INNER = ("items", "additionalProperties")


def type_name(resource: CustomResource, kind: str) -> str:
    """`com.example.v1.Widget`."""
    group = ".".join(reversed(resource.group.split(".")))
    return f"{group}.{resource.version}.{kind}"


def described(resource: CustomResource, edition: int, reference: Reference) -> Json:
    """The type of its objects."""
    given = resource.compiled.version.get("schema") or {}
    schema = given.get("openAPIV3Schema")
    if not schema or (edition == 2 and schema.get(_PRESERVE)):
        # Whoever names some fields forbids all others to kubectl.
        made: Json = {"type": "object"}
    else:
        made = _copied(schema, edition, reference)
        made["properties"] = {
            **(made.get("properties") or {}),
            "apiVersion": _typed("apiVersion"),
            "kind": _typed("kind"),
            "metadata": _metadata(edition, reference),
        }
        made["properties"] = dict(sorted(made["properties"].items()))
    named = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    made["x-kubernetes-group-version-kind"] = [named]
    if fields := resource.compiled.version.get("selectableFields"):
        paths = [{"fieldPath": each["jsonPath"].removeprefix(".")} for each in fields]
        made["x-kubernetes-selectable-fields"] = paths
    return made


def described_list(resource: CustomResource, edition: int, reference: Reference) -> Json:
    named = {"group": resource.group, "version": resource.version, "kind": resource.list_kind}
    return {
        "description": f"{resource.list_kind} is a list of {resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": _typed("apiVersion"),
            "items": {"type": "array", "items": reference(type_name(resource, resource.kind))},
            "kind": _typed("kind"),
            "metadata": _wrapped(reference(f"{META}ListMeta"), edition),
        },
        "x-kubernetes-group-version-kind": [named],
    }


def _typed(field: str) -> Json:
    return {"type": "string", "description": description_of("", field)}


def _metadata(edition: int, reference: Reference) -> Json:
    text = {"description": description_of("", "metadata")}
    return _wrapped(reference(f"{META}ObjectMeta"), edition, text)


def _wrapped(value: Json, edition: int, extra: Json | None = None) -> Json:
    if edition == 3 and extra:
        return {"allOf": [value], **extra}
    return {**value, **(extra or {})}


def _copied(schema: Json, edition: int, reference: Reference) -> Json:
    made = dict(schema)
    if edition == 2:
        _simplify(made)
    if made.get("x-kubernetes-int-or-string") and edition == 3 and not made.get("anyOf"):
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if isinstance(properties := made.get("properties"), dict):
        made["properties"] = {name: _copied(inner, edition, reference) for name, inner in properties.items()}
    for name in _INNER:
        if isinstance(inner := made.get(name), dict):
            made[name] = _copied(inner, edition, reference)
    if made.get(_EMBEDDED) and not (edition == 2 and made.get(_PRESERVE)):
        _embed(made, edition, reference)
    return made


def _embed(made: Json, edition: int, reference: Reference) -> None:
    """An object inside of the object has a header of its own."""
    made["properties"] = {
        **(made.get("properties") or {}),
        "apiVersion": _typed("apiVersion"),
        "kind": _typed("kind"),
        "metadata": _metadata(edition, reference),
    }
    required = list(made.get("required") or ())
    made["required"] = required + [name for name in ("kind", "apiVersion") if name not in required]


def _simplify(made: Json) -> None:
    """In place, what the second edition can say."""
    for name in (*_JUNCTIONS, "default"):
        made.pop(name, None)
    if isinstance(properties := made.get("properties"), dict) and made.get("required"):
        optional = {name for name, inner in properties.items() if inner.get("nullable")}
        kept = [name for name in made["required"] if name not in optional]
        made["required"] = kept
        if not kept:
            del made["required"]
    nullable, is_open = made.pop("nullable", False), made.get(_PRESERVE)
    if nullable or is_open:
        made.pop("items", None)
        made.pop("properties", None)
        if nullable or made.get("type") == "object":
            made.pop("type", None)
    if made.get("type") == "array" and "items" not in made:
        del made["type"]
