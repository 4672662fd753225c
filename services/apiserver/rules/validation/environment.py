"""Environment variables, and the references that they and downward API volumes make."""

from __future__ import annotations

import re
from typing import Any

from services.apiserver.rules.validation import names
from services.machinery import quantity
from services.machinery.field_errors import Causes, invalid, not_supported, required

Json = dict[str, Any]

_ENV_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
VOLUME_FIELDS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
_CONVERTIBLE = frozenset(
    (*_ENV_FIELDS, *VOLUME_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase")
)
_RESOURCES = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory",
    "requests.cpu", "requests.ephemeral-storage", "requests.memory",
)  # fmt: skip
_SUBSCRIPT = re.compile(r"(.+)\['(.*)'\]")
_BYTES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")


def variables(values: list[Json], path: str, out: Causes) -> None:
    for index, variable in enumerate(values):
        name = variable.get("name", "")
        if not name:
            out.append(required(f"{path}[{index}].name"))
        elif faults := names.environment_name(name):
            names.check(faults, f"{path}[{index}].name", name, out)
        source = variable.get("valueFrom")
        if source is not None:
            _value_from(source, variable.get("value", ""), f"{path}[{index}].valueFrom", out)


def _value_from(source: Json, value: str, path: str, out: Causes) -> None:
    count = 0
    if source.get("fieldRef") is not None:
        count += 1
        field_reference(source["fieldRef"], _ENV_FIELDS, f"{path}.fieldRef", out)
    if source.get("resourceFieldRef") is not None:
        count += 1
        resource_reference(source["resourceFieldRef"], f"{path}.resourceFieldRef", out)
    for name in ("configMapKeyRef", "secretKeyRef"):
        if source.get(name) is not None:
            count += 1
            _key_reference(source[name], f"{path}.{name}", out)
    if source.get("fileKeyRef") is not None:
        count += 1
        _file_reference(source["fileKeyRef"], f"{path}.fileKeyRef", out)
    if not count:
        kinds = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        out.append(invalid(path, "", f"must specify one of: {kinds}"))
    elif value:
        out.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif count > 1:
        out.append(invalid(path, "", "may not have more than one field specified at a time"))


def field_reference(reference: Json, allowed: tuple[str, ...], path: str, out: Causes) -> None:
    version, field = reference.get("apiVersion", ""), reference.get("fieldPath", "")
    if not version or not field:
        out.append(required(f"{path}.{'fieldPath' if version else 'apiVersion'}"))
        return
    if version != "v1":
        why = f"error converting fieldPath: unsupported pod version: {version}"
        out.append(invalid(f"{path}.fieldPath", field, why))
        return
    match = _SUBSCRIPT.fullmatch(field)
    base = match[1] if match else field
    if match and base in ("metadata.annotations", "metadata.labels"):
        key = match[2].lower() if base == "metadata.annotations" else match[2]
        names.check(names.qualified_name(key), path, key, out)
    elif match:
        why = f"error converting fieldPath: field label does not support subscript: {field}"
        out.append(invalid(f"{path}.fieldPath", field, why))
    elif base not in _CONVERTIBLE:
        why = f"error converting fieldPath: field label not supported: {field}"
        out.append(invalid(f"{path}.fieldPath", field, why))
    elif base not in allowed:
        out.append(not_supported(f"{path}.fieldPath", base, sorted(allowed)))


def resource_reference(reference: Json, path: str, out: Causes, *, in_volume: bool = False) -> None:
    resource = reference.get("resource", "")
    if in_volume and not reference.get("containerName"):
        out.append(required(f"{path}.containerName"))
    elif not resource:
        out.append(required(f"{path}.resource"))
    elif resource not in _RESOURCES and not resource.startswith(("requests.hugepages-", "limits.hugepages-")):
        out.append(not_supported(f"{path}.resource", resource, _RESOURCES))
    divisor = reference.get("divisor", "0")
    if quantity.parse(divisor) == 0:
        return
    if resource in ("limits.cpu", "requests.cpu"):
        if divisor not in ("1m", "1"):
            why = "only divisor's values 1m and 1 are supported with the cpu resource"
            out.append(invalid(f"{path}.divisor", resource, why))
    elif divisor not in _BYTES:
        what = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}
        name = what.get(resource.partition(".")[2], "hugepages")
        why = f"only divisor's values {', '.join(_BYTES)} are supported with the {name} resource"
        out.append(invalid(f"{path}.divisor", resource, why))


def _key_reference(reference: Json, path: str, out: Causes) -> None:
    name, key = reference.get("name", ""), reference.get("key", "")
    names.check(names.dns1123_subdomain(name), f"{path}.name", name, out)
    if not key:
        out.append(required(f"{path}.key"))
    else:
        names.check(names.config_map_key(key), f"{path}.key", key, out)


def _file_reference(reference: Json, path: str, out: Causes) -> None:
    key = reference.get("key", "")
    if not key:
        out.append(required(f"{path}.key"))
    else:
        names.check(names.environment_name(key), f"{path}.key", key, out)
    for field in ("volumeName", "path"):
        if not reference.get(field):
            out.append(required(f"{path}.{field}"))


def sources(values: list[Json], path: str, out: Causes) -> None:
    """`envFrom`."""
    for index, source in enumerate(values):
        here = f"{path}[{index}]"
        if source.get("prefix"):
            names.check(names.environment_name(source["prefix"]), f"{here}.prefix", source["prefix"], out)
        count = 0
        for kind in ("configMapRef", "secretRef"):
            reference = source.get(kind)
            if reference is None:
                continue
            count += 1
            name = reference.get("name", "")
            if not name:
                out.append(required(f"{here}.{kind}.name"))
            else:
                check = names.prefix_of(names.dns1123_subdomain)
                names.check(check(name), f"{here}.{kind}.name", name, out)
        if not count:
            out.append(invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif count > 1:
            out.append(invalid(path, "", "may not have more than one field specified at a time"))
