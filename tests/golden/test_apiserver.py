"""Everything recorded of the API server alone, played against a real one of ours over gRPC.

The other golden tests look at one part each, without a server; this one hears the whole answer.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from services.api.apiextensions_v1 import CustomResourceDefinition
from services.api.errors import ApiError
from services.api.networking_v1 import IngressClass
from services.client.client import connect
from tests.golden.runner import available, cases, play

pytestmark = pytest.mark.slow  # needs etcd and an API server of its own

PATIENCE_SECONDS = 60.0
FOLDERS = ("tables", "defaults", "patches", "errors")  # in this order: tables list what is there


def recorded() -> list[Any]:
    return [
        pytest.param(folder, marks=pytest.mark.skipif(not available(folder), reason="no golden data here"))
        for folder in FOLDERS
    ]


async def without_definitions(apiserver: str) -> None:
    """As each folder was recorded: nobody else's definitions are there."""
    async with connect(apiserver, user_agent="golden") as client, asyncio.timeout(PATIENCE_SECONDS):
        while found := await client.list(CustomResourceDefinition):
            for each in found:
                with suppress(ApiError):  # gone already
                    await client.delete(CustomResourceDefinition, each.key.name)
            await asyncio.sleep(0.05)  # until the server has cleared up after them, of which nothing tells


@pytest.mark.parametrize("folder", recorded())
async def test_answers_as_recorded(folder: str, apiserver: str) -> None:
    found, compared = [], 0
    await without_definitions(apiserver)
    for name, case in cases(folder):
        report = await play(apiserver, name, case)
        found += report.found
        compared += report.compared
    async with connect(apiserver, user_agent="golden") as client:
        # A default class would be given to every Ingress of the folders that follow.
        for each in await client.list(IngressClass):
            await client.delete(IngressClass, each.key.name)
    assert not found, "\n".join(found)
    assert compared > 30
