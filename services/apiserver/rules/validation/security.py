"""Security contexts of Pods and containers."""

from __future__ import annotations

import re
from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.paths import local_descending_path
from services.machinery.field_errors import Causes, duplicate, forbidden, invalid, not_supported, required

Json = dict[str, Any]

_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = re.compile(rf"({_SYSCTL_SEGMENT}[\./])*{_SYSCTL_SEGMENT}")
# The fields of upstream's internal type in its order: refusals print it whole.
_INTERNAL = (
    ("Capabilities", "capabilities"), ("Privileged", "privileged"), ("SELinuxOptions", "seLinuxOptions"),
    ("WindowsOptions", "windowsOptions"), ("RunAsUser", "runAsUser"), ("RunAsGroup", "runAsGroup"),
    ("RunAsNonRoot", "runAsNonRoot"), ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem"),
    ("AllowPrivilegeEscalation", "allowPrivilegeEscalation"), ("ProcMount", "procMount"),
    ("SeccompProfile", "seccompProfile"), ("AppArmorProfile", "appArmorProfile"),
)  # fmt: skip


def container(found: Json | None, path: str, host_users: bool, out: Causes) -> None:
    if not found:
        return
    _identities(found, ("runAsUser", "runAsGroup"), path, out)
    proc_mount = found.get("procMount")
    if proc_mount is not None:
        if proc_mount not in ("Default", "Unmasked"):
            out.append(not_supported(f"{path}.procMount", proc_mount, ("Default", "Unmasked")))
        elif host_users and proc_mount == "Unmasked":
            why = "`hostUsers` must be false to use `Unmasked`"
            out.append(invalid(f"{path}.procMount", proc_mount, why))
    _seccomp(found.get("seccompProfile"), f"{path}.seccompProfile", out)
    if found.get("allowPrivilegeEscalation") is False:
        if found.get("privileged"):
            why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            out.append(invalid(path, _internal(found), why))
        if "CAP_SYS_ADMIN" in (found.get("capabilities") or {}).get("add", ()):
            why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            out.append(invalid(path, _internal(found), why))
    _app_armor(found.get("appArmorProfile"), f"{path}.appArmorProfile", out)


def _internal(found: Json) -> Json:
    return {internal: _capitalised(found.get(name)) for internal, name in _INTERNAL}


def _capitalised(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[:1].upper() + key[1:]: _capitalised(item) for key, item in value.items()}
    return value


def pod(spec: Json, path: str, out: Causes) -> None:
    found = spec.get("securityContext")
    if found:
        where = f"{path}.securityContext"
        _identities(found, ("fsGroup", "runAsUser", "runAsGroup"), where, out)
        for index, group in enumerate(found.get("supplementalGroups", ())):
            for fault in names.process_id(group):
                out.append(invalid(f"{where}.supplementalGroups[{index}]", group, fault))
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        out.append(invalid(f"{path}.securityContext.shareProcessNamespace", True, why))
    if found:
        _sysctls(found.get("sysctls", ()), spec, f"{where}.sysctls", out)
        _one_of(found, "fsGroupChangePolicy", ("Always", "OnRootMismatch"), where, out)
        _seccomp(found.get("seccompProfile"), f"{where}.seccompProfile", out)
        _app_armor(found.get("appArmorProfile"), f"{where}.appArmorProfile", out)
        _one_of(found, "supplementalGroupsPolicy", ("Merge", "Strict"), where, out)
        _one_of(found, "seLinuxChangePolicy", ("MountOption", "Recursive"), where, out)


def _one_of(found: Json, field: str, allowed: tuple[str, ...], path: str, out: Causes) -> None:
    value = found.get(field)
    if value is not None and value not in allowed:
        out.append(not_supported(f"{path}.{field}", value, allowed))


def _identities(found: Json, fields: tuple[str, ...], path: str, out: Causes) -> None:
    for field in fields:
        value = found.get(field)
        if value is not None:
            for fault in names.process_id(value):
                out.append(invalid(f"{path}.{field}", value, fault))


def _sysctls(values: list[Json], spec: Json, path: str, out: Causes) -> None:
    seen: set[str] = set()
    for index, sysctl in enumerate(values):
        name, where = sysctl.get("name", ""), f"{path}[{index}].name"
        if not name:
            out.append(required(where))
        elif len(name) > 253 or not _SYSCTL.fullmatch(name):
            out.append(
                invalid(where, name, f"must have at most 253 characters and match regex ^{_SYSCTL.pattern}$")
            )
        elif name in seen:
            out.append(duplicate(where, name))
        plain = name.replace("/", ".")
        if spec.get("hostNetwork") and plain.startswith("net."):
            out.append(invalid(where, name, "may not be specified when 'hostNetwork' is true"))
        elif spec.get("hostIPC") and plain.startswith(
            ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")
        ):
            out.append(invalid(where, name, "may not be specified when 'hostIPC' is true"))
        seen.add(name)


_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")


def _seccomp(profile: Json | None, path: str, out: Causes) -> None:
    if profile is None:
        return
    kind, local = profile.get("type", ""), profile.get("localhostProfile")
    if not kind:
        out.append(required(f"{path}.type", "type is required when seccompProfile is set"))
    elif kind not in _PROFILES:
        out.append(not_supported(f"{path}.type", kind, _PROFILES))
    if kind == "Localhost":
        if local is None:
            why = "must be set when seccomp type is Localhost"
            out.append(required(f"{path}.localhostProfile", why))
        else:
            local_descending_path(local, f"{path}.localhostProfile", out)
    elif local is not None:
        why = "can only be set when seccomp type is Localhost"
        out.append(invalid(f"{path}.localhostProfile", _capitalised(profile), why))


def _app_armor(profile: Json | None, path: str, out: Causes) -> None:
    if profile is None:
        return
    kind, local = profile.get("type", ""), profile.get("localhostProfile")
    if kind == "Localhost":
        if not (local or "").strip():
            out.append(required(f"{path}.localhostProfile", "must be set when AppArmor type is Localhost"))
        elif local != (local or "").strip():
            out.append(invalid(f"{path}.localhostProfile", local, "must not be padded with whitespace"))
    elif not kind:
        out.append(required(f"{path}.type", "type is required when appArmorProfile is set"))
    elif kind not in _PROFILES:
        out.append(not_supported(f"{path}.type", kind, _PROFILES))
    elif local is not None:
        why = "can only be set when AppArmor type is Localhost"
        out.append(invalid(f"{path}.localhostProfile", local, why))


def host_users(spec: Json, path: str, out: Causes) -> None:
    """A user namespace of its own cannot be mixed with the host's other namespaces."""
    if spec.get("hostUsers") is not False:
        return
    for field, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(field):
            out.append(forbidden(f"{path}.{shown}", "when `hostUsers` is false"))
