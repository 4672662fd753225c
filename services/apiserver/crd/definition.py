"""Is a CustomResourceDefinition valid? Its names, versions, schemas, subresources, columns, conversion.

Upstream validates an internal form, in which what all versions have in common stands above them; the
paths in its refusals (`spec.validation.openAPIV3Schema`) are those of that form, and so are ours.
Upstream: `apis/apiextensions/validation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.apiserver.crd import (
    approval,
    conversion_checks,
    field_paths,
    internal_form,
    schemas,
)
from services.apiserver.crd.conditions import is_true
from services.apiserver.crd.structural import NotStructural, read
from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import generic_object_meta, immutable, object_meta_update
from services.machinery.field_errors import (
    Cause,
    Causes,
    duplicate,
    invalid,
    not_supported,
    required,
    too_many,
)

Json = dict[str, Any]

SELECTABLE_FIELDS_MAX = 8
WARNING_CHARACTERS_MAX = 256
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_SHARED = ("subresources", "schema", "additionalPrinterColumns", "selectableFields")
_MIXED_CASE = "may have mixed case, but should otherwise match: "


def create(obj: Json, out: Causes) -> None:
    def name_faults(name: str) -> list[str]:
        found = names.dns1123_subdomain(name)
        spec = obj["spec"]
        if name != f"{spec['names'].get('plural', '')}.{spec.get('group', '')}":
            found.append('must be spec.names.plural+"."+spec.group')
        return found

    generic_object_meta(obj["metadata"], False, name_faults, out)
    _check_spec(obj["spec"], schemas.Options(), out)
    _check_status(obj, out)
    approval.check(obj, None, out)
    _check_preserving(obj["spec"], None, out)


def update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    spec, before = new["spec"], old["spec"]
    _check_spec(spec, schemas.options_for_update(spec, before, established=is_true(old, "Established")), out)
    if is_true(old, "Established"):
        immutable(spec.get("scope", ""), before.get("scope", ""), "spec.scope", out)
        immutable(spec["names"].get("kind", ""), before["names"].get("kind", ""), "spec.names.kind", out)
    immutable(spec.get("group", ""), before.get("group", ""), "spec.group", out)
    immutable(spec["names"].get("plural", ""), before["names"].get("plural", ""), "spec.names.plural", out)
    _check_status(new, out)
    approval.check(new, old, out)
    _check_preserving(spec, before, out)


def status_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _check_names(new["status"].get("acceptedNames") or {}, "status.acceptedNames", out)


def _check_status(obj: Json, out: Causes) -> None:
    status = obj.get("status") or {}
    _check_names(status.get("acceptedNames") or {}, "status.acceptedNames", out)
    stored, path = status.get("storedVersions"), "status.storedVersions"
    if not stored:
        out.append(invalid(path, stored, "must have at least one stored version"))
        return
    known = [version["name"] for version in obj["spec"].get("versions") or ()]
    for version in obj["spec"].get("versions") or ():
        if version.get("storage") and version["name"] not in stored:
            out.append(invalid(path, stored, f"must have the storage version {version['name']}"))
    for index, name in enumerate(stored):
        if name not in known:
            why = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in"
                " spec.versions until a storage migration ensures no data remains persisted in"
                f" {name} and removes {name} from status.storedVersions"
            )
            out.append(invalid(f"{path}[{index}]", name, why))


def _check_preserving(spec: Json, old: Json | None, out: Causes) -> None:
    if spec.get("preserveUnknownFields") and not (old or {}).get("preserveUnknownFields"):
        why = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in"
            " spec.versions[*].schema instead"
        )
        out.append(invalid("spec.preserveUnknownFields", True, why))


@dataclass(frozen=True, slots=True)
class _Internal:
    """The spec as upstream holds it: what is the same in all versions, and the versions without that."""

    shared: Json
    versions: list[Json]


def _internal(spec: Json) -> _Internal:
    versions = [dict(version) for version in spec.get("versions") or ()]
    shared = {}
    for name in _SHARED:
        first = versions[0].get(name) if versions else None
        if versions and all(version.get(name) == first for version in versions):
            shared[name] = first
            for version in versions:
                version.pop(name, None)
    return _Internal({name: value for name, value in shared.items() if value is not None}, versions)


def _check_spec(spec: Json, options: schemas.Options, out: Causes) -> None:
    _check_group(spec.get("group", ""), out)
    scope = spec.get("scope", "")
    if not scope:
        out.append(required("spec.scope"))
    elif scope not in ("Cluster", "Namespaced"):
        out.append(not_supported("spec.scope", scope, ("Cluster", "Namespaced")))
    internal = _internal(spec)
    shared_schema = (internal.shared.get("schema") or {}).get("openAPIV3Schema")
    if shared_schema is None and options.require_schema:
        for index, version in enumerate(internal.versions):
            if (version.get("schema") or {}).get("openAPIV3Schema") is None:
                out.append(required(f"spec.versions[{index}].schema.openAPIV3Schema"))
    _check_versions(internal, options, out)
    _check_storage(internal, out)
    first = internal.versions[0]["name"] if internal.versions else ""
    if first and (found := names.dns1035_label(first)):
        out.append(invalid("spec.version", first, ",".join(found)))
    _check_required_names(spec["names"], out)
    _check_names(spec["names"], "spec.names", out)
    has_status = any(_has_status(each) for each in (internal.shared, *internal.versions))
    _check_shared(internal, has_status, options, out)
    preserves = bool(spec.get("preserveUnknownFields"))
    conversion_checks.check(spec.get("conversion"), preserves, options, out)


def _check_group(group: str, out: Causes) -> None:
    if not group:
        out.append(required("spec.group"))
    elif found := names.dns1123_subdomain(group):
        out.append(invalid("spec.group", group, ",".join(found)))
    elif "." not in group:
        out.append(invalid("spec.group", group, "should be a domain with at least one dot"))


def _has_status(holder: Json) -> bool:
    return (holder.get("subresources") or {}).get("status") is not None


def _check_versions(internal: _Internal, options: schemas.Options, out: Causes) -> None:
    for index, version in enumerate(internal.versions):
        here, name = f"spec.versions[{index}]", version.get("name", "")
        if found := names.dns1035_label(name):
            out.append(invalid(f"{here}.name", name, ",".join(found)))
        _check_deprecation(version, f"{here}.deprecationWarning", out)
        # What is shared is looked at where it stands; only its status counts here.
        has_status = _has_status(version) or _has_status(internal.shared)
        if name not in options.settled:
            schemas.check(version.get("schema"), has_status, f"{here}.schema", options, out, version=name)
        _check_subresources(version.get("subresources"), f"{here}.subresources", out)
        _check_columns(version.get("additionalPrinterColumns"), f"{here}.additionalPrinterColumns", out)
        fields = version.get("selectableFields")
        if fields and (version.get("schema") or {}).get("openAPIV3Schema") is None:
            why = "may only be set when `version.schema.openAPIV3Schema` is not included"
            out.append(invalid(f"{here}.selectableFields", "", why))
        elif fields:
            schema = version["schema"]["openAPIV3Schema"]
            _check_selectable(fields, schema, f"{here}.selectableFields", options, name, out)


def _check_shared(internal: _Internal, has_status: bool, options: schemas.Options, out: Causes) -> None:
    shared = internal.shared
    first = internal.versions[0]["name"] if internal.versions else ""
    if not all(version["name"] in options.settled for version in internal.versions):
        schemas.check(shared.get("schema"), has_status, "spec.validation", options, out, version=first)
    _check_subresources(shared.get("subresources"), "spec.subresources", out)
    _check_columns(shared.get("additionalPrinterColumns"), "spec.additionalPrinterColumns", out)
    fields = shared.get("selectableFields")
    if fields and shared.get("schema") is None:
        why = "may only be set when validations.schema is included"
        out.append(invalid("spec.selectableFields", "", why))
    elif fields:
        schema = shared["schema"].get("openAPIV3Schema") or {}
        _check_selectable(fields, schema, "spec.selectableFields", options, "", out)


def _check_storage(internal: _Internal, out: Causes) -> None:
    found = [version.get("name", "") for version in internal.versions]
    shown = internal_form.text([internal_form.version(version) for version in internal.versions])

    def refuse(why: str) -> None:
        message = f"Invalid value: {shown}: {why}"
        out.append({"reason": "FieldValueInvalid", "message": message, "field": "spec.versions"})

    if len(set(found)) < len(found):
        refuse("must contain unique version names")
    if sum(bool(version.get("storage")) for version in internal.versions) != 1:
        refuse("must have exactly one version marked as storage version")


def _check_deprecation(version: Json, path: str, out: Causes) -> None:
    warning = version.get("deprecationWarning")
    if warning is None:
        return
    if not version.get("deprecated"):
        out.append(invalid(path, warning, "can only be set for deprecated versions"))
        return
    if len(warning.encode()) > WARNING_CHARACTERS_MAX:
        out.append(invalid(path, warning, f"must be <= {WARNING_CHARACTERS_MAX} characters long"))
    if not warning:
        out.append(invalid(path, warning, "must not be an empty string"))
    for index, letter in enumerate(warning):
        if not letter.isprintable():
            at = len(warning[:index].encode())
            why = f"must only contain printable UTF-8 characters; non-printable character found at index {at}"
            out.append(invalid(path, warning, why))
            return


def _check_required_names(given: Json, out: Causes) -> None:
    for name in ("plural", "singular", "kind", "listKind"):
        if not given.get(name):
            out.append(required(f"spec.names.{name}"))


def _check_names(given: Json, path: str, out: Causes) -> None:
    for name in ("plural", "singular", "kind", "listKind"):
        value, mixed = given.get(name, ""), name in ("kind", "listKind")
        found = names.dns1035_label(value.lower() if mixed else value) if value else []
        if found:
            prefix = _MIXED_CASE if mixed else ""
            out.append(invalid(f"{path}.{name}", value, prefix + ",".join(found)))
    for index, value in enumerate(given.get("shortNames") or ()):
        if found := names.dns1035_label(value):
            out.append(invalid(f"{path}.shortNames[{index}]", value, ",".join(found)))
    if given.get("kind") and given.get("kind") == given.get("listKind"):
        out.append(invalid(f"{path}.listKind", given["listKind"], "kind and listKind may not be the same"))
    for index, value in enumerate(given.get("categories") or ()):
        if found := names.dns1035_label(value):
            out.append(invalid(f"{path}.categories[{index}]", value, ",".join(found)))


def _check_columns(columns: list[Json] | None, path: str, out: Causes) -> None:
    for index, column in enumerate(columns or ()):
        here = f"{path}[{index}]"
        if not column.get("name"):
            out.append(required(f"{here}.name"))
        kind, why = column.get("type", ""), f"must be one of {','.join(_COLUMN_TYPES)}"
        if not kind:
            out.append(required(f"{here}.type", why))
        elif kind not in _COLUMN_TYPES:
            out.append(invalid(f"{here}.type", kind, why))
        form = column.get("format", "")
        if form and form not in _COLUMN_FORMATS:
            out.append(invalid(f"{here}.format", form, f"must be one of {','.join(_COLUMN_FORMATS)}"))
        if not column.get("jsonPath"):
            out.append(required(f"{here}.JSONPath"))
        else:
            out += _path_faults(column["jsonPath"], f"{here}.JSONPath")


def _path_faults(given: str, path: str) -> Causes:
    if not given.startswith("."):
        return [invalid(path, given, "must be a simple json path starting with .")]
    return []


def _check_subresources(given: Json | None, path: str, out: Causes) -> None:
    scale = (given or {}).get("scale")
    if scale is None:
        return
    for name, roots in (("specReplicasPath", (".spec.",)), ("statusReplicasPath", (".status.",))):
        value = scale.get(name, "")
        if not value:
            out.append(required(f"{path}.scale.{name}"))
        else:
            out += _scale_path_faults(value, f"{path}.scale.{name}", roots)
    if value := scale.get("labelSelectorPath"):
        out += _scale_path_faults(value, f"{path}.scale.labelSelectorPath", (".spec.", ".status."))


def _scale_path_faults(value: str, path: str, roots: tuple[str, ...]) -> Causes:
    if found := _path_faults(value, path):
        return found
    if value.startswith(roots):
        return []
    where = " or ".join(root.removesuffix(".") for root in roots)
    return [invalid(path, value, f"should be a json path under {'either ' if len(roots) > 1 else ''}{where}")]


def _check_selectable(
    fields: list[Json], schema: Json, path: str, options: schemas.Options, version: str, out: Causes
) -> None:
    try:
        node = read(schema)
    except NotStructural as error:
        out.append(invalid(f"{path.rpartition('.')[0]}.schema.openAPIV3Schema", "", str(error)))
        return
    seen: set[str] = set()
    for index, field in enumerate(fields):
        here, given = f"{path}[{index}].jsonPath", field.get("jsonPath", "")
        if not given:
            out.append(required(here))
            continue
        try:
            found = field_paths.resolve(given, node, brackets=False)
        except field_paths.PathError as error:
            out.append(invalid(here, given, f"is an invalid path: {error}"))
            continue
        out += _selectable_faults(found, given, here)
        if found.text in seen:
            out.append(duplicate(here, given))
        seen.add(found.text)
    if len(seen) > SELECTABLE_FIELDS_MAX and version not in options.many_selectable_fields:
        out.append(too_many(path, len(seen), SELECTABLE_FIELDS_MAX))


def _selectable_faults(found: field_paths.FieldPath, given: str, path: str) -> Causes:
    out: list[Cause] = []
    if found.root == "metadata":
        out.append(invalid(path, given, "must not point to fields in metadata"))
    if found.node is None or found.node.type not in ("string", "boolean", "integer"):
        why = (
            "must point to a field of type string, boolean or integer. Enum string fields and strings with"
            " formats are allowed."
        )
        out.append(invalid(path, given, why))
    return out
