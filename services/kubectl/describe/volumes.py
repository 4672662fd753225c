"""Volumes inside a description: one row of facts per kind of source."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.kubectl.describe.writer import Writer, boolean

Json = dict[str, Any]

# source: (what it is, ((title, field), …)); a field with "?" is true or false, and false where missing
_SOURCES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "hostPath": (
        "HostPath (bare host directory volume)",
        (("Path", "path"), ("HostPathType", "type|<none>")),
    ),
    "emptyDir": (
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
        (("Medium", "medium"), ("SizeLimit", "sizeLimit|<unset>")),
    ),
    "secret": (
        "Secret (a volume populated by a Secret)",
        (("SecretName", "secretName"), ("Optional", "optional?")),
    ),
    "configMap": (
        "ConfigMap (a volume populated by a ConfigMap)",
        (("Name", "name"), ("Optional", "optional?")),
    ),
    "persistentVolumeClaim": (
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        (("ClaimName", "claimName"), ("ReadOnly", "readOnly?")),
    ),
    "nfs": (
        "NFS (an NFS mount that lasts the lifetime of a pod)",
        (("Server", "server"), ("Path", "path"), ("ReadOnly", "readOnly?")),
    ),
    "local": ("LocalVolume (a persistent volume backed by local storage on a node)", (("Path", "path"),)),
    "ephemeral": (
        "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)",
        (),
    ),
    "image": (
        "Image (a container image or OCI artifact)",
        (("Reference", "reference"), ("PullPolicy", "pullPolicy")),
    ),
    "csi": (
        "CSI (a Container Storage Interface (CSI) volume source)",
        (("Driver", "driver"), ("FSType", "fsType"), ("ReadOnly", "readOnly?")),
    ),
}


def describe(writer: Writer, volumes: Iterable[Json], space: str = "") -> None:
    volumes = list(volumes)
    if not volumes:
        writer.line(0, f"{space}Volumes:", "<none>")
        return
    writer.write(0, f"{space}Volumes:\n")
    for volume in volumes:
        writer.write(1, f"{' ' if space else ''}{volume['name']}:\n")
        source(writer, volume)


def source(writer: Writer, volume: Json) -> None:
    """What a Pod's volume, or a PersistentVolume's spec, stands on."""
    if (projected := volume.get("projected")) is not None:
        return _projected(writer, projected)
    if (downward := volume.get("downwardAPI")) is not None:
        return _downward(writer, downward)
    for name, (what, rows) in _SOURCES.items():
        if (found := volume.get(name)) is not None:
            writer.line(2, "Type:", what)
            for title, field in rows:
                writer.line(2, f"{title}:", _value(found, field))
            return None
    return writer.write(1, "<unknown>\n")


def _value(source: Json, field: str) -> str:
    if field.endswith("?"):
        return boolean(source.get(field[:-1]))
    name, _, missing = field.partition("|")
    value = source.get(name)
    return missing if value is None else str(value)


def _projected(writer: Writer, projected: Json) -> None:
    writer.line(2, "Type:", "Projected (a volume that contains injected data from multiple sources)")
    for source in projected.get("sources") or ():
        if secret := source.get("secret"):
            writer.line(2, "SecretName:", secret.get("name", ""))
            writer.line(2, "Optional:", boolean(secret.get("optional")))
        elif "downwardAPI" in source:
            writer.line(2, "DownwardAPI:", "true")
        elif config := source.get("configMap"):
            writer.line(2, "ConfigMapName:", config.get("name", ""))
            writer.line(2, "Optional:", boolean(config.get("optional")))
        elif token := source.get("serviceAccountToken"):
            writer.line(2, "TokenExpirationSeconds:", token.get("expirationSeconds", 3600))


def _downward(writer: Writer, downward: Json) -> None:
    writer.line(2, "Type:", "DownwardAPI (a volume populated by information about the pod)")
    writer.write(2, "Items:\n")
    for item in downward.get("items") or ():
        if field := item.get("fieldRef"):
            writer.write(3, f"{field['fieldPath']} -> {item['path']}\n")
        if field := item.get("resourceFieldRef"):
            writer.write(3, f"{field['resource']} -> {item['path']}\n")
