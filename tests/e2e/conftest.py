"""Clusters that end-to-end tests share; tests that break one get one of their own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import MANIFESTS, Cluster, running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Three nodes, never broken; each test uses names or a namespace of its own."""
    with running("--nodes", "3") as cluster:
        yield cluster


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, deleted with all in it at the end."""
    digest = hashlib.sha256(request.node.name.encode()).hexdigest()[:6]
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-") + f"-{digest}"
    cluster.ok("create", "namespace", name)
    yield name
    cluster.ok("delete", "namespace", name, "--wait=false")


@pytest.fixture
def manifests() -> object:
    if not MANIFESTS.exists():
        pytest.skip(f"the books' manifests are not at {MANIFESTS}")
    return MANIFESTS
