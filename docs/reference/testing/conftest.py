"""A cluster for tests of your own: one for the whole run, in a folder that goes with it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

NODES = os.environ.get("TEST_NODES", "1")  # 0 is enough for who never looks at a running Pod


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a cluster that is up: for client libraries, kubectl, and the controller under test."""
    home = tmp_path_factory.mktemp("orrery")
    environment = {**os.environ, "ORRERY_HOME": str(home)}
    subprocess.run(["orrery", "up", "-d", "--nodes", NODES], env=environment, check=True)
    try:
        yield home / "kubeconfig"
    finally:
        subprocess.run(["orrery", "down", "--delete"], env=environment, check=True)


@pytest.fixture
def namespace(kubeconfig: Path) -> Iterator[str]:
    """A namespace of its own for each test, so that they can share the cluster."""
    config.load_kube_config(str(kubeconfig))
    core = client.CoreV1Api()
    made = core.create_namespace({"metadata": {"generateName": "test-"}})
    yield made.metadata.name
    core.delete_namespace(made.metadata.name)
