"""The controller in a process of its own, as in a cluster; the test sees only what everybody sees."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, watch


@pytest.fixture
def controller(kubeconfig: Path, namespace: str) -> Iterator[None]:
    program = [sys.executable, str(Path(__file__).with_name("labeller.py")), namespace]
    process = subprocess.Popen(program, env={**os.environ, "KUBECONFIG": str(kubeconfig)})
    yield
    process.terminate()
    process.wait()


def until(namespace: str, name: str, owner: str) -> None:
    """A watch and not a sleep: it ends the moment that it is true, and fails when the minute is over."""
    events = watch.Watch().stream(
        client.CoreV1Api().list_namespaced_config_map,
        namespace,
        field_selector=f"metadata.name={name}",
        timeout_seconds=60,
    )
    assert any((event["object"].metadata.labels or {}).get("owner") == owner for event in events)


def test_it_labels_what_asks_for_it(namespace: str, controller: None) -> None:
    core = client.CoreV1Api()
    body = {"metadata": {"name": "a", "annotations": {"wanted": "jane"}}}
    core.create_namespaced_config_map(namespace, body)
    until(namespace, "a", "jane")


def test_it_heals_what_somebody_changed(namespace: str, controller: None) -> None:
    core = client.CoreV1Api()
    core.create_namespaced_config_map(
        namespace, {"metadata": {"name": "a", "annotations": {"wanted": "jane"}}}
    )
    until(namespace, "a", "jane")
    core.patch_namespaced_config_map("a", namespace, {"metadata": {"labels": {"owner": "joe"}}})
    until(namespace, "a", "jane")
