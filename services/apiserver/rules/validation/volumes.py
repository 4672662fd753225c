"""Volumes of a Pod: one source each, and what each source needs. Mounts are checked with the containers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.claims import claim_spec
from services.apiserver.rules.validation.environment import VOLUME_FIELDS, field_reference, resource_reference
from services.apiserver.rules.validation.meta import check_annotations, labels
from services.apiserver.rules.validation.paths import local_non_reserved_path, no_backsteps
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
Volumes = dict[str, Json]  # by name, as mounts refer to them

_MODE_RULE = "must be a number between 0 and 0777 (octal), both inclusive"
_DRIVER_CHARACTERS_MAX = 63
_HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip


def volumes(values: list[Json], pod_name: str, path: str, out: Causes) -> Volumes:
    known: Volumes = {}
    for index, volume in enumerate(values):
        here, name = f"{path}[{index}]", volume.get("name", "")
        before = len(out)
        _sources(volume, here, pod_name, out)
        faulty = len(out) > before
        if not name:
            out.append(required(f"{here}.name"))
            continue
        if faults := names.dns1123_label(name):
            names.check(faults, f"{here}.name", name, out)
            faulty = True
        elif name in known:
            out.append(duplicate(f"{here}.name", name))
            faulty = True
        if not faulty:
            known[name] = volume  # A faulty one does not exist for the mounts either.
    return known


def _sources(volume: Json, path: str, pod_name: str, out: Causes) -> None:
    count = 0
    # Nearly every volume has one source; only where there are more does their order matter.
    kinds = _SOURCES if len(volume) > 2 else [kind for kind in volume if kind in _SOURCES]
    for kind in kinds:
        source, check = volume.get(kind), _SOURCES[kind]
        if source is None:
            continue
        if count and kind != "emptyDir":
            shown = {"downwardAPI": "downwarAPI", "cephfs": "cephFS"}.get(kind, kind)
            out.append(forbidden(f"{path}.{shown}", "may not specify more than 1 volume type"))
            continue
        count += 1
        shown = "persistentDisk" if kind == "gcePersistentDisk" else kind
        check(source, f"{path}.{shown}", out)
        if kind == "ephemeral" and pod_name and volume.get("name"):
            claim = f"{pod_name}-{volume['name']}"
            for fault in names.dns1123_subdomain(claim):
                out.append(invalid(f"{path}.name", volume["name"], f'PVC name "{claim}": {fault}'))
    if not count:
        out.append(required(path, "must specify a volume type"))


def _needs(*fields: str) -> Callable[[Json, str, Causes], None]:
    def check(source: Json, path: str, out: Causes) -> None:
        for field in fields:
            if not source.get(field):
                out.append(required(f"{path}.{field}"))

    return check


def _empty_dir(source: Json, path: str, out: Causes) -> None:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.parse(limit) < 0:
        out.append(forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity"))


def _host_path(source: Json, path: str, out: Causes) -> None:
    if not source.get("path"):
        out.append(required(f"{path}.path"))
        return
    no_backsteps(source["path"], f"{path}.path", out)
    kind = source.get("type")
    if kind is not None and kind not in _HOST_PATH_TYPES:
        out.append(not_supported(f"{path}.type", kind, _HOST_PATH_TYPES))


def _mode(source: Json, field: str, path: str, out: Causes) -> None:
    mode = source.get(field)
    if mode is not None and not 0 <= mode <= 0o777:
        out.append(invalid(f"{path}.{field}", mode, _MODE_RULE))


def _keys_to_paths(items: list[Json], path: str, out: Causes) -> None:
    for index, item in enumerate(items):
        here = f"{path}[{index}]"
        _needs("key", "path")(item, here, out)
        local_non_reserved_path(item.get("path", ""), f"{here}.path", out)
        _mode(item, "mode", here, out)


def _secret(source: Json, path: str, out: Causes) -> None:
    _needs("secretName")(source, path, out)
    _mode(source, "defaultMode", path, out)
    _keys_to_paths(source.get("items", []), f"{path}.items", out)


def _config_map(source: Json, path: str, out: Causes) -> None:
    _needs("name")(source, path, out)
    _mode(source, "defaultMode", path, out)
    _keys_to_paths(source.get("items", []), f"{path}.items", out)


def _downward(source: Json, path: str, out: Causes) -> None:
    _mode(source, "defaultMode", path, out)
    for item in source.get("items", ()):
        _downward_file(item, path, out)


def _downward_file(item: Json, path: str, out: Causes) -> None:
    _needs("path")(item, path, out)
    local_non_reserved_path(item.get("path", ""), f"{path}.path", out)
    field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if field is not None:
        field_reference(field, VOLUME_FIELDS, f"{path}.fieldRef", out)
        if resource is not None:
            why = "fieldRef and resourceFieldRef can not be specified simultaneously"
            out.append(invalid(path, "resource", why))
    elif resource is not None:
        resource_reference(resource, f"{path}.resourceFieldRef", out, in_volume=True)
    else:
        out.append(required(path, "one of fieldRef and resourceFieldRef is required"))
    _mode(item, "mode", path, out)


def _projected(source: Json, path: str, out: Causes) -> None:
    _mode(source, "defaultMode", path, out)
    seen: set[str] = set()
    for index, projection in enumerate(source.get("sources") or ()):
        here = f"{path}.sources[{index}]"
        if len(projection) > 1:
            out.append(forbidden(here, "may not specify more than 1 volume type"))
        elif not projection:
            out.append(required(here, "must specify a volume type"))
        for kind in ("secret", "configMap"):
            part = projection.get(kind)
            if part is not None:
                _needs("name")(part, f"{here}.{kind}", out)
                _keys_to_paths(part.get("items", []), f"{here}.{kind}.items", out)
                _unique(part.get("items", ()), seen, path, part.get("name", ""), out)
        downward = projection.get("downwardAPI")
        if downward is not None:
            for item in downward.get("items", ()):
                _downward_file(item, f"{here}.downwardAPI", out)
            _unique(downward.get("items", ()), seen, path, None, out)
        if projection.get("serviceAccountToken") is not None:
            _token(projection["serviceAccountToken"], f"{here}.serviceAccountToken", path, out)


def _unique(items: list[Json], seen: set[str], path: str, shown: str | None, out: Causes) -> None:
    for item in items:
        where = item.get("path", "")
        if where and where in seen:
            out.append(invalid(path, where if shown is None else shown, "conflicting duplicate paths"))
        seen.add(where)


def _token(token: Json, path: str, volume_path: str, out: Causes) -> None:
    seconds = token.get("expirationSeconds", 0)
    if seconds < 600:
        why = "may not specify a duration less than 10 minutes"
        out.append(invalid(f"{path}.expirationSeconds", seconds, why))
    if seconds > 1 << 32:
        why = "may not specify a duration larger than 2^32 seconds"
        out.append(invalid(f"{path}.expirationSeconds", seconds, why))
    if not token.get("path"):
        out.append(required(f"{volume_path}.path"))
    else:
        local_non_reserved_path(token["path"], f"{volume_path}.path", out)


def _nfs(source: Json, path: str, out: Causes) -> None:
    _needs("server", "path")(source, path, out)
    if not source.get("path", "").startswith("/"):
        out.append(invalid(f"{path}.path", source.get("path", ""), "must be an absolute path"))


def csi_driver_name(name: str, path: str, out: Causes) -> None:
    if not name:
        out.append(required(path))
    if len(name) > _DRIVER_CHARACTERS_MAX:
        out.append(too_long(path, _DRIVER_CHARACTERS_MAX))
    names.check(names.dns1123_subdomain(name.lower()), path, name, out)


def _csi(source: Json, path: str, out: Causes) -> None:
    csi_driver_name(source.get("driver", ""), f"{path}.driver", out)
    reference = source.get("nodePublishSecretRef")
    if reference is not None and not reference.get("name"):
        out.append(required(f"{path}.nodePublishSecretRef.name"))


def _ephemeral(source: Json, path: str, out: Causes) -> None:
    template = source.get("volumeClaimTemplate")
    if template is None:
        out.append(required(f"{path}.volumeClaimTemplate"))
        return
    meta, here = template.get("metadata", {}), f"{path}.volumeClaimTemplate"
    check_annotations(meta.get("annotations", {}), f"{here}.metadata.annotations", out)
    labels(meta.get("labels", {}), f"{here}.metadata.labels", out)
    for field, value in meta.items():
        if value and field not in ("annotations", "labels"):
            out.append(forbidden(f"{here}.metadata.{field}", "cannot be set"))
    claim_spec(template.get("spec", {}), f"{here}.spec", out)


def _image(source: Json, path: str, out: Causes) -> None:
    if not source.get("reference"):
        out.append(required(f"{path}.reference"))
    policy = source.get("pullPolicy")
    if policy not in ("Always", "IfNotPresent", "Never"):
        out.append(not_supported(f"{path}.pullPolicy", policy or "", ("Always", "IfNotPresent", "Never")))


# In upstream's order: the second of two sources is the one that is refused.
_SOURCES: dict[str, Callable[[Json, str, Causes], None]] = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "gitRepo": _needs("repository"),
    "gcePersistentDisk": _needs("pdName"),
    "awsElasticBlockStore": _needs("volumeID"),
    "secret": _secret,
    "nfs": _nfs,
    "iscsi": _needs("targetPortal", "iqn"),
    "glusterfs": _needs("endpoints", "path"),
    "flocker": _needs(),
    "persistentVolumeClaim": _needs("claimName"),
    "rbd": _needs("monitors", "image"),
    "cinder": _needs("volumeID"),
    "cephfs": _needs("monitors"),
    "quobyte": _needs("registry", "volume"),
    "downwardAPI": _downward,
    "fc": _needs(),
    "flexVolume": _needs("driver"),
    "configMap": _config_map,
    "azureFile": _needs("secretName", "shareName"),
    "vsphereVolume": _needs("volumePath"),
    "photonPersistentDisk": _needs("pdID"),
    "portworxVolume": _needs("volumeID"),
    "azureDisk": _needs("diskName", "diskURI"),
    "storageos": _needs(),
    "projected": _projected,
    "scaleIO": _needs("gateway", "system", "volumeName"),
    "csi": _csi,
    "ephemeral": _ephemeral,
    "image": _image,
}

# A PersistentVolume's sources are checked alike, where a Pod has them too.
SOURCE_CHECKS = _SOURCES
