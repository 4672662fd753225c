"""Server-side apply: the caller says what it wants of an object, and owns exactly that.

The configuration is merged over the live object; fields that this manager applied before and names
no more are removed, unless another manager owns them too. Changing what another owns is a conflict,
and with `force` a takeover. Upstream: structured-merge-diff's `merge.Updater.Apply`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from services.api.errors import ApiError, bad_request, failure, invalid
from services.machinery import yaml_documents
from services.machinery.clock import rfc3339
from services.machinery.patch import field_set, managed_fields, typed, validate
from services.machinery.patch.field_set import FieldSet
from services.machinery.patch.managed_fields import FIRST, Identity, Managers, Owner
from services.machinery.patch.shapes import shape_of
from services.machinery.schema import Schema

Json = dict[str, Any]


def parse(body: bytes) -> Json:
    """The configuration, from YAML or JSON. ApiError 400."""
    try:
        config = orjson.loads(body)
    except orjson.JSONDecodeError:
        config = _parse_yaml(body)
    if not isinstance(config, dict):
        raise bad_request("error decoding YAML: the configuration must be a map")
    return config


def _parse_yaml(body: bytes) -> Any:
    try:
        return yaml_documents.read(body)[0]
    except yaml_documents.Unreadable as error:
        raise bad_request(f"error decoding YAML: {error}") from None


def apply(
    live: Json | None,
    config: Json,
    *,
    manager: str,
    force: bool = False,
    subresource: str = "",
    api_version: str,
    kind: str,
    now: datetime,
    schema: Schema,
) -> Json:
    """The object that results, managedFields included; not yet defaulted or validated.

    `live` None: it is created. ApiError 409 with a cause for each conflict, 422 without a manager,
    500 (as upstream) when the configuration does not fit the schema.
    """
    _check(config, manager, api_version, kind)
    shape = shape_of(schema)
    if faults := validate.faults(config, shape):
        version = api_version if "/" in api_version else f"/{api_version}"  # the core group has no name
        about = f"{_full_name(config)}; {version}, Kind={kind}"
        listed = faults[0] if len(faults) == 1 else "errors:\n" + "\n".join(f"  {fault}" for fault in faults)
        raise failure(500, "", f"failed to create typed patch object ({about}): {listed}")
    current: Json = live or {"apiVersion": api_version, "kind": kind, "metadata": {}}
    before = _unmanaged(current)
    managers = managed_fields.decode(current["metadata"].get("managedFields")) or Managers()
    if live is not None and not managers.owners:
        managers.owners[FIRST, "Update", api_version, ""] = Owner(
            managed_fields.owned_since_creation(before, schema), api_version, rfc3339(now)
        )
    identity: Identity = (manager, "Apply", "", subresource)
    last = managers.owners.get(identity)
    wanted = managed_fields.owned(typed.to_set(config, shape), schema, subresource)
    if wanted:
        time = last.time if last else None
        managers.owners[identity] = Owner(wanted, api_version, time)
    else:
        managers.owners.pop(identity, None)
    merged = typed.merge(before, config, shape)
    if last is not None:
        merged = _prune(merged, last.fields, managers, schema)
    merged.setdefault("metadata", {})
    return _settle(before, merged, managers, identity, force, now, schema, live is None)


def _full_name(config: Json) -> str:
    metadata = config.get("metadata")
    if not isinstance(metadata, dict):
        return "/"
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


def _check(config: Json, manager: str, api_version: str, kind: str) -> None:
    if not manager:
        cause = {
            "reason": "FieldValueRequired",
            "message": "Required value: is required for apply patch",
            "field": "fieldManager",
        }
        raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
    metadata = config.get("metadata")
    if isinstance(metadata, dict) and metadata.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    if config.get("apiVersion") != api_version:
        given = config.get("apiVersion") or ""
        raise bad_request(
            "Incorrect version specified in apply patch. "
            f"Specified patch version: {given}, expected: {api_version}"
        )
    if config.get("kind") != kind:
        raise bad_request(f"couldn't get version/kind; json parse error: kind {config.get('kind')!r}")


def _settle(
    before: Json,
    merged: Json,
    managers: Managers,
    identity: Identity,
    force: bool,
    now: datetime,
    schema: Schema,
    created: bool,
) -> Json:
    """Conflicts, takeovers, and the entries as they are from now on."""
    changed, removed = managed_fields.changes(None if created else before, merged, schema, identity[3])
    conflicts = {
        other: both
        for other, owner in managers.owners.items()
        if other != identity and (both := field_set.intersection(owner.fields, changed))
    }
    if conflicts and not force:
        raise _conflict(conflicts)
    managers.release(field_set.union(changed, removed), keep=identity)
    own = managers.owners.get(identity)
    if own is not None and (changed or removed):
        own.time = rfc3339(now)  # Owning what is there already leaves the time as it was.
    metadata = dict(merged["metadata"])
    metadata.pop("managedFields", None)
    if managers.owners:
        metadata["managedFields"] = managers.encoded()
    return {**merged, "metadata": metadata}


def _prune(merged: Json, last: FieldSet, managers: Managers, schema: Schema) -> Json:
    """Takes out what this manager named before and nobody names now."""
    shape = shape_of(schema)
    named: FieldSet = {}
    for owner in managers.owners.values():
        named = field_set.union(named, owner.fields)
    doomed = field_set.difference(typed.named_fields(last, shape), typed.named_fields(named, shape))
    pruned: Json = typed.remove(merged, doomed, shape) or {}
    return pruned


def _unmanaged(obj: Json) -> Json:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": metadata}


def _conflict(conflicts: dict[Identity, FieldSet]) -> ApiError:
    found = [(_described(identity), path) for identity, paths in sorted(conflicts.items(), key=_by_name)
             for path in field_set.paths(paths)]  # fmt: skip
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path}
        for who, path in found
    ]
    if len(found) == 1:
        message = f"Apply failed with 1 conflict: conflict with {found[0][0]}: {found[0][1]}"
    else:
        lines: list[str] = []
        for who in dict.fromkeys(who for who, _ in found):
            lines.append(f"conflicts with {who}:")
            lines += [f"- {path}" for other, path in found if other == who]
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return failure(409, "Conflict", message, {"causes": causes})


def _by_name(item: tuple[Identity, FieldSet]) -> Identity:
    return item[0]


def _described(identity: Identity) -> str:
    manager, operation, api_version, subresource = identity
    text = f'"{manager}"'
    if subresource:
        text += f' with subresource "{subresource}"'
    return f"{text} using {api_version}" if operation == "Update" else text
