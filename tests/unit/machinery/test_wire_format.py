"""Upstream's protobuf bodies as JSON: what each kind of field becomes, and what is no message."""

from __future__ import annotations

import contextlib
from random import Random
from typing import Any

import orjson
import pytest

from services.machinery.schema.wire_format import MAGIC, NotWireFormat, message_of, to_json


def varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    return (
        MAGIC + field(1, field(1, api_version) + field(2, kind)) + field(2, raw) + field(3, "") + field(4, "")
    )


def read(api_version: str, kind: str, *fields: bytes) -> dict[str, Any]:
    made = to_json(body(api_version, kind, b"".join(fields)))
    assert made.pop("kind") == kind
    assert made.pop("apiVersion") == api_version
    orjson.dumps(made)
    return made


def test_an_object_with_maps_times_and_numbers() -> None:
    metadata = b"".join(
        (
            field(1, "web"),
            field(8, field(1, 1_700_000_000) + field(2, 0)),
            field(11, field(1, "app") + field(2, "web")),
            field(11, field(1, "empty")),
        )
    )
    made = read("apps/v1", "Deployment", field(1, metadata), field(2, field(1, 3) + field(5, -1)))
    assert made["metadata"]["name"] == "web"
    assert made["metadata"]["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert made["metadata"]["labels"] == {"app": "web", "empty": ""}
    assert made["spec"] == {"replicas": 3, "minReadySeconds": -1}


def test_what_json_writes_inline_is_inline() -> None:
    secret = field(6, field(1, "tls") + field(3, 0o400))
    volume = field(1, "v") + field(2, secret)
    made = read("v1", "Pod", field(2, field(1, volume)))
    assert made["spec"]["volumes"] == [{"name": "v", "secret": {"secretName": "tls", "defaultMode": 256}}]


def test_values_that_json_writes_as_one() -> None:
    limits = field(1, field(1, "cpu") + field(2, field(1, "250m")))
    container = field(1, "c") + field(8, limits)
    made = read("v1", "Pod", field(2, field(2, container)))
    assert made["spec"]["containers"] == [{"name": "c", "resources": {"limits": {"cpu": "250m"}}}]
    port = field(3, 80) + field(4, field(1, 1) + field(2, 0) + field(3, "http"))
    plain = field(3, 81) + field(4, field(1, 0) + field(2, 8081) + field(3, ""))
    made = read("v1", "Service", field(2, field(1, port) + field(1, plain)))
    assert [each["targetPort"] for each in made["spec"]["ports"]] == ["http", 8081]
    assert read("v1", "Secret", field(2, field(1, "k") + field(2, b"\xff\0")))["data"] == {"k": "/wA="}
    assert read("v1", "Event", field(10, b""))["eventTime"] is None


def test_options_of_a_deletion_in_any_group() -> None:
    assert message_of("apps/v1", "DeleteOptions") == "meta.v1.DeleteOptions"
    assert read("policy/v1", "DeleteOptions", field(1, 0), field(4, "Foreground")) == {
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Foreground",
    }


def test_fields_that_nobody_knows_are_passed_over() -> None:
    assert read("v1", "ConfigMap", field(99, "x"), field(98, 7)) == {}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"", "does not appear to be a protobuf message"),
        (b"{}", "does not appear to be a protobuf message"),
        (MAGIC + b"\x0a\x05ab", "unexpected EOF"),
        (MAGIC + b"\xff" * 11, "integer overflow"),
        (MAGIC + b"\x0b", "illegal wireType"),
        (MAGIC + b"\x00\x00", "illegal tag 0"),
        (body("v1", "Pod", b"\x08\x01"), "wrong wireType"),
        (body("v1", "Pod", b"\x0a\xff\xff\xff\xff\x7f"), "unexpected EOF"),
        (body("v9", "Pod", b""), 'no kind "Pod" is registered for version "v9"'),
        (body("v1", "Event", field(10, field(1, 1 << 62))), "year outside of range"),
    ],
)
def test_what_is_no_message_says_why(bad: bytes, why: str) -> None:
    with pytest.raises(NotWireFormat, match=why):
        to_json(bad)


def test_no_bytes_do_more_than_be_refused() -> None:
    chance = Random(7)
    good = body(
        "v1", "Pod", field(1, field(1, "a")) + field(2, field(2, field(1, "c")) + field(1, b"\x0a\x01v"))
    )
    for _ in range(2000):
        bad = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            bad[chance.randrange(4, len(bad))] = chance.randrange(256)
        with contextlib.suppress(NotWireFormat):
            orjson.dumps(to_json(bytes(bad)))
