"""Static Pods: manifests in a folder become Pods and mirrors, whatever people do to either."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from services.api.core_v1 import Pod
from services.kubelet.configuration import KubeletConfiguration
from services.kubelet.static_pods import NotAPod, static_pod
from tests.unit.kubelet.node import PATIENCE_SECONDS, NodeUnderTest

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers: [{name: main, image: "nginx:1.27"}]
"""
NAME = "web-node-1"


@pytest.fixture
def node(tmp_path: Path) -> NodeUnderTest:
    node = NodeUnderTest(tmp_path / "root")
    node.configuration = KubeletConfiguration(manifests=tmp_path / "manifests")
    (tmp_path / "manifests").mkdir()
    return node


def write(node: NodeUnderTest, text: str, name: str = "web.yaml") -> None:
    folder = node.configuration.manifests
    assert folder is not None
    (folder / name).write_text(text)


async def until(node: NodeUnderTest, condition: Callable[[], bool]) -> None:
    """Turns the clock until it holds: files are read by another thread, and inotify has its own time."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            await node.clock.advance(1)
            if condition():
                return
            await asyncio.sleep(0.01)


def mirrored(node: NodeUnderTest, phase: str = "Running") -> bool:
    return node.has(NAME) and node.pod(NAME).status.phase == phase


async def test_a_manifest_runs_and_is_mirrored(node: NodeUnderTest) -> None:
    write(node, MANIFEST)
    async with node.running():
        await until(node, lambda: mirrored(node))
        mirror = node.pod(NAME)
        annotations = mirror.metadata.annotations
        assert annotations["kubernetes.io/config.source"] == "file"
        assert annotations["kubernetes.io/config.mirror"] == annotations["kubernetes.io/config.hash"]
        owner = mirror.metadata.owner_references[0]
        assert (owner.kind, owner.name, owner.controller) == ("Node", "node-1", True)
        assert mirror.spec.node_name == "node-1"
        assert {"key": "", "operator": "Exists", "effect": "NoExecute"}.items() >= {
            "operator": mirror.spec.tolerations[-1].operator,
            "effect": mirror.spec.tolerations[-1].effect,
        }.items()


async def test_a_deleted_mirror_comes_back_and_the_container_lives_on(node: NodeUnderTest) -> None:
    write(node, MANIFEST)
    async with node.running():
        await until(node, lambda: mirrored(node))
        first = node.pod(NAME).metadata.uid
        container = node.cri.container("main").id
        await node.client.delete(Pod, NAME, "default")
        await until(node, lambda: mirrored(node) and node.pod(NAME).metadata.uid != first)
        assert node.cri.container("main").id == container
        assert node.cri.calls.count("start main") == 1


async def test_an_edited_manifest_replaces_the_pod_and_a_removed_one_ends_it(node: NodeUnderTest) -> None:
    write(node, MANIFEST)
    async with node.running():
        await until(node, lambda: mirrored(node))
        write(node, MANIFEST.replace("1.27", "1.28"))
        await until(node, lambda: mirrored(node) and node.pod(NAME).spec.containers[0].image == "nginx:1.28")
        await until(node, lambda: len(node.cri.pods) == 1)
        folder = node.configuration.manifests
        assert folder is not None
        (folder / "web.yaml").unlink()
        await until(node, lambda: not node.has(NAME) and not node.cri.pods)


async def test_a_restarted_kubelet_takes_its_static_pods_over(node: NodeUnderTest) -> None:
    write(node, MANIFEST)
    async with node.running():
        await until(node, lambda: mirrored(node))
    async with node.running(cidr=False):
        await until(node, lambda: mirrored(node))
        assert node.cri.calls.count("run_sandbox") == 1
        assert "remove_sandbox" not in node.cri.calls


async def test_what_is_no_pod_is_left_alone(node: NodeUnderTest) -> None:
    write(node, "{", "broken.yaml")
    write(node, "kind: Service\nmetadata: {name: x}", "service.yaml")
    write(node, MANIFEST)
    async with node.running():
        await until(node, lambda: mirrored(node))
        assert len(node.cri.pods) == 1


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff\xfe", b"[]", b"kind: Pod", b"kind: Pod\nmetadata: {name: x}\nspec: {containers: []}",
     b"kind: Pod\nmetadata: {name: x}\nspec: {containers: 5}", b"[" * 5000],
)  # fmt: skip
def test_bad_manifests_are_refused_in_a_sentence(text: bytes) -> None:
    with pytest.raises(NotAPod):
        static_pod(text, "x.yaml", "node-1", "now")
