"""Everything recorded of the API server alone, played against a real one of ours over gRPC.

The other golden tests look at one part each, without a server; this one hears the whole answer.
"""

from __future__ import annotations

from typing import Any

import pytest

from services.api.networking_v1 import IngressClass
from services.client.client import connect
from tests.golden.runner import available, cases, play

pytestmark = pytest.mark.slow  # needs etcd and an API server of its own

FOLDERS = ("tables", "defaults", "patches", "errors")  # in this order: tables list what is there


def recorded() -> list[Any]:
    return [
        pytest.param(folder, marks=pytest.mark.skipif(not available(folder), reason="no golden data here"))
        for folder in FOLDERS
    ]


@pytest.mark.parametrize("folder", recorded())
async def test_answers_as_recorded(folder: str, apiserver: str) -> None:
    found, compared = [], 0
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
