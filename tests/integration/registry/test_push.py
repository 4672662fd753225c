"""What people push: by every way of uploading, kept, found under its plain name, and run by the nodes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from services.pb.registry.v1 import registry_pb2 as pb
from services.runtime.filesystem import Entry, Filesystem
from services.runtime.images import ImageStore, LayerStore
from services.runtime.model import Image, RuntimeFault
from services.runtime.registry_client import RegistryClient
from tests.integration.registry.conftest import Doors, registry
from tests.support.oci import INDEX, MANIFEST, OciClient, image, layer, oci_client, sha256

BINARY = b"\x7fELF" + b"\0" * 5000


async def on_a_node(doors: Doors, name: str, credentials: tuple[str, str] = ("", "")) -> Image:
    """The image as a machine has it after pulling."""
    async with RegistryClient(doors.address) as client:
        return await ImageStore(client, LayerStore()).pull(name, credentials)


def files(found: Image) -> dict[str, Entry]:
    return dict(found.tree.entries)


async def test_what_is_pushed_runs_under_its_plain_name(doors: Doors) -> None:
    with pytest.raises(RuntimeFault, match="pull access denied"):
        await on_a_node(doors, "crane")
    base = layer(
        {"etc/passwd": "root:x:0:0::/:/bin/sh\n", "etc/gone": "x", "opt/old/a": "x", "opt/old/b": "x"}
    )
    top = layer({
        "app": BINARY, "etc/motd": "hello\n", "etc/link": "->motd", "etc/.wh.gone": "",
        "opt/old/.wh..wh..opq": "", "opt/old/new": "x",
    })  # fmt: skip
    pushed = await doors.me.push(
        "crane", "latest", [base, top], Entrypoint=["/app"], Cmd=["--fast"], Env=["A=1", "B=x=y"],
        WorkingDir="/etc", User="1000", ExposedPorts={"9090/tcp": {}}, Labels={"a": "b"}, StopSignal="SIGINT",
    )  # fmt: skip
    assert pushed.status == 201
    assert pushed.headers["Docker-Content-Digest"] in pushed.headers["Location"]
    found = await on_a_node(doors, "crane")
    assert (found.entrypoint, found.cmd) == (("/app",), ("--fast",))
    assert (found.working_dir, found.user) == ("/etc", "1000")
    assert (found.env, found.ports, found.stop_signal) == ((("A", "1"), ("B", "x=y")), (9090,), "SIGINT")
    assert found.digest == pushed.headers["Docker-Content-Digest"]
    tree = files(found)
    assert tree["/etc/motd"].data == b"hello\n"
    assert Filesystem(found.tree).read("/etc/link") == b"hello\n"
    assert tree["/app"].data == b"\x7fELF"
    assert tree["/app"].mode == 0o755
    assert "/etc/gone" not in tree
    assert Filesystem(found.tree).listing("/opt/old") == ["new"]
    # Nobody said what /app does: a server on the port that the image exposes.
    behaviour: Any = found.behaviour
    assert (behaviour["program"], behaviour["http"][0]["defaultPort"]) == ("/app", 9090)


@pytest.mark.parametrize("name", ["127.0.0.1:5001/me/same", "localhost:5001/me/same", "docker.io/me/same"])
async def test_the_address_of_the_registry_makes_no_difference(doors: Doors, name: str) -> None:
    await doors.me.push("me/same", "v1", [layer({"app": BINARY})], Cmd=["/app"])
    assert (await on_a_node(doors, f"{name}:v1")).cmd == ("/app",)


class TestBehaviour:
    async def test_by_label(self, doors: Doors) -> None:
        label = "program: /app\nlog: [hello]\nexit: {afterSeconds: 1, code: 3}\n"
        await doors.me.push(
            "me/labelled",
            "latest",
            [layer({"app": BINARY})],
            Cmd=["/app"],
            Labels={"dev.orrery.behaviour": label},
        )
        found: Any = (await on_a_node(doors, "me/labelled")).behaviour
        assert found == {"program": "/app", "log": ["hello"], "exit": {"afterSeconds": 1, "code": 3}}

    async def test_a_label_that_makes_no_sense_is_refused(self, doors: Doors) -> None:
        for label, words in [
            ("program: /app\nhttp: [{port: none}]", "http[0].port: a port from 1 to 65535 is wanted"),
            ("{", "label dev.orrery.behaviour:"),
            ("colour: red", "unknown field 'colour'"),
        ]:
            pushed = await doors.me.push(
                "me/odd",
                "latest",
                [layer({"app": BINARY})],
                Cmd=["/app"],
                Labels={"dev.orrery.behaviour": label},
            )
            assert (pushed.status, pushed.code) == (400, "MANIFEST_INVALID")
            assert words in pushed.json["errors"][0]["detail"]

    async def test_of_the_base_by_its_layers(self, doors: Doors) -> None:
        base = await _layers_of(doors.nobody, "library/nginx")
        await doors.me.push("me/site", "latest", [*base, layer({"x": "y"})], Cmd=["nginx"])
        found: Any = (await on_a_node(doors, "me/site")).behaviour
        assert found["program"] == "/usr/sbin/nginx"
        assert found["http"][0]["root"] == "/usr/share/nginx/html"

    async def test_of_the_base_by_its_history(self, doors: Doors) -> None:
        resolved = await doors.nobody.ask("GET", "/v2/luksa/kubia/manifests/v2", headers={"Accept": MANIFEST})
        config = await doors.nobody.ask("GET", f"/v2/luksa/kubia/blobs/{resolved.json['config']['digest']}")
        steps = [step["created_by"] for step in config.json["history"]]
        await doors.me.push(
            "me/kubia",
            "latest",
            [layer({"usr/local/bin/node": BINARY})],
            [*steps, "COPY app.js"],
            Cmd=["node", "x"],
        )
        found: Any = (await on_a_node(doors, "me/kubia")).behaviour
        assert found["http"][0]["body"].startswith("This is v2")

    async def test_of_a_base_that_the_catalogue_has_changed_since(self, doors: Doors) -> None:
        steps = [f"behaviour of docker.io/library/nginx sha256:{'0' * 64}", "COPY index.html"]
        content = layer({"usr/sbin/nginx": BINARY})
        await doors.me.push("me/old-site", "latest", [content], steps, Cmd=["nginx"])
        assert (await on_a_node(doors, "me/old-site")).behaviour["program"] == "/usr/sbin/nginx"

    async def test_a_program_on_a_language_is_a_server(self, doors: Doors) -> None:
        base = await _layers_of(doors.nobody, "library/python")
        await doors.me.push(
            "me/flask",
            "latest",
            [*base, layer({"app.py": "x"})],
            Cmd=["python", "app.py"],
            Env=["PATH=/usr/local/bin"],
        )
        found: Any = (await on_a_node(doors, "me/flask")).behaviour
        assert found["program"] == "/usr/local/bin/python"
        assert found["http"][0]["fromPod"] is True

    async def test_shell_scripts_and_tools_need_none(self, doors: Doors) -> None:
        script = layer({"run.sh": "#!/bin/sh\necho hi\n", "bin/sh": BINARY, "bin/sleep": BINARY})
        for at, cmd in enumerate((["/run.sh"], ["sh", "-c", "echo hi; sleep 5"], ["sleep", "5"])):
            await doors.me.push(f"me/script{at}", "latest", [script], Cmd=cmd)
            assert (await on_a_node(doors, f"me/script{at}")).behaviour == {}

    async def test_the_program_behind_an_entry_script(self, doors: Doors) -> None:
        content = layer({"entry.sh": '#!/bin/sh\nexec "$@"\n', "usr/bin/server": BINARY})
        await doors.me.push("me/entry", "latest", [content], Entrypoint=["/entry.sh"], Cmd=["server", "-x"])
        assert (await on_a_node(doors, "me/entry")).behaviour["program"] == "/usr/bin/server"


async def _layers_of(client: OciClient, name: str) -> list[bytes]:
    manifest = await client.ask("GET", f"/v2/{name}/manifests/latest", headers={"Accept": MANIFEST})
    return [
        (await client.ask("GET", f"/v2/{name}/blobs/{one['digest']}")).body for one in manifest.json["layers"]
    ]


class TestUploads:
    async def test_in_chunks(self, doors: Doors) -> None:
        data = b"0123456789" * 100
        begun = await doors.me.ask("POST", "/v2/me/chunks/blobs/uploads/")
        location = begun.headers["Location"]
        assert (begun.status, begun.headers["Range"]) == (202, "0-0")
        assert begun.headers["Docker-Upload-UUID"] in location
        first = await doors.me.ask("PATCH", location, data=data[:600], headers={"Content-Range": "0-599"})
        assert (first.status, first.headers["Range"]) == (202, "0-599")
        wrong = await doors.me.ask("PATCH", location, data=b"x", headers={"Content-Range": "700-700"})
        assert (wrong.status, wrong.code, wrong.headers["Range"]) == (416, "RANGE_INVALID", "0-599")
        odd = await doors.me.ask("PATCH", location, data=b"x", headers={"Content-Range": "600-700"})
        assert odd.code == "SIZE_INVALID"
        status = await doors.me.ask("GET", location)
        assert (status.status, status.headers["Range"]) == (204, "0-599")
        await doors.me.ask("PATCH", location, data=data[600:900])
        done = await doors.me.ask("PUT", f"{location}?digest={sha256(data)}", data=data[900:])
        assert done.status == 201
        assert done.headers["Location"] == f"/v2/me/chunks/blobs/{sha256(data)}"
        assert (await doors.me.ask("GET", done.headers["Location"])).body == data
        assert (await doors.me.ask("GET", location)).code == "BLOB_UPLOAD_UNKNOWN"

    async def test_at_once(self, doors: Doors) -> None:
        done = await doors.me.ask("POST", f"/v2/me/once/blobs/uploads/?digest={sha256(b'x')}", data=b"x")
        assert done.status == 201
        assert (await doors.me.ask("HEAD", f"/v2/me/once/blobs/{sha256(b'x')}")).headers[
            "Content-Length"
        ] == "1"

    async def test_given_up(self, doors: Doors) -> None:
        location = (await doors.me.ask("POST", "/v2/me/up/blobs/uploads/")).headers["Location"]
        assert (await doors.me.ask("DELETE", location)).status == 204
        assert (await doors.me.ask("PATCH", location, data=b"x")).code == "BLOB_UPLOAD_UNKNOWN"

    async def test_mounted_from_another_repository(self, doors: Doors) -> None:
        await doors.me.upload("me/one", b"shared")
        digest = sha256(b"shared")
        assert (await doors.nobody.ask("GET", f"/v2/me/two/blobs/{digest}")).code == "BLOB_UNKNOWN"
        path = f"/v2/me/two/blobs/uploads/?mount={digest}&from="
        assert (await doors.me.ask("POST", f"{path}me/one")).status == 201
        assert (await doors.nobody.ask("GET", f"/v2/me/two/blobs/{digest}")).body == b"shared"
        unknown = f"/v2/me/two/blobs/uploads/?mount={sha256(b'other')}&from=me/one"
        assert (await doors.me.ask("POST", unknown)).status == 202
        catalogue = await doors.grpc.Resolve(pb.ResolveRequest(name="nginx"))
        base = catalogue.manifest.layers[0].digest
        mounted = await doors.me.ask("POST", f"/v2/me/two/blobs/uploads/?mount={base}&from=library/nginx")
        assert mounted.status == 201

    async def test_private_blobs_cannot_be_mounted(self, doors: Doors) -> None:
        await doors.me.upload("me/private", b"mine")
        async with oci_client(doors.base, "you", "other") as you:
            path = f"/v2/you/x/blobs/uploads/?mount={sha256(b'mine')}&from=me/private"
            assert (await you.ask("POST", path)).status == 202


class TestAccounts:
    @pytest.mark.parametrize("name", ["crane", "me/app"])
    async def test_nobody_may_push(self, doors: Doors, name: str) -> None:
        answer = await doors.nobody.push(name, "latest", [layer({"a": "b"})])
        assert (answer.status, answer.code) == (401, "DENIED")
        assert answer.json["errors"][0]["message"] == "requested access to the resource is denied"
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]

    @pytest.mark.parametrize(
        "name", ["nginx", "library/nginx", "you/app", "registry.k8s.io/pause", "orrery/app"]
    )
    async def test_others_things_are_theirs(self, doors: Doors, name: str) -> None:
        answer = await doors.me.push(name, "latest", [layer({"a": "b"})])
        assert (answer.status, answer.code) == (401, "DENIED")

    async def test_a_wrong_password(self, doors: Doors) -> None:
        async with oci_client(doors.base, "orrery", "wrong") as impostor:
            answer = await impostor.ask("GET", "/v2/")
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert answer.json["errors"][0]["message"] == "incorrect username or password"

    async def test_basic_is_enough(self, doors: Doors) -> None:
        proof = base64.b64encode(b"orrery:orrery").decode()
        basic = {"Authorization": f"Basic {proof}"}
        assert (await doors.nobody.once("GET", "/v2/", headers=basic)).status == 200
        private = await doors.nobody.once("GET", "/v2/orrery/private/manifests/latest", headers=basic)
        assert private.status == 200
        assert (await doors.nobody.once("GET", "/v2/orrery/private/manifests/latest")).status == 401

    async def test_a_missing_repository_is_denied_as_the_hub_does(self, doors: Doors) -> None:
        answer = await doors.nobody.ask("GET", "/v2/library/nosuch/manifests/latest")
        assert (answer.status, answer.code) == (401, "DENIED")
        missing = await doors.nobody.ask("GET", "/v2/library/nginx/manifests/nosuch")
        assert (missing.status, missing.code) == (404, "MANIFEST_UNKNOWN")

    async def test_nodes_need_the_right_secret(self, doors: Doors) -> None:
        await doors.me.push("me/private-app", "v1", [layer({"app": BINARY})], Cmd=["/app"])
        with pytest.raises(RuntimeFault) as caught:
            await on_a_node(doors, "me/private-app:v1")
        assert str(caught.value) == (
            'failed to pull and unpack image "docker.io/me/private-app:v1": failed to resolve reference '
            '"docker.io/me/private-app:v1": pull access denied, repository does not exist or may require '
            "authorization: server message: insufficient_scope: authorization failed"
        )
        with pytest.raises(RuntimeFault) as caught:
            await on_a_node(doors, "me/private-app:v1", ("me", "wrong"))
        assert str(caught.value).endswith("401 Unauthorized")
        assert (await on_a_node(doors, "me/private-app:v1", ("me", "secret"))).cmd == ("/app",)

    async def test_a_closed_registry_takes_no_new_accounts(self, tmp_path: Path) -> None:
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "a.yaml").write_text("images: {}")
        (tmp_path / "registry.yaml").write_text("{signUp: closed, accounts: {admin: '1'}}")
        async with (
            registry(tmp_path / "data", folder=tmp_path / "images") as closed,
            oci_client(closed.base, "admin", "1") as admin,
        ):
            assert (await closed.me.ask("GET", "/v2/")).status == 401
            assert (await admin.ask("GET", "/v2/")).status == 200


async def test_it_survives_a_restart(tmp_path: Path) -> None:
    async with registry(tmp_path) as doors:
        pushed = await doors.me.push("me/kept", "v1", [layer({"app": BINARY})], Cmd=["/app"])
        await doors.me.upload("me/kept", b"a blob that no manifest ever named")
        unfinished = await doors.me.ask("POST", "/v2/me/kept/blobs/uploads/")
        await doors.me.ask("PATCH", unfinished.headers["Location"], data=b"half")
    async with registry(tmp_path) as doors:
        found = await on_a_node(doors, "me/kept:v1")
        assert found.digest == pushed.headers["Docker-Content-Digest"]
        assert found.behaviour["program"] == "/app"
        assert (await doors.nobody.ask("GET", "/v2/me/kept/tags/list")).json["tags"] == ["v1"]
        async with oci_client(doors.base, "me", "stolen") as impostor:
            assert (await impostor.ask("GET", "/v2/")).status == 401
        assert list((tmp_path / "uploads").iterdir()) == []
        assert len(list((tmp_path / "blobs" / "sha256").iterdir())) == 3


async def test_deleting(doors: Doors) -> None:
    pushed = await doors.me.push("me/gone", "v1", [layer({"app": BINARY})], Cmd=["/app"])
    digest = pushed.headers["Docker-Content-Digest"]
    _, manifest = image([layer({"app": BINARY})], Cmd=["/app"])
    assert (await doors.me.put_manifest("me/gone", "v2", manifest)).status == 201
    blob = json.loads(manifest)["layers"][0]["digest"]
    assert (await doors.me.ask("DELETE", f"/v2/me/gone/blobs/{blob}")).code == "UNSUPPORTED"
    assert (await doors.me.ask("DELETE", "/v2/me/gone/manifests/v1")).status == 202
    assert (await doors.nobody.ask("GET", "/v2/me/gone/tags/list")).json["tags"] == ["v2"]
    assert (await doors.nobody.ask("DELETE", f"/v2/me/gone/manifests/{digest}")).code == "DENIED"
    assert (await doors.me.ask("DELETE", f"/v2/me/gone/manifests/{digest}")).status == 202
    assert (await doors.me.ask("DELETE", f"/v2/me/gone/manifests/{digest}")).code == "MANIFEST_UNKNOWN"
    assert list((doors.data / "blobs" / "sha256").iterdir()) == []


async def test_an_index_and_what_refers_to_an_image(doors: Doors) -> None:
    arm = await doors.me.push("me/multi", "arm", [layer({"arm": BINARY})], Cmd=["/arm"])
    amd = await doors.me.push("me/multi", "amd", [layer({"amd": BINARY})], Cmd=["/amd"])
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {
                "mediaType": MANIFEST,
                "size": 1,
                "digest": one.headers["Docker-Content-Digest"],
                "platform": {"os": "linux", "architecture": kind},
            }
            for kind, one in (("arm64", arm), ("amd64", amd))
        ],
    }
    pushed = await doors.me.put_manifest("me/multi", "latest", json.dumps(index).encode(), INDEX)
    assert pushed.status == 201
    found = await on_a_node(doors, "me/multi")
    assert (found.cmd, found.digest) == (("/amd",), pushed.headers["Docker-Content-Digest"])
    index["manifests"] = [{"mediaType": MANIFEST, "size": 1, "digest": sha256(b"nowhere")}]
    lost = await doors.me.put_manifest("me/multi", "lost", json.dumps(index).encode(), INDEX)
    assert (lost.status, lost.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    subject = {"mediaType": MANIFEST, "digest": amd.headers["Docker-Content-Digest"], "size": 1}
    await doors.me.upload("me/multi", b"{}")
    artifact = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "text/signature",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2},
        "layers": [],
        "subject": subject,
        "annotations": {"who": "me"},
    }
    signed = await doors.me.put_manifest("me/multi", "signature", json.dumps(artifact).encode())
    assert signed.headers["OCI-Subject"] == subject["digest"]
    path = f"/v2/me/multi/referrers/{subject['digest']}"
    (only,) = (await doors.nobody.ask("GET", path)).json["manifests"]
    assert (only["artifactType"], only["annotations"]) == ("text/signature", {"who": "me"})
    filtered = await doors.nobody.ask("GET", f"{path}?artifactType=other")
    assert filtered.json["manifests"] == []
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
    with pytest.raises(RuntimeFault, match="no match for platform in manifest: not found"):
        await on_a_node(doors, "me/multi:signature")


async def test_an_image_for_no_platform_of_ours(doors: Doors) -> None:
    pushed = await doors.me.push("me/win", "w", [layer({"a": BINARY})], Cmd=["/a"])
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {
                "mediaType": MANIFEST,
                "size": 1,
                "digest": pushed.headers["Docker-Content-Digest"],
                "platform": {"os": "windows", "architecture": "amd64"},
            }
        ],
    }
    await doors.me.put_manifest("me/win", "latest", json.dumps(index).encode(), INDEX)
    with pytest.raises(RuntimeFault) as caught:
        await on_a_node(doors, "me/win")
    assert str(caught.value) == (
        'failed to pull and unpack image "docker.io/me/win:latest": '
        "no match for platform in manifest: not found"
    )


async def test_a_repository_has_only_what_was_pushed_to_it(doors: Doors) -> None:
    assert (await on_a_node(doors, "me/mine:v1")).behaviour["program"] == "/usr/local/bin/server"
    await doors.me.push("me/mine", "v1", [layer({"app": BINARY})], Cmd=["/app"])
    assert (await on_a_node(doors, "me/mine:v1")).cmd == ("/app",)
    with pytest.raises(RuntimeFault, match=r"docker\.io/me/mine:v2: not found"):
        await on_a_node(doors, "me/mine:v2")


async def test_shared_layers_keep_the_size_of_the_real_ones(doors: Doors) -> None:
    base = await _layers_of(doors.nobody, "library/redis")
    await doors.me.push("me/cache", "latest", [*base, layer({"x": "y"})], Cmd=["redis-server"])
    resolved = await doors.grpc.Resolve(pb.ResolveRequest(name="me/cache"))
    assert resolved.manifest.layers[0].size == 49_300_000
    original = await doors.grpc.Resolve(pb.ResolveRequest(name="redis"))
    assert resolved.manifest.layers[0].digest == original.manifest.layers[0].digest


async def test_credentials_of_grpc_are_checked(doors: Doors) -> None:
    wrong = pb.Credentials(username="orrery", password="no")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await doors.grpc.Resolve(pb.ResolveRequest(name="nginx", credentials=wrong))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
