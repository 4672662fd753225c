"""Upstream's protobuf bodies, as the JSON that the same object has.

A body is four bytes that say so, then an envelope (`runtime.Unknown`) with the kind and the object's own
bytes. `wire_numbers.json` knows how fields are numbered; nothing else is needed, because every field of Go's
structs travels by number and type. Zero values travel too: what they mean (mostly: nothing was said) is the
normal form's to decide. Bounded: messages nest at most DEPTH_MAX deep, no length reaches beyond its bytes.
What is no such message raises `NotWireFormat`, which says why.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from services.machinery import duration

Json = dict[str, Any]
Fields = dict[str, list[str]]

MAGIC = b"k8s\x00"
DEPTH_MAX = 100
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES_MAX = 10
_ENVELOPE: Fields = {
    "1": ["typeMeta", "runtime.TypeMeta"],
    "2": ["raw", "body"],
    "3": ["contentEncoding", "string"],
    "4": ["contentType", "string"],
}
_TYPE_META: Fields = {"1": ["apiVersion", "string"], "2": ["kind", "string"]}
_SECONDS: Fields = {"1": ["seconds", "int64"], "2": ["nanos", "int32"]}
_INT_OR_STRING: Fields = {
    "1": ["type", "int64"],
    "2": ["intVal", "int32"],
    "3": ["strVal", "string"],
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NotWireFormat(ValueError):
    """The bytes are no such message."""


def to_json(body: bytes) -> Json:
    """The object in a body, with its kind. NotWireFormat."""
    if not body.startswith(MAGIC):
        shown = f"[{' '.join(str(byte) for byte in MAGIC)}]"
        raise NotWireFormat(
            f"provided data does not appear to be a protobuf message, expected prefix {shown}"
        )
    envelope = _struct(body[len(MAGIC) :], _ENVELOPE, 0)
    named: Json = envelope.get("typeMeta", {})
    api_version, kind = named.get("apiVersion", ""), named.get("kind", "")
    raw = envelope.get("raw", b"")
    if envelope.get("contentEncoding") or envelope.get("contentType") not in (None, "", "application/json"):
        raise NotWireFormat("the encoding of the object in the message is unknown")
    if envelope.get("contentType"):
        found = _embedded(raw)
        if not isinstance(found, dict):
            raise NotWireFormat("the JSON in the message is no object")
        return found
    message = message_of(api_version, kind)
    if message is None:
        raise NotWireFormat(f'no kind "{kind}" is registered for version "{api_version}"')
    return {"kind": kind, "apiVersion": api_version} | _struct(raw, _numbers()[message], 1)


def message_of(api_version: str, kind: str) -> str | None:
    """`core.v1.Pod`; None for what has no numbers here."""
    group, _, version = api_version.rpartition("/")
    name = f"{group.partition('.')[0] or 'core'}.{version}.{kind}"
    if name not in _numbers():
        name = f"meta.v1.{kind}"  # DeleteOptions is served under every group
    return name if name in _numbers() else None


@cache
def _numbers() -> dict[str, Fields]:
    loaded: dict[str, Fields] = orjson.loads(files(__package__).joinpath("wire_numbers.json").read_bytes())
    return loaded | {"runtime.TypeMeta": _TYPE_META}


# -- the wire ------------------------------------------------------------------------------------


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number and where it ends."""
    value = 0
    for index in range(_VARINT_BYTES_MAX):
        if at + index >= len(data):
            raise NotWireFormat("unexpected EOF")
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + index + 1
    raise NotWireFormat("proto: integer overflow")


def _entries(data: bytes) -> Iterator[tuple[str, int, int | bytes]]:
    """Number, wire type and value of each field, in the order of the bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise NotWireFormat(f"proto: illegal tag {number} (wire type {wire})")
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield str(number), wire, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise NotWireFormat(f"proto: illegal wireType {wire}")
        if at + length > len(data):
            raise NotWireFormat("unexpected EOF")
        yield str(number), wire, data[at : at + length]
        at += length


# -- values --------------------------------------------------------------------------------------


def _struct(data: bytes, fields: Fields, depth: int) -> Json:
    if depth > DEPTH_MAX:
        raise NotWireFormat("proto: exceeded max recursion depth")
    made: Json = {}
    for number, wire, value in _entries(data):
        if number not in fields:
            continue  # as upstream: what a newer client knows is passed over
        name, kind = fields[number]
        if kind.startswith("[]"):
            made.setdefault(name, []).extend(_repeated(wire, value, kind[2:], depth))
        elif kind.startswith("map:"):
            entry = _struct(_bytes(value), {"1": ["key", "string"], "2": ["value", kind[4:]]}, depth + 1)
            made.setdefault(name, {})[entry.get("key", "")] = entry.get("value", _zero(kind[4:]))
        elif name:
            made[name] = _value(value, kind, depth)
        else:
            made |= _value(value, kind, depth)
    return made


def _repeated(wire: int, value: int | bytes, kind: str, depth: int) -> list[Any]:
    """One item, or those of a packed list of numbers."""
    if isinstance(value, bytes) and wire == _BYTES and kind in ("int32", "int64", "uint32", "bool"):
        found, at = [], 0
        while at < len(value):
            number, at = _varint(value, at)
            found.append(_value(number, kind, depth))
        return found
    return [_value(value, kind, depth)]


def _value(value: int | bytes, kind: str, depth: int) -> Any:
    if kind in ("bool", "int32", "int64", "uint32"):
        return _number(value, kind)
    data = _bytes(value)
    if leaf := _LEAVES.get(kind):
        return leaf(data, depth)
    return _struct(data, _numbers()[kind], depth + 1)


def _zero(kind: str) -> Any:
    """The value of a map's entry that does not carry one."""
    return _number(0, kind) if kind in ("bool", "int32", "int64", "uint32") else _value(b"", kind, 0)


def _number(value: int | bytes, kind: str) -> int | bool:
    if not isinstance(value, int):
        raise NotWireFormat(f"proto: wrong wireType for a field of type {kind}")
    if kind == "bool":
        return value != 0
    bits = 64 if kind == "int64" else 32
    value &= (1 << bits) - 1
    return value - (1 << bits) if kind != "uint32" and value >> (bits - 1) else value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise NotWireFormat("proto: wrong wireType")
    return value


def _text(data: bytes, depth: int) -> str:
    return data.decode("utf-8", "replace")


def _double(data: bytes, depth: int) -> float:
    if len(data) != 8:
        raise NotWireFormat("proto: wrong wireType for a field of type double")
    return float(struct.unpack("<d", data)[0])


def _moment(data: bytes, depth: int) -> datetime | None:
    found = _struct(data, _SECONDS, depth + 1)
    seconds, nanos = found.get("seconds", 0), found.get("nanos", 0)
    if not seconds and not nanos:
        return None  # a time that was never set
    try:
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError:
        raise NotWireFormat("Time.MarshalJSON: year outside of range [0,9999]") from None


def _time(data: bytes, depth: int) -> str | None:
    found = _moment(data, depth)
    return found.strftime("%Y-%m-%dT%H:%M:%SZ") if found else None


def _microtime(data: bytes, depth: int) -> str | None:
    found = _moment(data, depth)
    return found.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if found else None


def _duration(data: bytes, depth: int) -> str:
    nanos = _struct(data, {"1": ["nanos", "int64"]}, depth + 1).get("nanos", 0)
    return duration.go(nanos / 1e9)


def _quantity(data: bytes, depth: int) -> str:
    found: str = _struct(data, {"1": ["text", "string"]}, depth + 1).get("text", "")
    return found or "0"


def _int_or_string(data: bytes, depth: int) -> int | str:
    found = _struct(data, _INT_OR_STRING, depth + 1)
    return str(found.get("strVal", "")) if found.get("type") else int(found.get("intVal", 0))


def _strings(data: bytes, depth: int) -> list[str]:
    found: list[str] = _struct(data, {"1": ["items", "[]string"]}, depth + 1).get("items", [])
    return found


def _raw(data: bytes, depth: int) -> Any:
    found = _struct(data, {"1": ["raw", "body"]}, depth + 1).get("raw", b"")
    return _embedded(found) if found else None


def _embedded(raw: bytes) -> Any:
    """JSON within the message."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise NotWireFormat(f"the JSON in the message cannot be read: {error}") from None


_LEAVES: dict[str, Callable[[bytes, int], Any]] = {
    "string": _text,
    "bytes": lambda data, depth: b64encode(data).decode(),
    "body": lambda data, depth: data,
    "double": _double,
    "time": _time,
    "microtime": _microtime,
    "duration": _duration,
    "quantity": _quantity,
    "intorstring": _int_or_string,
    "strings": _strings,
    "raw": _raw,
}
