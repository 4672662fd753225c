"""A Pod's spec, in Pods and in templates, in upstream's order of complaints."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation import containers, names, resources, scheduling, security
from services.apiserver.rules.validation.meta import check_annotations, labels
from services.apiserver.rules.validation.volumes import volumes
from services.machinery.field_errors import Causes, duplicate, forbidden, invalid, not_supported, required

Json = dict[str, Any]

_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_INT32_MAX = 2147483647


def pod_spec(spec: Json, path: str, out: Causes, *, pod_name: str = "", is_pod: bool = False) -> None:
    grace = spec.get("terminationGracePeriodSeconds")
    known = volumes(spec.get("volumes", []), pod_name, f"{path}.volumes", out)
    claims = frozenset(claim.get("name", "") for claim in spec.get("resourceClaims", ()))
    if claims:
        _resource_claims(spec["resourceClaims"], f"{path}.resourceClaims", out)
    facts = containers.PodFacts(
        volumes=known,
        claims=claims,
        grace_seconds=grace,
        restart_policy=spec.get("restartPolicy", ""),
        host_users=spec.get("hostUsers") is not False,
    )
    regular, init = spec.get("containers") or [], spec.get("initContainers", [])
    containers.regular(regular, facts, f"{path}.containers", out)
    if init:
        containers.init(init, regular, facts, f"{path}.initContainers", out)
    ephemeral = spec.get("ephemeralContainers", [])
    if ephemeral:
        others = [*regular, *init]
        containers.ephemeral(ephemeral, others, facts, f"{path}.ephemeralContainers", out)
    resources.pod_level(spec, f"{path}.resources", claims, out)
    if spec.get("hostNetwork"):
        _host_network(regular, f"{path}.containers", is_pod, out)
    _policies(spec, path, out)
    security.pod(spec, path, out)
    _placement(spec, path, out)
    security.host_users(spec, path, out)
    _names(spec, path, out)
    _rest(spec, path, out)


def _host_network(values: list[Json], path: str, is_pod: bool, out: Causes) -> None:
    for index, container in enumerate(values):
        for number, port in enumerate(container.get("ports", ())):
            host = port.get("hostPort", 0)
            if (is_pod or host) and host != port.get("containerPort", 0):
                why = "must match `containerPort` when `hostNetwork` is true"
                out.append(invalid(f"{path}[{index}].ports[{number}].hostPort", host, why))


def _policies(spec: Json, path: str, out: Causes) -> None:
    restart = spec.get("restartPolicy", "")
    if restart not in ("Always", "OnFailure", "Never"):
        out.append(not_supported(f"{path}.restartPolicy", restart, ("Always", "OnFailure", "Never")))
    dns = spec.get("dnsPolicy", "")
    if dns not in _DNS_POLICIES:
        out.append(not_supported(f"{path}.dnsPolicy", dns, _DNS_POLICIES))
    if "nodeSelector" in spec:
        labels(spec["nodeSelector"], f"{path}.nodeSelector", out)


def _placement(spec: Json, path: str, out: Causes) -> None:
    scheduling.affinity(spec.get("affinity"), f"{path}.affinity", out)
    _dns_config(spec, f"{path}.dnsConfig", out)
    for index, gate in enumerate(spec.get("readinessGates", ())):
        kind = gate.get("conditionType", "")
        names.check(names.qualified_name(kind), f"{path}.readinessGates[{index}].conditionType", kind, out)
    if "schedulingGates" in spec:
        scheduling.gates(spec["schedulingGates"], f"{path}.schedulingGates", out)
    if "topologySpreadConstraints" in spec:
        scheduling.spread(spec["topologySpreadConstraints"], f"{path}.topologySpreadConstraints", out)


def _dns_config(spec: Json, path: str, out: Causes) -> None:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            out.append(required(path, "must provide `dnsConfig` when `dnsPolicy` is None"))
            return
        if not config.get("nameservers"):
            why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            out.append(required(f"{path}.nameservers", why))
            return
    if config is None:
        return
    servers, searches = config.get("nameservers", []), config.get("searches", [])
    if len(servers) > 3:
        out.append(invalid(f"{path}.nameservers", servers, "must not have more than 3 nameservers"))
    for index, server in enumerate(servers):
        names.ip_address(f"{path}.nameservers[{index}]", server, out)
    if len(searches) > 32:
        out.append(invalid(f"{path}.searches", searches, "must not have more than 32 search paths"))
    if len(" ".join(searches)) > 2048:
        why = "must not have more than 2048 characters (including spaces) in the search list"
        out.append(invalid(f"{path}.searches", searches, why))
    for index, search in enumerate(searches):
        if search != ".":
            search = search.removesuffix(".")
            check = names.dns1123_subdomain_with_underscore
            names.check(check(search), f"{path}.searches[{index}]", search, out)
    for index, option in enumerate(config.get("options", ())):
        if not option.get("name"):
            out.append(required(f"{path}.options[{index}]", "must not be empty"))


def _names(spec: Json, path: str, out: Causes) -> None:
    for field in ("serviceAccountName", "nodeName"):
        value = spec.get(field)
        if value and (faults := names.dns1123_subdomain(value)):
            names.check(faults, f"{path}.{field}", value, out)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _INT32_MAX:
        why = f"must be between 1 and {_INT32_MAX}, inclusive"
        out.append(invalid(f"{path}.activeDeadlineSeconds", deadline, why))
    for field in ("hostname", "subdomain"):
        value = spec.get(field)
        if value:
            names.check(names.dns1123_label(value), f"{path}.{field}", value, out)
    if "tolerations" in spec:
        scheduling.tolerations(spec["tolerations"], f"{path}.tolerations", out)


def _rest(spec: Json, path: str, out: Causes) -> None:
    for index, alias in enumerate(spec.get("hostAliases", ())):
        here = f"{path}.hostAliases[{index}]"
        names.ip_address(f"{here}.ip", alias.get("ip", ""), out)
        for number, host in enumerate(alias.get("hostnames", ())):
            names.check(names.dns1123_subdomain(host), f"{here}.hostnames[{number}]", host, out)
    for field in ("priorityClassName", "runtimeClassName"):
        value = spec.get(field)
        if value:
            names.check(names.dns1123_subdomain(value), f"{path}.{field}", value, out)
    preemption = spec.get("preemptionPolicy")
    if preemption is not None and preemption not in ("PreemptLowerPriority", "Never"):
        supported = ("PreemptLowerPriority", "Never")
        out.append(not_supported(f"{path}.preemptionPolicy", preemption, supported))
    for name, text in spec.get("overhead", {}).items():
        resources.container_name(name, f"{path}.overhead[{name}]", out)
        resources.amount(name, text, f"{path}.overhead[{name}]", out)
    system = spec.get("os")
    if system is not None:
        if not system.get("name"):
            out.append(required(f"{path}.os.name", "cannot be empty"))
        elif system["name"] not in ("linux", "windows"):
            out.append(not_supported(f"{path}.os", system["name"], ("linux", "windows")))


def _resource_claims(claims: list[Json], path: str, out: Causes) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        here, name = f"{path}[{index}]", claim.get("name", "")
        if not name:
            out.append(required(f"{here}.name"))
        elif name in seen:
            out.append(duplicate(f"{here}.name", name))
        else:
            names.check(names.dns1123_label(name), f"{here}.name", name, out)
        seen.add(name)
        given = [field for field in ("resourceClaimName", "resourceClaimTemplateName") if field in claim]
        if len(given) == 1:
            names.check(names.dns1123_subdomain(claim[given[0]]), f"{here}.{given[0]}", claim[given[0]], out)
            continue
        why = (
            "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            if given
            else "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
        )
        shown = {
            "Name": name,
            "ResourceClaimName": claim.get("resourceClaimName"),
            "ResourceClaimTemplateName": claim.get("resourceClaimTemplateName"),
        }
        out.append(invalid(here, shown, why))


def template(found: Json, path: str, out: Causes) -> None:
    """A Pod template, as workloads carry it."""
    meta, spec = found.get("metadata", {}), found.get("spec", {})
    labels(meta.get("labels", {}), f"{path}.labels", out)
    check_annotations(meta.get("annotations", {}), f"{path}.annotations", out)
    pod_annotations(meta.get("annotations", {}), spec, f"{path}.annotations", out)
    pod_spec(spec, f"{path}.spec", out)
    if spec.get("ephemeralContainers"):
        why = "ephemeral containers not allowed in pod template"
        out.append(forbidden(f"{path}.spec.ephemeralContainers", why))


_MIRROR = "kubernetes.io/config.mirror"
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def pod_annotations(values: dict[str, str], spec: Json, path: str, out: Causes) -> None:
    if not values:
        return
    if values.get(_MIRROR) and not spec.get("nodeName"):
        why = "must set spec.nodeName if mirror pod annotation is set"
        out.append(invalid(f"{path}[{_MIRROR}]", "", why))
    cost = values.get(_DELETION_COST)
    if cost is not None and not _is_int32(cost):
        out.append(invalid(f"{path}[{_DELETION_COST}]", cost, "must be a 32bit integer"))


def _is_int32(text: str) -> bool:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or (len(digits) > 1 and digits[0] == "0") or text == "-0":
        return False
    return len(digits) <= 10 and -(1 << 31) <= int(text) <= _INT32_MAX
