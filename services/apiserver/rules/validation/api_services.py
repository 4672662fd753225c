"""APIServices: which group and version is served, here or by a Service of the cluster."""

from __future__ import annotations

import base64
from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import object_meta, object_meta_update
from services.machinery.field_errors import Causes, invalid, not_supported, quoted, required

Json = dict[str, Any]

_STATUSES = ("True", "False", "Unknown")


def api_service(obj: Json, out: Causes) -> None:
    spec = obj["spec"]
    group, version = spec.get("group", ""), spec.get("version", "")

    def is_version_and_group(name: str) -> list[str]:
        wanted = f"{version}.{group}"
        if faults := names.path_segment(name):
            return faults
        return [] if name == wanted else [f'must be `spec.version+"."+spec.group`: {quoted(wanted)}']

    object_meta(obj["metadata"], False, is_version_and_group, out)
    if not group and version != "v1":
        why = "only v1 may have an empty group and it better be legacy kube"
        out.append(required("spec.group", why))
    if group:
        names.check(names.dns1123_subdomain(group), "spec.group", group, out)
    names.check(names.dns1035_label(version), "spec.version", version, out)
    for field, most in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        value = spec.get(field, 0)
        if not 0 < value <= most:
            out.append(invalid(f"spec.{field}", value, f"must be positive and less than {most}"))
    if spec.get("service") is None:
        _local(spec, out)
    else:
        _remote(spec, spec["service"], out)


def _local(spec: Json, out: Causes) -> None:
    if spec.get("caBundle"):
        size = len(base64.b64decode(spec["caBundle"]))
        out.append(invalid("spec.caBundle", f"{size} bytes", "local APIServices may not have a caBundle"))
    if spec.get("insecureSkipTLSVerify"):
        why = "local APIServices may not have insecureSkipTLSVerify"
        out.append(invalid("spec.insecureSkipTLSVerify", True, why))


def _remote(spec: Json, service: Json, out: Causes) -> None:
    for field in ("namespace", "name"):
        if not service.get(field):
            out.append(required(f"spec.service.{field}"))
    port = service.get("port") or 0
    if faults := names.port_number(port):
        out.append(invalid("spec.service.port", port, f"port is not valid: {', '.join(faults)}"))
    if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
        out.append(invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present"))


def api_service_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    api_service(new, out)


def api_service_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    for index, condition in enumerate(new["status"].get("conditions") or ()):
        status = condition.get("status", "")
        if status not in _STATUSES:
            out.append(not_supported(f"status.conditions[{index}].status", status, _STATUSES))
