"""Devices: their classes, who claims them, and what a driver offers (resource.k8s.io).

What compiles CEL expressions is loaded with the first one (`device_selectors`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import immutable, object_meta, object_meta_update
from services.machinery.field_errors import (
    Causes,
    duplicate,
    forbidden,
    invalid,
    invalid_as_a_whole,
    not_supported,
    required,
    too_long,
    too_many,
)

Json = dict[str, Any]
Check = Callable[[Any, str, Causes], None]

REQUESTS_MAX, CONSTRAINTS_MAX, CONFIGS_MAX, SELECTORS_MAX = 32, 32, 32, 32
ALTERNATIVES_MAX, TOLERATIONS_MAX, CONSUMERS_MAX = 8, 16, 256
DEVICES_MAX, TAINTED_DEVICES_MAX = 128, 64
EXPRESSION_BYTES_MAX = PARAMETERS_BYTES_MAX = 10 * 1024
DRIVER_CHARACTERS_MAX = 63
_ONE_REQUEST = "exactly one of `exactly` or `firstAvailable` is required"
_REFERENCE = (
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
)


def _each(values: list[Any] | None, most: int, check: Check, path: str, out: Causes, key: str = "") -> None:
    """A list of limited length, in which no two have the same `key`; "" where they are texts themselves."""
    seen: set[str] = set()
    for index, value in enumerate(values or ()):
        here = f"{path}[{index}]"
        check(value, here, out)
        name = value.get(key, "") if isinstance(value, dict) else value
        if (key or not isinstance(value, dict)) and name in seen:
            out.append(duplicate(f"{here}.{key}" if key else here, name))
        seen.add(name)
    if len(values or ()) > most:
        out.append(too_many(path, len(values or ()), most))


# -- classes -------------------------------------------------------------------------------------


def device_class(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    _class_spec(obj["spec"], out)


def device_class_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _class_spec(new["spec"], out)


def _class_spec(spec: Json, out: Causes) -> None:
    _each(spec.get("selectors"), SELECTORS_MAX, _selector, "spec.selectors", out)
    _each(spec.get("config"), CONFIGS_MAX, _configuration, "spec.config", out)
    extended = spec.get("extendedResourceName")
    if extended is not None and "/" not in extended:
        out.append(invalid("spec.extendedResourceName", extended, "must be a valid extended resource name"))


def _selector(selector: Json, path: str, out: Causes) -> None:
    cel = selector.get("cel")
    if cel is None:
        out.append(required(f"{path}.cel"))
    elif len(cel.get("expression", "").encode()) > EXPRESSION_BYTES_MAX:
        out.append(too_long(f"{path}.cel.expression", EXPRESSION_BYTES_MAX))
    else:
        from services.apiserver.rules.validation import device_selectors

        device_selectors.check(cel.get("expression", ""), f"{path}.cel.expression", out)


def _configuration(config: Json, path: str, out: Causes) -> None:
    opaque = config.get("opaque")
    if opaque is None:
        out.append(required(f"{path}.opaque"))
        return
    _driver(opaque.get("driver", ""), f"{path}.opaque.driver", out)
    parameters, here = opaque.get("parameters"), f"{path}.opaque.parameters"
    if parameters is None:
        out.append(required(here))
    elif len(orjson.dumps(parameters)) > PARAMETERS_BYTES_MAX:
        out.append(too_long(here, PARAMETERS_BYTES_MAX))
    elif not isinstance(parameters, dict):
        why = "parameters must be a valid JSON object"
        out.append(invalid(here, "<value omitted>", why))


def _driver(name: str, path: str, out: Causes) -> None:
    if not name:
        out.append(required(path))
        return
    if len(name) > DRIVER_CHARACTERS_MAX:
        out.append(too_long(path, DRIVER_CHARACTERS_MAX))
    names.check(names.dns1123_subdomain(name), path, name, out)


# -- claims --------------------------------------------------------------------------------------


def claim(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    _claim_spec(obj["spec"], "spec", out)


def claim_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    immutable(new["spec"], old["spec"], "spec", out)
    _claim_spec(new["spec"], "spec", out)


def template(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    _claim_spec(obj["spec"].get("spec", {}), "spec.spec", out)


def template_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    immutable(new["spec"], old["spec"], "spec", out)


def _claim_spec(spec: Json, path: str, out: Causes) -> None:
    devices, here = spec.get("devices", {}), f"{path}.devices"
    known = _request_names(devices)

    def refers(name: str, where: str, out: Causes) -> None:
        _reference(name, known, where, out)

    def constraint(value: Json, where: str, out: Causes) -> None:
        _each(value.get("requests"), REQUESTS_MAX, refers, f"{where}.requests", out)
        _constraint(value, where, out)

    def configuration(value: Json, where: str, out: Causes) -> None:
        _each(value.get("requests"), REQUESTS_MAX, refers, f"{where}.requests", out)
        _configuration(value, where, out)

    _each(devices.get("requests"), REQUESTS_MAX, _request, f"{here}.requests", out, "name")
    _each(devices.get("constraints"), CONSTRAINTS_MAX, constraint, f"{here}.constraints", out)
    _each(devices.get("config"), CONFIGS_MAX, configuration, f"{here}.config", out)


def _request_names(devices: Json) -> set[str]:
    known = set()
    for request in devices.get("requests") or ():
        name = request.get("name", "")
        known.add(name)
        known |= {f"{name}/{each.get('name', '')}" for each in request.get("firstAvailable") or ()}
    return known


def _reference(name: str, known: set[str], path: str, out: Causes) -> None:
    if name.count("/") > 1:
        out.append(invalid(path, name, _REFERENCE))
        return
    for part in name.split("/"):
        names.check(names.dns1123_label(part), path, part, out)
    if name not in known:
        out.append(invalid(path, name, _REFERENCE))


def _constraint(value: Json, path: str, out: Causes) -> None:
    matched, distinct = value.get("matchAttribute"), value.get("distinctAttribute")
    if matched is not None:
        _qualified(matched, f"{path}.matchAttribute", out)
    elif distinct is not None:
        _qualified(distinct, f"{path}.distinctAttribute", out)
    else:
        out.append(required(f"{path}.matchAttribute"))


def _qualified(name: str, path: str, out: Causes) -> None:
    domain, slash, rest = name.partition("/")
    if not slash:
        out.append(invalid(path, name, "must include a domain"))
        return
    names.check(names.dns1123_subdomain(domain), path, domain, out)
    names.check(names.qualified_name(rest), path, rest, out)


def _request(request: Json, path: str, out: Causes) -> None:
    name, exactly = request.get("name", ""), request.get("exactly")
    alternatives = request.get("firstAvailable") or []
    _label(name, f"{path}.name", out)
    if exactly is None and not alternatives:
        out.append(required(path, _ONE_REQUEST))
    elif exactly is not None and alternatives:
        out.append(invalid_as_a_whole(path, _ONE_REQUEST))
    elif exactly is not None:
        _wanted(exactly, f"{path}.exactly", out)
    else:
        here = f"{path}.firstAvailable"
        _each(alternatives, ALTERNATIVES_MAX, _alternative, here, out, "name")


def _label(name: str, path: str, out: Causes) -> None:
    if not name:
        out.append(required(path))
    else:
        names.check(names.dns1123_label(name), path, name, out)


def _alternative(request: Json, path: str, out: Causes) -> None:
    _label(request.get("name", ""), f"{path}.name", out)
    _wanted(request, path, out)


def _wanted(request: Json, path: str, out: Causes) -> None:
    wanted = request.get("deviceClassName", "")
    if not wanted:
        out.append(required(f"{path}.deviceClassName"))
    else:
        names.check(names.dns1123_subdomain(wanted), f"{path}.deviceClassName", wanted, out)
    _each(request.get("selectors"), SELECTORS_MAX, _selector, f"{path}.selectors", out)
    mode, count = request.get("allocationMode", ""), request.get("count", 0)
    if mode == "All":
        if count:
            why = "must not be specified when allocationMode is 'All'"
            out.append(invalid(f"{path}.count", count, why))
    elif mode == "ExactCount":
        if count <= 0:
            out.append(invalid(f"{path}.count", count, "must be greater than zero"))
    else:
        out.append(not_supported(f"{path}.allocationMode", mode, ("All", "ExactCount")))
    _each(request.get("tolerations"), TOLERATIONS_MAX, _toleration, f"{path}.tolerations", out)


def _toleration(toleration: Json, path: str, out: Causes) -> None:
    key, operator, value = (toleration.get(field, "") for field in ("key", "operator", "value"))
    if key:
        names.check(names.qualified_name(key), f"{path}.key", key, out)
    if operator == "Exists":
        if value:
            out.append(invalid(f"{path}.value", value, "must be empty for operator `Exists`"))
    elif operator == "Equal":
        names.check(names.label_value(value), f"{path}.value", value, out)
        if not key:
            out.append(required(f"{path}.key"))
    elif operator:
        out.append(not_supported(f"{path}.operator", operator, ("Equal", "Exists")))
    else:
        out.append(required(f"{path}.operator"))
    effect = toleration.get("effect", "")
    if effect not in ("", "NoExecute", "NoSchedule", "None"):
        out.append(not_supported(f"{path}.effect", effect, ("NoExecute", "NoSchedule", "None")))


def claim_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    status, before = new["status"], old["status"]
    consumers, allocation = status.get("reservedFor") or [], status.get("allocation")
    _each(consumers, CONSUMERS_MAX, _consumer, "status.reservedFor", out, "uid")
    if consumers and allocation is None:
        why = "may not be specified when `allocated` is not set"
        out.append(forbidden("status.reservedFor", why))
    added = [each for each in consumers if each not in (before.get("reservedFor") or ())]
    if added and allocation is not None and new["metadata"].get("deletionTimestamp"):
        why = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        out.append(forbidden("status.reservedFor", why))
    if before.get("allocation") is not None and allocation is not None:
        immutable(allocation, before["allocation"], "status.allocation", out)


def _consumer(consumer: Json, path: str, out: Causes) -> None:
    for field in ("resource", "name", "uid"):
        if not consumer.get(field):
            out.append(required(f"{path}.{field}"))


# -- slices --------------------------------------------------------------------------------------

_WHERE = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")


def slice_(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    _slice_spec(obj["spec"], out)


def slice_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    spec, before = new["spec"], old["spec"]
    _slice_spec(spec, out)
    pools = [each.get("pool", {}).get("name", "") for each in (spec, before)]
    immutable(pools[0], pools[1], "spec.pool.name", out)
    immutable(spec.get("driver", ""), before.get("driver", ""), "spec.driver", out)
    immutable(spec.get("nodeName"), before.get("nodeName"), "spec.nodeName", out)


def _slice_spec(spec: Json, out: Causes) -> None:
    _driver(spec.get("driver", ""), "spec.driver", out)
    _pool(spec.get("pool", {}), "spec.pool", out)
    given = [field for field in _WHERE if spec.get(field) not in (None, "", False)]
    one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
    if not given:
        out.append(required("spec", one))
    elif len(given) > 1:
        listed = "{" + ", ".join(f"`{field}`" for field in sorted(given)) + "}"
        out.append(invalid("spec", listed, one))
    if spec.get("nodeName"):
        names.check(names.dns1123_subdomain(spec["nodeName"]), "spec.nodeName", spec["nodeName"], out)
    devices = spec.get("devices") or []
    tainted = any(each.get("taints") or each.get("consumesCounters") for each in devices)
    most = TAINTED_DEVICES_MAX if tainted else DEVICES_MAX
    _each(devices, most, _device, "spec.devices", out, "name")


def _pool(pool: Json, path: str, out: Causes) -> None:
    name = pool.get("name", "")
    if not name:
        out.append(required(f"{path}.name"))
    else:
        for part in name.split("/"):
            names.check(names.dns1123_subdomain(part), f"{path}.name", part, out)
    if pool.get("resourceSliceCount", 0) <= 0:
        why = "must be greater than zero"
        out.append(invalid(f"{path}.resourceSliceCount", pool.get("resourceSliceCount", 0), why))
    if pool.get("generation", 0) < 0:
        out.append(invalid(f"{path}.generation", pool["generation"], "must be greater than or equal to zero"))


def _device(device: Json, path: str, out: Causes) -> None:
    _label(device.get("name", ""), f"{path}.name", out)
    for name, attribute in (device.get("attributes") or {}).items():
        if len(attribute) != 1:
            where = f"{path}.attributes[{name}]"
            if attribute:
                out.append(invalid_as_a_whole(where, "exactly one value must be specified"))
            else:
                out.append(required(where, "exactly one value must be specified"))
