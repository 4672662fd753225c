"""The schema of one version, or the one that all share, looked at from every side.

What an existing definition already does wrong is not held against its updates.
Upstream: `validateCustomResourceDefinitionValidation`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from services.apiserver.crd import (
    default_checks,
    formats,
    internal_form,
    rule_checks,
    schema_checks,
    structure_checks,
)
from services.apiserver.crd.structural import Node, NotStructural, read
from services.apiserver.rules.validation.webhook_clients import ca_bundle_fault
from services.machinery.field_errors import Causes, forbidden, invalid

Json = dict[str, Any]

_ALLOWED_AT_ROOT = (
    "Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum",
    "MaxLength", "MinLength", "Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required",
    "Items", "Properties", "ExternalDocs", "Example", "XPreserveUnknownFields", "XValidations",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """What is required of a definition: everything when it is created."""

    require_schema: bool = True
    require_pruned_defaults: bool = True
    require_known_review_version: bool = True
    allow_bad_ca_bundle: bool = True
    many_selectable_fields: frozenset[str] = frozenset()  # versions; "" what all share
    unchanged: frozenset[str] = frozenset()  # versions whose schema is as it was
    settled: frozenset[str] = frozenset()  # those whose subresources are as they were, too


def options_for_update(new: Json, old: Json, *, established: bool) -> Options:
    versions = old.get("versions") or ()
    review_versions = ((old.get("conversion") or {}).get("webhook") or {}).get("conversionReviewVersions")
    bundle = (((old.get("conversion") or {}).get("webhook") or {}).get("clientConfig") or {}).get("caBundle")
    settled = _unchanged(new, old, "schema", "subresources")
    return Options(
        require_schema=all((each.get("schema") or {}).get("openAPIV3Schema") for each in versions),
        require_pruned_defaults=settled >= {each["name"] for each in versions}
        or not any(_has_unpruned_defaults(each) for each in versions),
        require_known_review_version=not review_versions or bool({"v1", "v1beta1"} & set(review_versions)),
        allow_bad_ca_bundle=not established or (bundle is not None and bool(ca_bundle_fault(bundle))),
        many_selectable_fields=_kept_selectable_fields(new, old),
        unchanged=_unchanged(new, old, "schema"),
        settled=settled,
    )


def _unchanged(new: Json, old: Json, *parts: str) -> frozenset[str]:
    """The versions in which these parts are as they were."""
    before = {each["name"]: [each.get(part) for part in parts] for each in old.get("versions") or ()}
    return frozenset(
        each["name"]
        for each in new.get("versions") or ()
        if before.get(each["name"]) == [each.get(part) for part in parts]
    )


def _kept_selectable_fields(new: Json, old: Json) -> frozenset[str]:
    """The versions whose selectable fields were too many before, and are the same."""
    before = {each["name"]: each.get("selectableFields") or [] for each in old.get("versions") or ()}
    kept = {
        each["name"]
        for each in new.get("versions") or ()
        if len(before.get(each["name"], ())) > 8 and before[each["name"]] == each.get("selectableFields")
    }
    return frozenset({*kept, ""} if kept and len(kept) == len(new.get("versions") or ()) else kept)


def _has_unpruned_defaults(version: Json) -> bool:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None or not any("default" in each for each in every(schema)):
        return False
    if structure_checks.structural_faults(schema, ""):
        return False
    return any("must not have unknown fields" in cause["message"] for cause in _default_faults(schema, ""))


def _default_faults(schema: Json, path: str, *, require_pruned: bool = True) -> Causes:
    return default_checks.default_faults(read(schema), path, require_pruned=require_pruned)


def check(
    validation: Json | None, has_status: bool, path: str, options: Options, out: Causes, *, version: str = ""
) -> None:
    """Appends what is wrong with `{openAPIV3Schema: …}`; None, where there is none, is fine."""
    schema = (validation or {}).get("openAPIV3Schema")
    if schema is None:
        return
    found: Causes = []
    if has_status:
        found += _root_faults(schema, path)
    path = f"{path}.openAPIV3Schema"
    if schema.get("nullable"):
        found.append(forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    not_structural: Causes = []
    place = schema_checks.Place(is_root=True)
    compiler = rule_checks.DefinitionRules(excused=version in options.unchanged)
    try:
        node = read(schema)
        faults = _structure_faults(node, path, options)
        found += faults
        place = replace(place, nodes={id(each.schema): each for each in _all_nodes(node)})
        if not faults:
            place = replace(place, compile_rules=compiler)
    except NotStructural as error:
        not_structural = [invalid(path, "", str(error))]
    checked = schema_checks.check(schema, path, place)
    found += checked.schema + checked.rules
    out += found or not_structural
    out += compiler.total_faults(path)


def _structure_faults(node: Node, path: str, options: Options) -> Causes:
    if found := structure_checks.structural_faults(node.schema, path):
        return found
    return default_checks.default_faults(node, path, require_pruned=options.require_pruned_defaults)


def _all_nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children():
        yield from _all_nodes(child)


def _root_faults(schema: Json, path: str) -> Causes:
    """With a status of its own, nothing at the root may bear on the status from outside of it."""
    for name in internal_form.fields_of(schema):
        if name == "Type":
            if schema["type"] != "object":
                why = (
                    'only "object" is allowed as the type at the root of the schema'
                    " if the status subresource is enabled"
                )
                return [invalid(f"{path}.openAPIV3Schema.type", schema["type"], why)]
        elif name not in _ALLOWED_AT_ROOT:
            shown = internal_form.text(internal_form.schema(schema))
            why = (
                f"only [{' '.join(_ALLOWED_AT_ROOT)}] fields are allowed at the root of the schema"
                " if the status subresource is enabled"
            )
            message = f"Invalid value: {shown}: {why}"
            return [{"reason": "FieldValueInvalid", "message": message, "field": f"{path}.openAPIV3Schema"}]
    return []


def every(schema: Json) -> Iterator[Json]:
    """The schema and all schemas in it."""
    yield schema
    for name in ("items", "not", "additionalProperties"):
        found = schema.get(name)
        if isinstance(found, dict):
            yield from every(found)
    for name in ("allOf", "anyOf", "oneOf"):
        for inner in schema.get(name) or ():
            yield from every(inner)
    for inner in (schema.get("properties") or {}).values():
        yield from every(inner)


def unknown_formats(spec: Json) -> list[str]:
    """The formats that are not checked, as often as they are written."""
    found, seen = [], list[Json]()
    for version in spec.get("versions") or ():
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None or schema in seen:
            continue
        seen.append(schema)
        for each in every(schema):
            name, kind = each.get("format", ""), each.get("type", "")
            if name and not formats.recognised(name, (kind,) if kind else ("",)):
                found.append(name)
    return found


def warnings(new: Json, old: Json | None) -> list[str]:
    """Of formats that mean nothing, when they are new."""
    before = set(unknown_formats(old["spec"])) if old is not None else set[str]()
    return [f'unrecognized format "{name}"' for name in unknown_formats(new["spec"]) if name not in before]
