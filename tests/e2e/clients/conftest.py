"""One cluster for all client libraries, each of which has a namespace of its own in it.

Its API server has been restarted once, so that what happened before is history which no watch can ask for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from services.api.core_v1 import Pod, ServiceAccount
from services.machinery.pods import is_ready
from tests.e2e.clients.objects import pod
from tests.e2e.cluster import Cluster, running


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    with running("--nodes", "2") as cluster:
        cluster.orrery("restart", "apiserver")
        cluster.until(Pod, lambda pods: not pods)  # it serves again
        yield cluster


@pytest.fixture(scope="module")
def space(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for the tests of one library, in which a web server called `web` runs."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    cluster.ok("create", "namespace", name)
    cluster.until(ServiceAccount, lambda accounts: any(accounts), namespace=name)
    cluster.ok("create", "-n", name, "-f", "-", stdin=json.dumps(pod("web")))
    cluster.until(Pod, lambda pods: any(map(is_ready, pods.values())), namespace=name)
    yield name
    cluster.ok("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def kubeconfig(cluster: Cluster) -> str:
    return str(cluster.home / "kubeconfig")
