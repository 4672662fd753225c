"""`--local`: only what the files hold is changed, and nobody is asked."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
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

POD = b"{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: x}]}}"


@asynccontextmanager
async def nobody(address: str, credentials: Credentials | None = None) -> AsyncIterator[Any]:
    class Silent:
        def __getattr__(self, name: str) -> Any:
            async def call(*_: object, **__: object) -> Any:
                raise Unavailable("nobody")

            return call

    yield Silent()


async def typed(home: Path, *words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    world = World(out, err, io.BytesIO(POD), {"HOME": str(home)}, ManualClock(), Random(1), nobody)
    code = await execute([*words], world)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("words", "path", "said"),
    [
        (["label", "-f", "-", "a=b"], "{.metadata.labels}", '{"a":"b"}'),
        (["annotate", "-f", "-", "a=b"], "{.metadata.annotations}", '{"a":"b"}'),
        (["set", "image", "-f", "-", "a=y"], "{.spec.containers[0].image}", "y"),
    ],
)
async def test_the_file_is_changed(tmp_path: Path, words: list[str], path: str, said: str) -> None:
    assert await typed(tmp_path, *words, "--local", "-o", f"jsonpath={path}") == (0, said, "")


async def test_without_a_file_there_is_nothing_to_change(tmp_path: Path) -> None:
    assert await typed(tmp_path, "label", "pod", "p", "a=b", "--local") == (
        1,
        "",
        "error: --local wants files: -f FILENAME\n",
    )


async def test_what_cannot_be_done_locally_is_refused(tmp_path: Path) -> None:
    code, _, said = await typed(tmp_path, "patch", "-f", "-", "-p", "{}", "--local")
    assert (code, said) == (1, "error: ok cannot do this with --local\n")
