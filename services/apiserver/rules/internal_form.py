"""How upstream prints a difference: both objects in its internal form, as a unified diff.

The internal form is indented JSON with Go's field names, every field written. Only where a refusal
shows it (a changed Pod spec, a changed ephemeral container) does it exist at all.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from difflib import unified_diff
from typing import Any

from services.machinery.schema import Schema, definition
from services.machinery.schema.schema import ANY_JSON

Json = dict[str, Any]

_NAMES = {
    "dnsPolicy": "DNSPolicy", "dnsConfig": "DNSConfig", "httpGet": "HTTPGet", "tcpSocket": "TCPSocket",
    "grpc": "GRPC", "httpHeaders": "HTTPHeaders", "tty": "TTY", "uid": "UID", "fsGroup": "FSGroup",
    "fsType": "FSType", "apiVersion": "APIVersion", "setHostnameAsFQDN": "SetHostnameAsFQDN", "os": "OS",
    "csi": "CSI", "nfs": "NFS", "iscsi": "ISCSI", "fc": "FC", "rbd": "RBD", "cephfs": "CephFS", "ip": "IP",
    "storageos": "StorageOS", "seLinuxOptions": "SELinuxOptions", "iqn": "IQN",
    "seLinuxChangePolicy": "SELinuxChangePolicy", "fsGroupChangePolicy": "FSGroupChangePolicy",
    "awsElasticBlockStore": "AWSElasticBlockStore", "gcePersistentDisk": "GCEPersistentDisk",
}  # fmt: skip
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")


def difference(kind: str, old: Json, new: Json, leaving_out: Collection[str] = ()) -> str:
    """What changed between two values of a core type, `PodSpec` or `EphemeralContainer`.

    `leaving_out` names fields that are another struct's in Go.
    """
    schema = definition(f"core.v1.{kind}")
    hidden = {_go_name(name) for name in leaving_out}
    shown = (_internal(value, schema) for value in (old, new))
    before, after = (
        json.dumps({name: part for name, part in value.items() if name not in hidden}, indent=1).splitlines()
        for value in shown
    )
    lines = list(unified_diff(before, after, lineterm=""))[2:]
    return "\n".join(lines) + "\n" if lines else ""


def _internal(value: Any, schema: Schema) -> Any:
    if value is None:
        return None
    if schema.type == "list" and schema.items is not None:
        return [_internal(item, schema.items) for item in value] or None
    if schema.type == "map" and schema.items is not None:
        return {key: _internal(item, schema.items) for key, item in sorted(value.items())} or None
    if schema.type != "struct":
        return value
    out: Json = {}
    for name, field in schema.fields.items():
        if name in value:
            out[_go_name(name)] = _internal(value[name], field.schema)
        elif field.pointer or field.schema.type in ("list", "map"):
            out[_go_name(name)] = None
        else:
            out[_go_name(name)] = (
                _ZEROS[field.schema.type] if field.schema.type != "struct" else (_internal({}, field.schema))
            )
    return out


_ZEROS = {
    "string": "", "bool": False, "int32": 0, "int64": 0, "float64": 0, "quantity": "0", "intorstring": 0,
    "bytes": None, "time": None, "microtime": None, "duration": 0,
    **dict.fromkeys(ANY_JSON),
}  # fmt: skip


def _go_name(name: str) -> str:
    return _NAMES.get(name) or name[:1].upper() + name[1:]
