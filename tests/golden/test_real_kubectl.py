"""Real kubectl on the recorded objects: argv in, text and exit code as they were with a real API server.

The objects of golden/tables/setup.json are made on an API server without controllers; every recorded command
of one line runs once, several side by side. kubectl 1.32 and 1.36 were recorded, and where they differ either
will do: the one here may be of another version. What differs for good stands in DIFFERENCES.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.launcher import kubeconfig
from services.process.keys import ADMIN_NAME
from tests.golden.kubectl_text import normal
from tests.golden.runner import GOLDEN, available, cases, prepare
from tests.golden.test_explain import bare
from tests.golden.test_rest import session
from tests.support import kubectl as real
from tests.support.apiserver import Https, https_apiserver
from tests.support.kubectl import Done, Kubectl, asked_for

pytestmark = [
    pytest.mark.slow,  # needs etcd and an API server of its own
    pytest.mark.skipif(not available("kubectl"), reason="no golden data here"),
    pytest.mark.skipif(not real.FOUND, reason="no kubectl here"),
    pytest.mark.timeout(600),
]

Json = dict[str, Any]
PATIENCE_SECONDS = 120.0
RETRY_SECONDS = 0.1

_CLIENT = "says which kubectl asks, or what is in its kubeconfig"
_METRICS = "there was no metrics API beside the recorded server"
_GO_MAP = "comes in the order of a Go map"
_ORDER = "objects keep the order in which their fields were written"
DIFFERENCES: dict[str, str] = {
    "gen-autoscale-client": "kubectl 1.33 makes what neither 1.32 nor 1.36 makes",
    "get-x-raw": _ORDER,
    "get-x-jsonpath-wild": _GO_MAP,
    "get-x-sort-creation": "hangs on the second in which each object was made",
    "get-servicecidrs": "the cluster's addresses are of a range of our own",
    "get-servicecidrs-wide": "the cluster's addresses are of a range of our own",
    "wrong-drain-node-a": _GO_MAP,
    "wrong-get-pods-as-group-x": _CLIENT,
    "x-auth-whoami": _CLIENT,
    "x-config-current-context": _CLIENT,
    "x-logs-multi": "how a kubelet that is not there cannot be reached is Go's networking in the recording",
    "x-top-nodes": _METRICS,
    "x-top-pods": _METRICS,
    "x-version": _CLIENT,
    "x-version-json": _CLIENT,
}
# Cordons a node before it is refused; it was recorded after all that come before it.
WRITES = "wrong-drain-node-a"


def recorded() -> dict[str, Json]:
    if not available("kubectl"):
        return {}
    files = sorted((GOLDEN / "kubectl").glob("*.json"))
    found = {file.stem: json.loads(file.read_text()) for file in files}
    return {name: case for name, case in found.items() if "runs" in case}


CASES = recorded()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Https]:
    """Holds the recorded objects."""
    with https_apiserver(tmp_path_factory.mktemp("https")) as https:
        asyncio.run(load(https))
        yield https


async def load(https: Https) -> None:
    """Makes the recorded objects; waits for custom resources to be served once they are defined."""
    async with session(https) as server, asyncio.timeout(PATIENCE_SECONDS):
        for exchange in dict(cases("tables"))["setup"]["exchanges"]:
            request, body = prepare(exchange["request"], {})
            told = await server.tell(request, body)
            while told["status"] == 404:
                await asyncio.sleep(RETRY_SECONDS)
                told = await server.tell(request, body)
            assert told["status"] < 300, f"{request['path']}: {told}"


@pytest.fixture(scope="module")
def answers(
    request: pytest.FixtureRequest, server: Https, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Done]:
    """Of all that will be asked for."""
    folder = tmp_path_factory.mktemp("kubectl")
    config = folder / "config"
    kubeconfig.write(config, server.keys, int(server.base.rpartition(":")[2]))
    kubectl = Kubectl(real.NEWEST, config, folder)
    cases = [item.callspec.id for item in asked_for(request, test_as_recorded.__name__)]
    before = [name for name in cases if name < WRITES or not name.startswith("wrong-")]
    after = [name for name in cases if name not in (*before, WRITES)]
    done = dict[str, Done]()
    for names in (before, [WRITES] if WRITES in cases else [], after):
        done |= zip(names, kubectl.all([CASES[name]["argv"] for name in names]), strict=True)
    return done


def compared(name: str, out: str, err: str, code: int) -> tuple[Any, str, int]:
    if name.startswith("x-api-"):  # we serve that API
        out = "".join(line for line in out.splitlines(keepends=True) if "metrics.k8s.io" not in line)
    # Descriptions are our own.
    text: Any = bare(out) if name.startswith("explain-") else normal(out).replace(ADMIN_NAME, "admin")
    return text, normal(err), code


@pytest.mark.parametrize("name", CASES)
def test_as_recorded(name: str, answers: dict[str, Done]) -> None:
    if name in DIFFERENCES:
        pytest.skip(DIFFERENCES[name])
    done = answers[name]
    runs = CASES[name]["runs"].values()
    wanted = [compared(name, run["stdout"], run["stderr"], run["exitCode"]) for run in runs]
    got = compared(name, done.out, done.err, done.code)
    if got not in wanted:
        assert got == wanted[-1]


def test_count() -> None:
    print(f"golden/kubectl: {len(CASES)} commands with real kubectl, {len(DIFFERENCES)} that differ for good")
    assert len(CASES) > 450
    assert Path(real.NEWEST).exists()
