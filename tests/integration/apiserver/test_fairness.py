"""A client that floods is told to come again; nobody else notices."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest

from services.api.core_v1 import Namespace
from services.client.client import connect
from tests.support.apiserver import Https, https_apiserver

pytestmark = pytest.mark.slow  # needs etcd and an API server of its own

POD = "/api/v1/namespaces/default/pods/none"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
BINDING = {
    "metadata": {"name": "readers"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}
        for name in ("flooding", "polite")
    ],
}
WAITING_MAX = 300  # of one flow: six queues of fifty; one seat is all that there is for them
FLOOD = 400


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Https]:
    """With so few seats that a flood need not be large."""
    flags = ("--max-requests-inflight", "8", "--max-mutating-requests-inflight", "4")
    with https_apiserver(tmp_path_factory.mktemp("fairness"), flags) as server:
        yield server


class Client:
    def __init__(self, https: Https, session: aiohttp.ClientSession, user: str) -> None:
        self._base, self._session = https.base, session
        self._headers = {"Impersonate-User": user}

    async def get(self, path: str = POD) -> tuple[int, dict[str, str], str]:
        async with self._session.get(self._base + path, headers=self._headers) as answer:
            return answer.status, dict(answer.headers), await answer.text()


async def test_one_client_cannot_starve_the_others(https: Https) -> None:
    """While the store does not answer requests gather; then a flood is served in turn with the others."""
    async with (
        https.client(limit=FLOOD + 8) as session,
        connect(https.grpc, user_agent="component") as component,
    ):
        async with session.post(https.base + BINDINGS, json=BINDING) as answer:
            assert answer.status == 201
        bad, good = Client(https, session, "flooding"), Client(https, session, "polite")
        told: Counter[int] = Counter()

        async def flood() -> None:
            code, headers, body = await bad.get()
            told[code] += 1
            if code == 429:
                assert headers["Retry-After"] == "1"
                assert '"reason":"TooManyRequests"' in body

        await asyncio.gather(*(bad.get("/healthz") for _ in range(FLOOD + 4)))  # all connections stand
        https.store.pause()
        try:
            flooding = [asyncio.ensure_future(flood()) for _ in range(FLOOD)]
            gathered = await until_more_wait(https, session, WAITING_MAX - 1, 1000)
            polite = asyncio.ensure_future(good.get())
            await until_more_wait(https, session, gathered, 20)
        finally:
            https.store.resume()
        assert (await polite)[0] in (404, 503)  # as of all: served, or kept waiting by the store for too long
        assert told[404] < WAITING_MAX / 2  # it came last, and did not wait for those before it
        await component.list(Namespace)
        await asyncio.gather(*flooding)
        assert told[429] > 0
        assert {*told} <= {404, 429, 503}  # whom the store kept waiting for too long was told so


async def waiting(https: Https, session: aiohttp.ClientSession) -> int:
    """How many wait for a seat of level global-default."""
    name = 'apiserver_flowcontrol_current_inqueue_requests{priority_level="global-default"} '
    async with session.get(https.base + "/metrics") as answer:
        return int((await answer.text()).partition(name)[2].split("\n")[0])


async def until_more_wait(https: Https, session: aiohttp.ClientSession, than: int, looks: int) -> int:
    """The number then; where the store's patience ends meanwhile it may never be, and it does not matter."""
    for _ in range(looks):
        found = await waiting(https, session)
        if found > than:
            break
    return found


async def test_every_answer_says_where_its_request_belonged(https: Https) -> None:
    async with https.client() as session:
        _, mine, _ = await Client(https, session, "polite").get()
        async with session.get(https.base + POD) as answer:
            masters = answer.headers
        async with session.get(https.base + "/metrics") as answer:
            metrics = await answer.text()
    for name in ("X-Kubernetes-PF-FlowSchema-UID", "X-Kubernetes-PF-PriorityLevel-UID"):
        assert mine[name] != masters[name]
    assert 'apiserver_flowcontrol_current_executing_requests{priority_level="global-default"} 0' in metrics
    rejected = 'apiserver_flowcontrol_rejected_requests_total{priority_level="global-default"} '
    assert int(metrics.partition(rejected)[2].split("\n")[0]) > 0
