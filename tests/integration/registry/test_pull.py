"""The catalogue through both doors: the same digests, real bytes, ranges, lists."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

import pytest

from services.pb.registry.v1 import registry_pb2 as pb
from tests.integration.registry.conftest import Doors
from tests.support.oci import CONFIG, INDEX, MANIFEST, sha256


async def test_a_login_is_asked_for_where_clients_look_for_it(doors: Doors) -> None:
    answer = await doors.nobody.once("GET", "/v2/")
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="{doors.base}/token",service="orrery"'
    assert (await doors.me.ask("GET", "/v2/")).status == 200


async def test_an_image_is_the_same_through_both_doors(doors: Doors) -> None:
    index = await doors.nobody.ask("GET", "/v2/library/nginx/manifests/1.29", headers={"Accept": INDEX})
    resolved = await doors.grpc.Resolve(pb.ResolveRequest(name="nginx:1.29"))
    assert index.headers["Content-Type"] == INDEX
    assert index.headers["Docker-Content-Digest"] == sha256(index.body) == resolved.digest
    platforms = {one["platform"]["architecture"]: one["digest"] for one in index.json["manifests"]}
    assert set(platforms) == {"amd64", "arm64"}
    manifest = await doors.nobody.ask("GET", f"/v2/library/nginx/manifests/{platforms['amd64']}")
    assert sha256(manifest.body) == platforms["amd64"]
    assert manifest.json["config"]["digest"] == resolved.manifest.config_digest
    assert [one["digest"] for one in manifest.json["layers"]] == [
        layer.digest for layer in resolved.manifest.layers
    ]
    config = await doors.nobody.ask("GET", f"/v2/library/nginx/blobs/{manifest.json['config']['digest']}")
    assert manifest.json["config"]["mediaType"] == CONFIG
    assert config.json["config"]["StopSignal"] == "SIGQUIT"
    seen: set[str] = set()
    for one, diff_id in zip(manifest.json["layers"], config.json["rootfs"]["diff_ids"], strict=True):
        blob = await doors.nobody.ask("GET", f"/v2/library/nginx/blobs/{one['digest']}")
        assert (sha256(blob.body), len(blob.body)) == (one["digest"], one["size"])
        assert sha256(gzip.decompress(blob.body)) == diff_id
        with tarfile.open(fileobj=io.BytesIO(blob.body)) as archive:
            seen.update(archive.getnames())
    assert {"usr/sbin/nginx", "usr/share/nginx/html/index.html"} <= seen


async def test_pull_by_digest_through_both_doors(doors: Doors) -> None:
    digest = (await doors.grpc.Resolve(pb.ResolveRequest(name="redis"))).digest
    again = await doors.grpc.Resolve(pb.ResolveRequest(name=f"redis@{digest}"))
    assert again.reference == f"docker.io/library/redis@{digest}"
    head = await doors.nobody.ask("HEAD", f"/v2/library/redis/manifests/{digest}")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["Content-Length"]) > 0


async def test_a_client_that_knows_no_index_gets_a_manifest(doors: Doors) -> None:
    answer = await doors.nobody.ask("GET", "/v2/busybox/manifests/latest", headers={"Accept": MANIFEST})
    assert answer.headers["Content-Type"] == MANIFEST
    assert sha256(answer.body) == answer.headers["Docker-Content-Digest"]


async def test_a_mirror_is_asked_for_another_host(doors: Doors) -> None:
    path = "/v2/pause/manifests/3.10?ns=registry.k8s.io"
    digest = (await doors.grpc.Resolve(pb.ResolveRequest(name="registry.k8s.io/pause:3.10"))).digest
    assert (await doors.nobody.ask("GET", path)).headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize(
    ("header", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=5-99999999", 206, slice(5, None)),
        ("bytes=0-", 200, slice(None)),
        ("bytes=-", 200, slice(None)),
        ("lines=1-2", 200, slice(None)),
        ("bytes=99999999-", 416, slice(0, 0)),
        ("bytes=9-3", 416, slice(0, 0)),
    ],
)
async def test_ranges_of_a_blob(doors: Doors, header: str, status: int, part: slice) -> None:
    answer = await doors.grpc.Resolve(pb.ResolveRequest(name="busybox"))
    path = f"/v2/busybox/blobs/{answer.manifest.layers[0].digest}"
    whole = (await doors.nobody.ask("GET", path)).body
    got = await doors.nobody.ask("GET", path, headers={"Range": header})
    assert got.status == status
    if status == 416:
        assert (got.code, got.headers["Content-Range"]) == ("RANGE_INVALID", f"bytes */{len(whole)}")
    else:
        assert got.body == whole[part]


async def test_lists_come_in_pages(doors: Doors) -> None:
    tags = (await doors.nobody.ask("GET", "/v2/library/nginx/tags/list")).json["tags"]
    first = await doors.nobody.ask("GET", "/v2/library/nginx/tags/list?n=3")
    assert first.json == {"name": "library/nginx", "tags": tags[:3]}
    link = first.headers["Link"]
    assert link == f'</v2/library/nginx/tags/list?n=3&last={tags[2]}>; rel="next"'
    second = await doors.nobody.ask("GET", f"/v2/library/nginx/tags/list?n=3&last={tags[2]}")
    assert second.json["tags"] == tags[3:6]
    names = (await doors.nobody.ask("GET", "/v2/_catalog")).json["repositories"]
    assert {"library/nginx", "luksa/kubia", "registry.k8s.io/pause"} <= set(names)
    assert "orrery/private" not in names
    assert (await doors.nobody.ask("GET", "/v2/_catalog?n=0")).json == {"repositories": []}


async def test_the_index_of_an_etag_is_its_digest(doors: Doors) -> None:
    answer = await doors.nobody.ask("GET", "/v2/library/httpd/manifests/latest")
    assert answer.headers["ETag"] == f'"sha256:{hashlib.sha256(answer.body).hexdigest()}"'
