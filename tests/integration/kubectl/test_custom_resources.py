"""`ok` and kinds that it has never heard of, against an API server in the same loop."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.client.credentials import Credentials
from services.client.grpc_transport import GrpcTransport
from services.kubectl.__main__ import execute
from services.kubectl.session import World
from services.process.clock import SystemClock
from tests.support.apiserver import apiserver_here
from tests.support.custom import GROUP, Custom, definition, version, widget
from tests.support.etcd import Etcd

NAMES = {"shortNames": ["wd"], "categories": ["all"]}


class Ok:
    def __init__(self, address: str) -> None:
        self._address = address

    async def __call__(self, *argv: str, stdin: str = "") -> tuple[str, str, int]:
        @asynccontextmanager
        async def connect(address: str, credentials: Credentials | None = None) -> AsyncIterator[Any]:
            async with GrpcTransport.open(self._address, user_agent="ok/1") as transport:
                yield transport

        out, err = io.StringIO(), io.StringIO()
        environ = {"ORRERY_SERVER": self._address, "ORRERY_HOME": "/nonexistent"}
        world = World(out, err, io.BytesIO(stdin.encode()), environ, SystemClock(), Random(1), connect)
        code = await execute(argv, world)
        return out.getvalue(), err.getvalue(), code

    async def prints(self, *argv: str, stdin: str = "") -> str:
        out, err, code = await self(*argv, stdin=stdin)
        assert code == 0, f"ok {' '.join(argv)}: {out}{err}"
        return out


@pytest.fixture
async def ok(etcd: Etcd) -> AsyncIterator[Ok]:
    async with apiserver_here(etcd) as (server, address):
        custom = Custom(server.registry)
        columns = [{"name": "Color", "type": "string", "jsonPath": ".spec.color"}]
        body = definition(
            "widgets",
            "Widget",
            version("v1beta1"),
            version("v1", storage=True, additionalPrinterColumns=columns),
        )
        body["spec"]["names"] |= NAMES
        await custom.define(body)
        wide = definition("planets", "Planet", scope="Cluster")
        await custom.define(wide)
        yield Ok(address)


async def test_it_is_applied_shown_and_changed(ok: Ok, tmp_path: Path) -> None:
    file = tmp_path / "widget.json"
    file.write_text(json.dumps(widget("a", color="red")))
    assert await ok.prints("apply", "-f", str(file)) == "widget.example.com/a created\n"
    blue = json.dumps(widget("a", color="blue"))
    assert await ok.prints("apply", "-f", "-", stdin=blue) == "widget.example.com/a configured\n"
    assert await ok.prints("get", "wd") == "NAME   COLOR\na      blue\n"
    assert await ok.prints("get", "all", "-o", "name") == "service/kubernetes\nwidget.example.com/a\n"
    older = await ok.prints("get", "widgets.v1beta1.example.com", "a", "-o", "jsonpath={.apiVersion}")
    assert older == "example.com/v1beta1"
    described = await ok.prints("describe", "widget", "a")
    assert "Spec:\n  Color:  blue\n  Size:   1\n" in described
    await ok.prints("patch", "widget", "a", "--type=merge", "-p", '{"spec":{"size":4}}')
    assert await ok.prints("get", "widget/a", "-o", "jsonpath={.spec.size}") == "4"
    assert (
        await ok.prints("delete", "widget", "a") == 'widget.example.com "a" deleted from default namespace\n'
    )


async def test_it_is_listed_and_explained(ok: Ok) -> None:
    listed = await ok.prints("api-resources", f"--api-group={GROUP}", "--no-headers")
    assert [line.split() for line in listed.splitlines()] == [
        ["planets", "example.com/v1", "false", "Planet"],
        ["widgets", "wd", "example.com/v1", "true", "Widget"],
    ]
    assert {"example.com/v1", "example.com/v1beta1"} <= set((await ok.prints("api-versions")).split())
    assert "size\t<integer>" in await ok.prints("explain", "widget.spec")


async def test_one_of_the_whole_cluster(ok: Ok) -> None:
    planet = {**widget("mars"), "kind": "Planet", "metadata": {"name": "mars"}}
    assert (
        await ok.prints("create", "-f", "-", stdin=json.dumps(planet)) == "planet.example.com/mars created\n"
    )
    assert await ok.prints("get", "planets", "-o", "name") == "planet.example.com/mars\n"
    raw = await ok.prints("get", "--raw", "/apis/example.com/v1/planets/mars")
    assert json.loads(raw)["spec"] == {"size": 1}


async def test_what_nobody_defined_is_unknown(ok: Ok) -> None:
    out, err, code = await ok("get", "comets")
    assert (out, err, code) == ("", 'error: the server doesn\'t have a resource type "comets"\n', 1)
    comet = json.dumps({**widget("a"), "kind": "Comet"})
    _, err, code = await ok("apply", "-f", "-", stdin=comet)
    assert 'no matches for kind "Comet" in version "example.com/v1"\nensure CRDs are installed first' in err
    assert code == 1
