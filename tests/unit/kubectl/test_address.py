"""Which cluster `ok` talks to, and that it talks to none where there is none."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.client.credentials import Credentials
from services.client.transport import Unavailable
from services.kubectl.__main__ import execute
from services.kubectl.session import World
from tests.support.clock import ManualClock


class Nobody:
    """A transport that is asked, and does not answer."""

    def __getattr__(self, name: str) -> Any:
        async def call(*_: object, **__: object) -> Any:
            raise Unavailable("nobody")

        return call


async def asked(argv: list[str], environ: Mapping[str, str]) -> tuple[list[str], str]:
    """The addresses that were called, and what was complained about."""
    called: list[str] = []

    @asynccontextmanager
    async def connect(address: str, credentials: Credentials | None = None) -> AsyncIterator[Any]:
        class Counting(Nobody):
            def __getattr__(self, name: str) -> Any:
                called.append(address)
                return super().__getattr__(name)

        yield Counting()

    err = io.StringIO()
    world = World(io.StringIO(), err, io.BytesIO(), environ, ManualClock(), Random(1), connect)
    assert await execute(argv, world) == 1
    return called, err.getvalue()


REFUSED = "The connection to the server {} was refused - did you specify the right host or port?\n"


@pytest.mark.parametrize("argv", [["get", "pods"], ["delete", "pod", "x"], ["logs", "x"]])
async def test_a_named_home_without_a_cluster_is_nowhere(tmp_path: Path, argv: list[str]) -> None:
    called, said = await asked(argv, {"ORRERY_HOME": str(tmp_path)})
    assert (called, said) == ([], REFUSED.format("127.0.0.1:6444"))


async def test_the_cluster_of_a_home_a_named_server_and_the_default(tmp_path: Path) -> None:
    home = {"ORRERY_HOME": str(tmp_path)}
    called, _ = await asked(["get", "pods", "--server", "h:1"], home)
    assert set(called) == {"h:1"}
    called, _ = await asked(["get", "pods"], {**home, "ORRERY_SERVER": "h:2"})
    assert set(called) == {"h:2"}
    called, _ = await asked(["get", "pods"], {"HOME": str(tmp_path)})
    assert set(called) == {"127.0.0.1:6444"}
    (tmp_path / "cluster.json").write_text(json.dumps({"apiserver": "127.0.0.1:7"}))
    called, said = await asked(["get", "pods"], home)
    assert set(called) == {"127.0.0.1:7"}
    assert said == REFUSED.format("127.0.0.1:7")
