"""Stored objects as lists: put together from bytes, or the long way round, they say the same."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest

from services.api.core_v1 import ConfigMap
from services.api.kinds import resource_of
from services.apiserver.fronts.rest import documents
from services.apiserver.fronts.rest.pieces import Pieces, gzipped
from services.apiserver.registry.request import Item, Listing

CONFIG_MAPS = resource_of(ConfigMap)


def config_map(name: str, size: int = 10) -> dict[str, Any]:
    kind = {"kind": "ConfigMap", "apiVersion": "v1"}
    return {**kind, "metadata": {"name": name, "namespace": "default"}, "data": {"a": "x" * size}}


def listing(objects: list[dict[str, Any]], *, kinds_first: bool = True) -> Listing:
    values = [obj if kinds_first else dict(reversed(obj.items())) for obj in objects]
    items = [Item(orjson.dumps(value), 7 + index) for index, value in enumerate(values)]
    return Listing(items, 99)


def expected(objects: list[dict[str, Any]]) -> dict[str, Any]:
    entries = []
    for index, obj in enumerate(objects):
        metadata = {**obj["metadata"], "resourceVersion": str(7 + index)}
        entries.append({"metadata": metadata, "data": obj["data"]})
    head = {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "99"}}
    return {**head, "items": entries}


@pytest.mark.parametrize("kinds_first", [True, False])
@pytest.mark.parametrize(("count", "size"), [(0, 0), (1, 10), (3, 100), (40, documents.PIECE_BYTES // 7)])
def test_a_list_is_the_same_however_it_was_stored(count: int, size: int, kinds_first: bool) -> None:
    objects = [config_map(f"n-{number}", size) for number in range(count)]
    made = documents.list_document(CONFIG_MAPS, listing(objects, kinds_first=kinds_first))
    assert orjson.loads(made) == expected(objects)


def test_a_long_list_is_in_pieces_of_bounded_size() -> None:
    size = documents.PIECE_BYTES // 7
    objects = [config_map(f"n-{number}", size) for number in range(40)]
    pieces = documents.list_pieces(CONFIG_MAPS, listing(objects))
    assert len(pieces) > 5
    assert max(map(len, pieces)) < documents.PIECE_BYTES + 2 * size
    assert Pieces(pieces, "application/json").size == sum(map(len, pieces))


def test_pieces_are_compressed_as_one() -> None:
    pieces = [b"a" * 100_000, b"", b"bc" * 50_000]
    assert gzip.decompress(b"".join(gzipped(pieces))) == b"".join(pieces)


def test_the_version_belongs_to_the_object_and_not_to_what_is_in_it() -> None:
    inner = {"metadata": {"labels": {"a": "b"}}, "spec": {}}
    stored = {"kind": "PodTemplate", "apiVersion": "v1", "template": inner, "metadata": {"name": "p"}}
    made = orjson.loads(documents.document(Item(orjson.dumps(stored), 7)))
    assert made == {**stored, "metadata": {"name": "p", "resourceVersion": "7"}}
