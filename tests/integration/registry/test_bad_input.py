"""What nobody should send: the right code of the distribution API, never a stack, never much memory."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import logging
import tarfile
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.pb.registry.v1 import registry_pb2 as pb
from tests.integration.registry.conftest import Doors, registry
from tests.support.clock import ManualClock
from tests.support.oci import INDEX, MANIFEST, Answer, image, layer, sha256
from tests.unit.registry.test_service import ObservedClock

BINARY = b"\x7fELF"


@pytest.fixture(autouse=True)
def no_stack(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """An error that a handler lets through is logged with its stack."""
    yield
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01garbage\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: " + b"x" * 20_000 + b"\r\n\r\n",
        b"POST /v2/me/x/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"PUT /v2/a/manifests/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET //[ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data\r\n"
        b"Content-Length: 3\r\n\r\nabc",
        b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 300000\r\n\r\n" + b"a" * 300_000,
        b'GET /v2/%ff%fe/tags/list HTTP/1.1\r\nHost: a"b\r\n\r\n',
    ],
)
async def test_what_is_no_request(doors: Doors, data: bytes) -> None:
    host, _, port = doors.base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    async with asyncio.timeout(60):
        answer = await reader.readline()
    writer.close()
    assert b" 4" in answer
    assert (await doors.nobody.ask("GET", "/v2/nginx/manifests/latest")).status == 200


async def test_a_silent_upload_ends_and_can_go_on(tmp_path: Path) -> None:
    clock = ManualClock()
    async with registry(tmp_path, clock=clock) as doors:
        begun = await doors.me.ask("POST", "/v2/me/slow/blobs/uploads/")
        location, came = begun.headers["Location"], asyncio.Event()

        async def pieces() -> AsyncIterator[bytes]:
            yield b"12345"
            came.set()
            await asyncio.Event().wait()

        slow = asyncio.create_task(doors.me.ask("PATCH", location, data=pieces()))
        await came.wait()
        while (await doors.me.ask("GET", location)).headers["Range"] != "0-4":
            pass
        await clock.advance(61)
        answer = await slow
        assert (answer.status, answer.code) == (400, "BLOB_UPLOAD_INVALID")
        done = await doors.me.ask("PUT", f"{location}?digest={sha256(b'1234567')}", data=b"67")
        assert done.status == 201


async def test_a_blob_takes_the_time_of_the_layer_that_it_stands_for(tmp_path: Path) -> None:
    clock = ObservedClock()
    async with registry(tmp_path, clock=clock, bytes_per_second=10e6) as doors:
        resolved = await doors.grpc.Resolve(pb.ResolveRequest(name="nginx"))
        layer_ = resolved.manifest.layers[0]
        got = asyncio.create_task(doors.nobody.ask("GET", f"/v2/nginx/blobs/{layer_.digest}"))
        await clock.asleep.wait()
        await clock.advance(layer_.size / 10e6 - 0.01)
        assert not got.done()
        await clock.advance(0.02)
        assert sha256((await got).body) == layer_.digest


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/UPPER/manifests/latest", 400, "NAME_INVALID"),
        ("GET", "/v2/a//b/manifests/latest", 400, "NAME_INVALID"),
        ("GET", "/v2/..%2f..%2fetc/manifests/latest", 400, "NAME_INVALID"),
        ("GET", "/v2/-x/tags/list", 400, "NAME_INVALID"),
        ("GET", f"/v2/{'x' * 300}/manifests/latest", 400, "NAME_INVALID"),
        ("GET", "/v2/nginx/manifests/a%20b", 400, "TAG_INVALID"),
        ("GET", f"/v2/nginx/manifests/{'t' * 200}", 400, "TAG_INVALID"),
        ("GET", "/v2/nginx/manifests/sha256:12", 400, "DIGEST_INVALID"),
        ("GET", f"/v2/nginx/manifests/md5:{'0' * 32}", 400, "DIGEST_INVALID"),
        ("GET", f"/v2/nginx/manifests/{sha256(b'none')}", 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/nginx/blobs/nonsense", 400, "DIGEST_INVALID"),
        ("GET", f"/v2/nginx/blobs/{sha256(b'none')}", 404, "BLOB_UNKNOWN"),
        ("GET", "/v2/registry.k8s.io/nothing/tags/list", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/nginx/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        ("GET", "/v2/nginx/tags/list?n=%C2%B2", 400, "PAGINATION_NUMBER_INVALID"),
        ("GET", "/v2/_catalog?n=x", 400, "PAGINATION_NUMBER_INVALID"),
        ("GET", "/v2/nginx/referrers/x", 400, "DIGEST_INVALID"),
        ("GET", "/nowhere", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/nginx", 404, "NAME_UNKNOWN"),
        ("PATCH", "/v2/nginx/manifests/latest", 405, "UNSUPPORTED"),
        ("PUT", "/v2/me/x/blobs/uploads/none?digest=x", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PATCH", "/v2/me/x/blobs/uploads/..%2f..%2fx", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PUT", "/v2/me/x/manifests/a%20b", 400, "TAG_INVALID"),
        ("DELETE", "/v2/me/x/manifests/none", 404, "MANIFEST_UNKNOWN"),
        ("DELETE", f"/v2/me/x/blobs/{sha256(b'none')}", 404, "BLOB_UNKNOWN"),
        ("POST", "/v2/me/x/blobs/uploads/?digest=nonsense", 400, "DIGEST_INVALID"),
    ],
)
async def test_requests_that_make_no_sense(
    doors: Doors, method: str, path: str, status: int, code: str
) -> None:
    answer = await doors.me.ask(method, path)
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(
    "proof",
    [
        "Basic !!!",
        "Basic bWU=",
        "Basic ",
        "Bearer x",
        "Bearer x.y",
        "Digest a",
        "Basic " + "A" * 4000,
        "Bearer .",
    ],
)
async def test_proofs_that_prove_nothing(doors: Doors, proof: str) -> None:
    for path in ("/v2/", "/v2/nginx/manifests/latest", "/token"):
        answer = await doors.nobody.once("GET", path, headers={"Authorization": proof})
        if path != "/token" or proof.startswith("Basic"):
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


def _manifest(**fields: object) -> bytes:
    good = json.loads(image([])[1])
    return json.dumps({**good, **fields}).encode()


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", MANIFEST, "it is no JSON"),
        (b"\xff", MANIFEST, "it is no JSON"),
        (b"[" * 100_000, MANIFEST, "it is no JSON"),
        (b"[]", MANIFEST, "schemaVersion 2 is wanted"),
        (_manifest(schemaVersion=1), MANIFEST, "schemaVersion 2 is wanted"),
        (_manifest(), INDEX, "mediaType differs from Content-Type"),
        (_manifest(mediaType="text/plain"), "text/plain", "unsupported media type text/plain"),
        (_manifest(config=None), MANIFEST, "config: a descriptor is wanted"),
        (_manifest(config={"digest": "x"}), MANIFEST, "config: a descriptor is wanted"),
        (_manifest(layers={}), MANIFEST, "layers: a list is wanted"),
        (_manifest(layers=[{"digest": sha256(b"x"), "size": -1}]), MANIFEST, "layers: a size is wanted"),
        (_manifest(layers=[{"digest": sha256(b"x"), "size": 1}] * 200), MANIFEST, "more than 127 layers"),
        (_manifest(subject="x"), MANIFEST, "subject: a descriptor is wanted"),
    ],
)
async def test_manifests_that_are_refused(doors: Doors, data: bytes, kind: str, words: str) -> None:
    answer = await doors.me.put_manifest("me/odd", "latest", data, kind)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
    assert answer.json["errors"][0]["detail"] == words


async def test_a_manifest_has_limits(doors: Doors) -> None:
    await doors.me.ask("GET", "/v2/")  # the body below can be sent only once
    answer = await doors.me.put_manifest("me/big", "latest", io.BytesIO(b" " * (5 * 1024 * 1024)))
    assert (answer.status, answer.code) == (413, "MANIFEST_INVALID")


async def test_a_manifest_must_be_what_its_digest_says(doors: Doors) -> None:
    answer = await doors.me.put_manifest("me/odd", sha256(b"other"), image([])[1])
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


async def test_a_manifest_of_blobs_that_never_came(doors: Doors) -> None:
    config, manifest = image([layer({"a": "b"})])
    await doors.me.upload("me/half", config)
    answer = await doors.me.put_manifest("me/half", "latest", manifest)
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert answer.json["errors"][0]["detail"] == {"digest": json.loads(manifest)["layers"][0]["digest"]}


@pytest.mark.parametrize("config", [b"[]", b"x", b"{}", b'{"rootfs": 3, "config": []}'])
async def test_configurations_that_are_none(doors: Doors, config: bytes) -> None:
    content = layer({"a": "b"})
    whole = json.loads(image([content])[1])
    whole["config"] |= {"digest": sha256(config), "size": len(config)}
    for blob in (content, config):
        await doors.me.upload("me/odd", blob)
    answer = await doors.me.put_manifest("me/odd", "latest", json.dumps(whole).encode())
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


async def _push(doors: Doors, content: bytes) -> Answer:
    """An image of one layer, whatever is in it."""
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"diff_ids": [sha256(content)]},
    }).encode()  # fmt: skip
    whole = json.loads(image([layer({})])[1])
    whole["config"] |= {"digest": sha256(config), "size": len(config)}
    whole["layers"][0] |= {"digest": sha256(content), "size": len(content)}
    for blob in (content, config):
        assert (await doors.me.upload("me/layer", blob)).status == 201
    return await doors.me.put_manifest("me/layer", "latest", json.dumps(whole).encode())


def _archive(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return gzip.compress(buffer.getvalue())


def _member(name: str, **fields: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def _bomb(mebibytes: int) -> bytes:
    header = tarfile.TarInfo("zeros")
    header.size = mebibytes * 1024 * 1024
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [packer.compress(header.tobuf())]
    pieces += [packer.compress(bytes(1024 * 1024)) for _ in range(mebibytes)]
    return b"".join([*pieces, packer.flush()])


def _long_header() -> bytes:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = b"L", 1024**3
    return gzip.compress(header.tobuf() + b"a" * 4096)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not an archive at all" * 100, "the layer is no tar archive"),
        (b"\x1f\x8bnonsense", "the layer is no gzip archive"),
        (gzip.compress(b"short"), "the layer ends in the middle of a header"),
        (layer({"a": "b" * 5000})[:-200], "the layer"),
        (_archive(_member("../../etc/passwd")), "a path that leads out of it: ../../etc/passwd"),
        (_archive(_member("a/../../b")), "a path that leads out of it"),
        (_archive(_member("link", type=tarfile.LNKTYPE, linkname="../../etc/shadow")), "leads out of it"),
        (_archive(_member("link", type=tarfile.LNKTYPE, linkname="nowhere")), "hard link to something"),
        (_archive(*(_member(f"f{number}") for number in range(50_001))), "more than 50000 entries"),
        (_long_header(), "a header without end"),
        (_bomb(200), "unpacks to more than a layer may"),
    ],
    ids=[
        "text",
        "gzip",
        "short",
        "cut",
        "climbs",
        "climbs-inside",
        "hard-link",
        "no-link",
        "many",
        "name",
        "bomb",
    ],
)
async def test_layers_that_are_refused(doors: Doors, content: bytes, words: str) -> None:
    answer = await _push(doors, content)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
    assert words in answer.json["errors"][0]["detail"]


async def test_links_that_go_round_in_circles_hurt_nobody(doors: Doors) -> None:
    content = _archive(
        _member("a", type=tarfile.SYMTYPE, linkname="b"),
        _member("b", type=tarfile.SYMTYPE, linkname="a"),
        _member("up", type=tarfile.SYMTYPE, linkname="../../../../etc/passwd"),
        _member("dev/sda", type=tarfile.BLKTYPE),
        _member("pipe", type=tarfile.FIFOTYPE),
    )
    assert (await _push(doors, content)).status == 201


async def test_a_digest_that_is_another(doors: Doors) -> None:
    begun = await doors.me.ask("POST", "/v2/me/wrong/blobs/uploads/")
    answer = await doors.me.ask("PUT", f"{begun.headers['Location']}?digest={sha256(b'a')}", data=b"b")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert (await doors.me.ask("GET", begun.headers["Location"])).code == "BLOB_UPLOAD_UNKNOWN"


async def test_an_upload_that_breaks_off_can_go_on(doors: Doors) -> None:
    begun = await doors.me.ask("POST", "/v2/me/cut/blobs/uploads/")
    location = begun.headers["Location"]
    host, _, port = doors.base.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
    writer.write(f"{head}Authorization: Bearer {doors.me.tokens[-1]}\r\n\r\n".encode() + b"12345")
    await writer.drain()
    writer.close()
    async with asyncio.timeout(60):
        # The broken request is over once another one may write; what it brought is kept.
        while (await doors.me.ask("PATCH", location, data=b"")).status != 202:
            pass
        while (place := (await doors.me.ask("GET", location)).headers["Range"]) == "0-0":
            pass
    assert place == "0-4"
    done = await doors.me.ask("PUT", f"{location}?digest={sha256(b'1234567')}", data=b"67")
    assert done.status == 201


async def test_a_full_registry_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    async with registry(tmp_path / "data", stored_bytes_max=200_000) as doors:
        assert (await doors.me.push("me/small", "v1", [layer({"a": "b"})], Cmd=["/a"])).status == 201
        refused = await doors.me.upload("me/large", b"x" * 300_000)
        assert (refused.status, refused.code) == (413, "DENIED")
        assert refused.json["errors"][0]["message"] == "the registry is full"
        assert (await doors.nobody.ask("GET", "/v2/me/small/manifests/v1")).status == 200
        assert list((tmp_path / "data" / "uploads").iterdir()) == []


async def test_uploads_are_bounded_in_number(doors: Doors) -> None:
    answers = [await doors.me.ask("POST", "/v2/me/many/blobs/uploads/") for _ in range(101)]
    assert {answer.status for answer in answers[:100]} == {202}
    assert (answers[100].status, answers[100].code) == (413, "DENIED")


async def test_a_large_blob_costs_no_memory(doors: Doors) -> None:
    async def pieces() -> object:
        for _ in range(64):
            yield bytes(1024 * 1024)

    begun = await doors.me.ask("POST", "/v2/me/large/blobs/uploads/")
    tracemalloc.start()
    try:
        await doors.me.ask("PATCH", begun.headers["Location"], data=pieces())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 1024 * 1024


async def test_many_hard_links_to_one_file_are_no_bomb(doors: Doors) -> None:
    members = [_member("big", size=1024 * 1024)]
    members += [_member(f"l{number}", type=tarfile.LNKTYPE, linkname="big") for number in range(3000)]
    assert (await _push(doors, _archive(*members))).status == 201
    from services.registry.archive import KEPT_BYTES_MAX, entries

    kept = entries(io.BytesIO(_archive(*members)).read)
    assert sum(len(file.content) for file in kept) <= KEPT_BYTES_MAX


async def test_a_record_that_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    async with registry(tmp_path) as doors:
        for name in ("me/one", "me/two"):
            await doors.me.push(name, "v1", [layer({name: BINARY})], Cmd=["/a"])
    broken = tmp_path / "repositories" / "docker.io" / "me" / "one" / "_repository.json"
    broken.write_text("{half")
    async with registry(tmp_path) as doors:
        assert (await doors.nobody.ask("GET", "/v2/me/two/manifests/v1")).status == 200
        assert (await doors.nobody.ask("GET", "/v2/me/one/manifests/v1")).status == 200  # the generic one
    assert broken.with_suffix(".unreadable").exists()
