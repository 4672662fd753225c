"""When a starting cluster counts as up."""

from __future__ import annotations

import asyncio

import structlog

from services.api.core_v1 import ServiceAccount
from services.api.meta_v1 import ObjectMeta
from services.client.client import Client
from services.launcher.readiness import wait_for_controllers
from tests.support.clock import ManualClock, settle
from tests.support.fake_api import FakeApi


async def test_a_cluster_without_nodes_is_up_once_a_pod_can_be_made() -> None:
    clock = ManualClock()
    client = Client(FakeApi(clock), log=structlog.get_logger())
    waiting = asyncio.ensure_future(wait_for_controllers(client, clock))
    await clock.advance(5)
    assert not waiting.done()
    await client.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
    await clock.advance(1)
    await settle()
    assert waiting.done()
    await waiting
