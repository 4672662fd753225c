"""What CSI drivers keep in the API: themselves, where they run, what room there is, what is attached where.

Upstream: `pkg/apis/storage/validation`.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import (
    IMMUTABLE,
    NOT_NEGATIVE,
    immutable,
    label_selector,
    not_negative,
    object_meta,
    object_meta_update,
)
from services.apiserver.rules.validation.volumes import csi_driver_name
from services.machinery import quantity
from services.machinery.field_errors import (
    Causes,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)

Json = dict[str, Any]

_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLES = ("Persistent", "Ephemeral")
_ALLOCATABLE_PERIOD_SECONDS_MIN = 10
_TOKEN_SECONDS_MIN, _TOKEN_SECONDS_MAX = 600, 1 << 32
_NODE_ID_CHARACTERS_MAX = 256
_METADATA_BYTES_MAX, _MESSAGE_BYTES_MAX = 256 * 1024, 1024
_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


# -- CSIDrivers ----------------------------------------------------------------------------------


def driver(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    _driver_spec(obj["spec"], out)


def driver_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _driver_spec(new["spec"], out)
    # Upstream calls the first one by another name than its field has.
    for field, shown in (("attachRequired", "attachedRequired"), ("volumeLifecycleModes",) * 2):
        immutable(new["spec"].get(field), old["spec"].get(field), f"spec.{shown}", out)


def _driver_spec(spec: Json, out: Causes) -> None:
    policy = spec.get("fsGroupPolicy")
    if policy is not None and policy not in _GROUP_POLICIES:
        out.append(not_supported("spec.fsGroupPolicy", policy, _GROUP_POLICIES))
    _token_requests(spec.get("tokenRequests") or [], out)
    for mode in spec.get("volumeLifecycleModes") or ():
        if mode not in _LIFECYCLES:
            out.append(not_supported("spec.volumeLifecycleModes", mode, _LIFECYCLES))
    period = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period is not None and period < _ALLOCATABLE_PERIOD_SECONDS_MIN:
        why = f"must be greater than or equal to {_ALLOCATABLE_PERIOD_SECONDS_MIN} seconds"
        out.append(invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, why))


def _token_requests(requests: list[Json], out: Causes) -> None:
    seen: set[str] = set()
    for index, request in enumerate(requests):
        path, audience = f"spec.tokenRequests[{index}]", request.get("audience", "")
        if audience in seen:
            out.append(duplicate(f"{path}.audience", audience))
            continue
        seen.add(audience)
        seconds = request.get("expirationSeconds")
        if seconds is not None and seconds < _TOKEN_SECONDS_MIN:
            why = "may not specify a duration less than 10 minutes"
            out.append(invalid(f"{path}.expirationSeconds", seconds, why))
        if seconds is not None and seconds > _TOKEN_SECONDS_MAX:
            why = "may not specify a duration larger than 2^32 seconds"
            out.append(invalid(f"{path}.expirationSeconds", seconds, why))


# -- CSINodes ------------------------------------------------------------------------------------


def node(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    seen: set[str] = set()
    for index, found in enumerate(obj["spec"].get("drivers") or ()):
        _node_driver(found, seen, f"spec.drivers[{index}]", out)


def _node_driver(found: Json, seen: set[str], path: str, out: Causes) -> None:
    name, identity = found.get("name", ""), found.get("nodeID", "")
    csi_driver_name(name, f"{path}.name", out)
    if not identity:
        out.append(required(f"{path}.nodeID"))
    if len(identity.encode()) > _NODE_ID_CHARACTERS_MAX:
        why = f"must be {_NODE_ID_CHARACTERS_MAX} characters or less"
        out.append(invalid(f"{path}.nodeID", identity, why))
    not_negative(found.get("allocatable") or {}, "count", f"{path}.allocatable", out)
    if name in seen:
        out.append(duplicate(f"{path}.name", name))
    seen.add(name)
    keys: set[str] = set()
    for key in found.get("topologyKeys") or ():
        if not key:
            out.append(required(path))
        if key in keys:
            out.append(duplicate(path, key))
        keys.add(key)
        names.check(names.qualified_name(key), path, key, out)


def node_update(new: Json, old: Json, out: Causes) -> None:
    """What a driver said of a node stays, but for how many volumes it takes."""
    node(new, out)
    node(new, out)  # Its strategy looks twice.
    before = {found.get("name"): found for found in old["spec"].get("drivers") or ()}
    for found in new["spec"].get("drivers") or ():
        held = before.get(found.get("name"))
        if held is not None and _but_for_room(found) != _but_for_room(held):
            out.append(invalid("spec.drivers", _shown_driver(found), IMMUTABLE))


def _shown_driver(found: Json) -> Json:
    """By the names of upstream's internal type."""
    return {
        "Name": found.get("name", ""),
        "NodeID": found.get("nodeID", ""),
        "TopologyKeys": found.get("topologyKeys"),
        "Allocatable": None,
    }


def _but_for_room(found: Json) -> Json:
    return {name: value for name, value in found.items() if name != "allocatable"}


# -- CSIStorageCapacities ------------------------------------------------------------------------


def capacity(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    label_selector(obj.get("nodeTopology"), "nodeTopology", out)
    name = obj.get("storageClassName", "")
    names.check(names.dns1123_subdomain(name), "storageClassName", name, out)
    room = obj.get("capacity")
    if room is not None and quantity.parse(str(room)) < 0:
        out.append(invalid("capacity", str(room), NOT_NEGATIVE))


def capacity_update(new: Json, old: Json, out: Causes) -> None:
    capacity(new, out)
    object_meta_update(new["metadata"], old["metadata"], out)
    for field in ("nodeTopology", "storageClassName"):
        immutable(new.get(field), old.get(field), field, out)


# -- VolumeAttachments ---------------------------------------------------------------------------


def attachment(obj: Json, out: Causes) -> None:
    _attachment(obj, out)
    spec = obj["spec"]
    csi_driver_name(spec.get("attacher", ""), "spec.attacher", out)
    volume = (spec.get("source") or {}).get("persistentVolumeName")
    if volume is not None:
        path = "spec.source.persistentVolumeName"
        names.check(names.dns1123_subdomain(volume), path, volume, out)


def _attachment(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    spec = obj["spec"]
    if not spec.get("attacher"):
        out.append(required("spec.attacher"))
    _source(spec.get("source") or {}, "spec.source", out)
    name = spec.get("nodeName", "")
    names.check(names.dns1123_subdomain(name), "spec.nodeName", name, out)
    status = obj["status"]
    held = status.get("attachmentMetadata") or {}
    if sum(len(key.encode()) + len(value.encode()) for key, value in held.items()) > _METADATA_BYTES_MAX:
        out.append(too_long("status.attachmentMetadata", _METADATA_BYTES_MAX))
    for field in ("attachError", "detachError"):
        _error(status.get(field) or {}, f"status.{field}", out)


def _source(source: Json, path: str, out: Causes) -> None:
    inline, volume = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    if inline is None and volume is None:
        out.append(required(path, _ONE_SOURCE))
    elif inline is not None and volume is not None:
        out.append(forbidden(path, _ONE_SOURCE))
    elif volume == "":
        out.append(required(f"{path}.persistentVolumeName", "must specify non empty persistentVolumeName"))


def _error(found: Json, path: str, out: Causes) -> None:
    if len(found.get("message", "").encode()) > _MESSAGE_BYTES_MAX:
        out.append(too_long(f"{path}.message", _METADATA_BYTES_MAX))  # Upstream names the other bound.
    if (code := found.get("errorCode")) is not None and code < 0:
        out.append(invalid(f"{path}.errorCode", code, "must be between 0 and 2147483647, inclusive"))


def attachment_update(new: Json, old: Json, out: Causes) -> None:
    _attachment(new, out)
    _attachment(new, out)  # Its strategy looks twice.
    if new["spec"] != old["spec"]:
        out.append(invalid("spec", _shown_attachment(new["spec"]), IMMUTABLE))


def _shown_attachment(spec: Json) -> Json:
    source = spec.get("source") or {}
    return {
        "Attacher": spec.get("attacher", ""),
        "Source": {
            "PersistentVolumeName": source.get("persistentVolumeName"),
            "InlineVolumeSpec": source.get("inlineVolumeSpec"),
        },
        "NodeName": spec.get("nodeName", ""),
    }
