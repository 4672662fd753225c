"""The controller manager dies in the middle: in the end there is what was asked for, no more, no less."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from services.api.apps_v1 import Deployment
from services.api.coordination_v1 import Lease
from services.api.core_v1 import Pod
from services.client.client import Client, connect
from services.client.transport import Unavailable
from services.launcher.etcd_binary import EtcdMissing, find_etcd
from services.machinery import pods
from services.process.clock import SystemClock
from tests.support.control_plane import ControlPlane, control_plane
from tests.support.kwok import Kwok
from tests.unit.controller_manager.objects import deployment

try:
    find_etcd()
except EtcdMissing as missing:
    pytest.skip(str(missing), allow_module_level=True)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REPLICAS = 60
PATIENCE_SECONDS = 150.0


@asynccontextmanager
async def cluster(plane: ControlPlane) -> AsyncIterator[Client]:
    async with connect(plane.apiserver, user_agent="test") as client:
        kwok = Kwok(client, SystemClock())
        await kwok.create_nodes()
        async with asyncio.TaskGroup() as group:
            double = group.create_task(kwok.run())
            yield client
            double.cancel()


async def until(client: Client, wanted: Callable[[Deployment], bool]) -> Deployment:
    """The Deployment as soon as it is as wanted."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(Unavailable):
                async for batch in client.watch(Deployment, "default"):
                    for event in batch:
                        if event.object is not None and wanted(event.object):
                            return event.object
            await SystemClock().sleep(0.1)


def is_done(found: Deployment) -> bool:
    status = found.status
    counts = (status.replicas, status.updated_replicas, status.available_replicas)
    observed = (status.observed_generation or 0) >= (found.metadata.generation or 0)
    return observed and counts == (REPLICAS,) * 3


async def live_pods(client: Client) -> list[Pod]:
    return [each for each in await client.list(Pod, "default") if pods.is_active(each)]


def image(name: str) -> dict[str, object]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": name}]}}}}


async def test_killed_in_the_middle_of_a_rollout(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        plane.start("scheduler", "--no-leader-elect")
        plane.start("controller_manager", "--no-leader-elect")
        async with cluster(plane) as client:
            await client.create(deployment(REPLICAS))
            await until(client, lambda found: (found.status.replicas or 0) >= REPLICAS // 3)
            plane.kill("controller_manager")
            plane.start("controller_manager", "--no-leader-elect")
            await until(client, is_done)
            await client.patch(Deployment, "w", "default", image("app:2"))
            for share in (4, 2):
                await until(
                    client,
                    lambda found, share=share: (  # type: ignore[misc]
                        found.metadata.generation == 2
                        and (found.status.updated_replicas or 0) >= REPLICAS // share
                    ),
                )
                plane.kill("controller_manager")
                plane.start("controller_manager", "--no-leader-elect")
            await until(client, lambda found: found.metadata.generation == 2 and is_done(found))
            live = await live_pods(client)
            assert len(live) == REPLICAS
            assert {each.spec.containers[0].image for each in live} == {"app:2"}


async def test_the_api_server_goes_away_for_a_while(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        plane.start("scheduler", "--no-leader-elect")
        plane.start("controller_manager", "--no-leader-elect")
        async with cluster(plane) as client:
            await client.create(deployment(REPLICAS))
            await until(client, lambda found: (found.status.replicas or 0) >= REPLICAS // 3)
            plane.kill("apiserver")
            plane.start_apiserver()
            await until(client, is_done)
            assert len(await live_pods(client)) == REPLICAS


async def test_the_second_manager_takes_over(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        plane.start("scheduler", "--no-leader-elect")
        names = {plane.start("controller_manager", name=name): name for name in ("one", "two")}
        async with cluster(plane) as client:
            await client.create(deployment(REPLICAS))
            await until(client, is_done)
            lease = await client.get(Lease, "kube-controller-manager", "kube-system")
            leader = int((lease.spec.holder_identity or "").split("_")[1])
            plane.kill(names[leader])
            await client.patch(Deployment, "w", "default", image("app:2"))
            # A dead leader's lease runs out after 15 s.
            await until(client, lambda found: found.metadata.generation == 2 and is_done(found))
            assert len(await live_pods(client)) == REPLICAS
            after = await client.get(Lease, "kube-controller-manager", "kube-system")
            assert after.spec.holder_identity != lease.spec.holder_identity
            assert (after.spec.lease_transitions or 0) >= 1
