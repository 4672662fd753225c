"""The checks of level `baseline`: no known way from a container to its node."""

from __future__ import annotations

from services.apiserver.rules.pod_security.pod import (
    Check,
    Finding,
    Json,
    containers,
    failing,
    has_own_users,
    listed,
    named,
    plural,
    security,
    setters,
)
from services.machinery.field_errors import quoted

_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
SECCOMP_TYPES = ("RuntimeDefault", "Localhost")
_CAPABILITIES = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t")
_SYSCTLS = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
)
_SYSCTLS_27 = (*_SYSCTLS, "net.ipv4.ip_local_reserved_ports")
_SYSCTLS_29 = (
    *_SYSCTLS_27,
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
)
_SYSCTLS_32 = (*_SYSCTLS_29, "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem")


def app_armor(meta: Json, spec: Json) -> Finding | None:
    def bad(holder: Json) -> str:
        profile = (security(holder).get("appArmorProfile") or {}).get("type", "")
        return "" if profile in ("", "RuntimeDefault", "Localhost") else profile

    values = {bad(spec), *map(bad, containers(spec))} - {""}
    who = [each for each in (setters(bad(spec), failing(spec, bad)),) if each]
    annotated = sorted(
        f"{key}={quoted(value)}"
        for key, value in (meta.get("annotations") or {}).items()
        if key.startswith(_APP_ARMOR)
        and value not in ("", "runtime/default")
        and not value.startswith("localhost/")
    )
    shown = [*sorted(values), *annotated]
    if not shown:
        return None
    if annotated:
        who.append(plural(len(annotated), "annotation"))
    detail = f"{' and '.join(who)} must not set AppArmor profile type to {listed(shown)}"
    return Finding(plural(len(shown), "forbidden AppArmor profile"), detail)


def capabilities(meta: Json, spec: Json) -> Finding | None:
    def added(container: Json) -> set[str]:
        given = (security(container).get("capabilities") or {}).get("add") or ()
        return {each for each in given if each not in _CAPABILITIES}

    found = failing(spec, added)
    if not found:
        return None
    forbidden = sorted(set[str]().union(*map(added, containers(spec))))
    detail = f"{named(found)} must not include {listed(forbidden)} in securityContext.capabilities.add"
    return Finding("non-default capabilities", detail)


def host_namespaces(meta: Json, spec: Json) -> Finding | None:
    found = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    return Finding("host namespaces", ", ".join(found)) if found else None


def host_path(meta: Json, spec: Json) -> Finding | None:
    found = [each["name"] for each in spec.get("volumes") or () if each.get("hostPath") is not None]
    if not found:
        return None
    return Finding("hostPath volumes", f"{plural(len(found), 'volume')} {listed(found)}")


def host_ports(meta: Json, spec: Json) -> Finding | None:
    def ports(container: Json) -> set[str]:
        return {str(each["hostPort"]) for each in container.get("ports") or () if each.get("hostPort")}

    found = failing(spec, ports)
    if not found:
        return None
    taken = sorted(set[str]().union(*map(ports, containers(spec))))
    reason = plural(len(taken), "hostPort")
    use = plural(len(found), "uses", "use")
    return Finding(reason, f"{named(found)} {use} {reason} {', '.join(taken)}")


def host_probes(meta: Json, spec: Json) -> Finding | None:
    def hosts(container: Json) -> set[str]:
        lifecycle = container.get("lifecycle") or {}
        handlers = [container.get(f"{name}Probe") for name in ("liveness", "readiness", "startup")]
        handlers += [lifecycle.get(name) for name in ("postStart", "preStop")]
        actions = [(each or {}).get(kind) or {} for each in handlers for kind in ("httpGet", "tcpSocket")]
        return {action["host"] for action in actions if action.get("host")}

    found = sorted({*failing(spec, hosts)})
    if not found:
        return None
    asked = sorted(set[str]().union(*map(hosts, containers(spec))))
    use, what = plural(len(found), "uses", "use"), plural(len(asked), "probe or lifecycle host")
    return Finding("probe or lifecycle host", f"{named(found)} {use} {what} {listed(asked)}")


def privileged(meta: Json, spec: Json) -> Finding | None:
    found = failing(spec, lambda container: security(container).get("privileged"))
    if not found:
        return None
    return Finding("privileged", f"{named(found)} must not set securityContext.privileged=true")


def proc_mount(meta: Json, spec: Json) -> Finding | None:
    def kind(container: Json) -> str:
        given = security(container).get("procMount") or "Default"
        return "" if given == "Default" else given

    found = failing(spec, kind)
    if not found:
        return None
    kinds = sorted({*map(kind, containers(spec))} - {""})
    return Finding("procMount", f"{named(found)} must not set securityContext.procMount to {listed(kinds)}")


def proc_mount_35(meta: Json, spec: Json) -> Finding | None:
    return None if has_own_users(spec) else proc_mount(meta, spec)


def _selinux(types: tuple[str, ...]) -> Check:
    def check(meta: Json, spec: Json) -> Finding | None:
        def options(holder: Json) -> Json:
            found: Json = security(holder).get("seLinuxOptions") or {}
            return found

        def bad(holder: Json) -> bool:
            given = options(holder)
            return given.get("type", "") not in types or bool(given.get("user") or given.get("role"))

        who = setters(bad(spec), failing(spec, bad))
        if not who:
            return None
        given = [options(spec), *map(options, containers(spec))]
        forbidden = sorted({each.get("type", "") for each in given} - {*types})
        what = [f"{plural(len(forbidden), 'type')} {listed(forbidden)}"] if forbidden else []
        what += [f"{field} may not be set" for field in ("user", "role") if any(e.get(field) for e in given)]
        detail = f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(what)}"
        return Finding("seLinuxOptions", detail)

    return check


selinux = _selinux(_SELINUX_TYPES)
selinux_31 = _selinux((*_SELINUX_TYPES, "container_engine_t"))


def seccomp_annotations(meta: Json, spec: Json) -> Finding | None:
    """Before 1.19 the profile stood in annotations."""
    keys = (_SECCOMP_POD, *(f"{_SECCOMP_CONTAINER}{each.get('name', '')}" for each in containers(spec)))
    annotations = meta.get("annotations") or {}
    found = sorted(
        f"{key}={quoted(annotations[key])}"
        for key in {*keys}
        if key in annotations
        and annotations[key] not in ("runtime/default", "docker/default")
        and not annotations[key].startswith("localhost/")
    )
    if not found:
        return None
    return Finding("seccompProfile", f"forbidden {plural(len(found), 'annotation')} {', '.join(found)}")


def bad_seccomp(holder: Json) -> str:
    """The type of a profile that lets through what it should not."""
    given: str = (security(holder).get("seccompProfile") or {}).get("type", "")
    return "" if given in SECCOMP_TYPES else given


def seccomp(meta: Json, spec: Json) -> Finding | None:
    who = setters(bad_seccomp(spec), failing(spec, bad_seccomp))
    if not who:
        return None
    values = sorted({bad_seccomp(spec), *map(bad_seccomp, containers(spec))} - {""})
    detail = f"{who} must not set securityContext.seccompProfile.type to {listed(values)}"
    return Finding("seccompProfile", detail)


def _sysctls(allowed: tuple[str, ...]) -> Check:
    def check(meta: Json, spec: Json) -> Finding | None:
        given = (each.get("name", "") for each in security(spec).get("sysctls") or ())
        found = [name for name in given if name not in allowed]
        return Finding("forbidden sysctls", ", ".join(found)) if found else None

    return check


sysctls, sysctls_27, sysctls_29, sysctls_32 = map(_sysctls, (_SYSCTLS, _SYSCTLS_27, _SYSCTLS_29, _SYSCTLS_32))


def windows_host_process(meta: Json, spec: Json) -> Finding | None:
    def bad(holder: Json) -> object:
        return (security(holder).get("windowsOptions") or {}).get("hostProcess")

    who = setters(bad(spec), failing(spec, bad))
    if not who:
        return None
    return Finding("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true")
