"""What volumes show, when it changes, and what a Pod says that cannot have them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from services.api.core_v1 import ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret
from services.api.kinds import resource_of
from services.api.meta_v1 import ObjectMeta
from tests.unit.kubelet.node import NodeUnderTest


@pytest.fixture
def node(tmp_path: Path) -> NodeUnderTest:
    return NodeUnderTest(tmp_path)


def settings(data: Mapping[str, str], name: str = "settings", **more: Any) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=dict(data), **more)


def mount(**more: Any) -> dict[str, Any]:
    return {"volumeMounts": [{"name": "v", "mountPath": "/v", **more}]}


def shown(node: NodeUnderTest, index: int = 0) -> Path:
    """Where the newest container sees its first volume."""
    return Path(list(node.cri.configs.values())[-1].mounts[index].host_path)


async def test_a_config_map_is_swapped_whole(node: NodeUnderTest) -> None:
    node.api.put(settings({"a": "1", "b": "1"}))
    async with node.running():
        await node.run_pod(mount(), volumes=[{"name": "v", "configMap": {"name": "settings"}}])
        place = shown(node)
        assert sorted(p.name for p in place.iterdir() if not p.name.startswith("..2")) == ["..data", "a", "b"]
        assert os.readlink(place / "a") == "..data/a"
        first = os.readlink(place / "..data")
        assert first.startswith("..20")
        await node.client.patch(ConfigMap, "settings", "default", {"data": {"a": "2", "b": None, "c": "2"}})
        await node.clock.advance(61)
        assert {p.name: p.read_text() for p in place.iterdir() if not p.name.startswith("..")} == {
            "a": "2",
            "c": "2",
        }
        assert os.readlink(place / "..data") != first
        assert not (place / first).exists()


async def test_nothing_is_written_while_nothing_changes(node: NodeUnderTest) -> None:
    node.api.put(settings({"a": "1"}))
    async with node.running():
        await node.run_pod(mount(), volumes=[{"name": "v", "configMap": {"name": "settings"}}])
        first = os.readlink(shown(node) / "..data")
        metadata = {"metadata": {"labels": {"x": "y"}}}
        await node.client.patch(ConfigMap, "settings", "default", metadata)
        await node.clock.advance(61)
        assert os.readlink(shown(node) / "..data") == first


async def test_items_and_modes(node: NodeUnderTest) -> None:
    secret = Secret(
        metadata=ObjectMeta(name="s", namespace="default"), data={"key": "c2VjcmV0", "k2": "eA=="}
    )
    node.api.put(secret)
    source = {"secretName": "s", "defaultMode": 0o400, "items": [{"key": "key", "path": "d/e"}]}
    source["items"].append({"key": "k2", "path": "f", "mode": 0o440})  # type: ignore[attr-defined]
    async with node.running():
        await node.run_pod(mount(), volumes=[{"name": "v", "secret": source}])
        place = shown(node)
        assert (place / "d" / "e").read_text() == "secret"
        assert (place / "d" / "e").stat().st_mode & 0o777 == 0o400
        assert (place / "f").stat().st_mode & 0o777 == 0o440
        assert [c.mounts[0].readonly for c in node.cri.configs.values()] == [True]


async def test_what_is_missing_is_said_and_heals_at_once(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(mount(), volumes=[{"name": "v", "configMap": {"name": "settings"}}])
        message = 'MountVolume.SetUp failed for volume "v" : configmap "settings" not found'
        assert f"Warning FailedMount {message}" in node.events()
        assert not node.cri.configs
        node.api.put(settings({"a": "1"}))
        await node.clock.advance(0)
        assert node.state() == "Running"


async def test_patience_ends_with_a_list_of_what_is_missing(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(mount(), volumes=[{"name": "v", "configMap": {"name": "settings"}}])
        for _ in range(40):
            await node.clock.advance(10)
        assert (
            "Warning FailedMount Unable to attach or mount volumes: unmounted volumes=[v], "
            "unattached volumes=[], failed to process volumes=[]: context deadline exceeded"
        ) in node.events()


async def test_a_missing_key(node: NodeUnderTest) -> None:
    node.api.put(settings({"a": "1"}))
    source = {"name": "settings", "items": [{"key": "x", "path": "x"}]}
    async with node.running():
        await node.run_pod(mount(), volumes=[{"name": "v", "configMap": source}])
        message = 'MountVolume.SetUp failed for volume "v" : references non-existent config key: x'
        assert f"Warning FailedMount {message}" in node.events()


async def test_sub_paths_do_not_follow(node: NodeUnderTest) -> None:
    node.api.put(settings({"a": "1"}))
    async with node.running():
        await node.run_pod(mount(subPath="a"), volumes=[{"name": "v", "configMap": {"name": "settings"}}])
        assert shown(node).read_text() == "1"
        await node.client.patch(ConfigMap, "settings", "default", {"data": {"a": "2"}})
        await node.clock.advance(61)
        assert shown(node).read_text() == "1"


async def test_labels_show_at_once(node: NodeUnderTest) -> None:
    field = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    async with node.running():
        await node.run_pod(mount(), volumes=[{"name": "v", "downwardAPI": {"items": [field]}}])
        await node.client.patch(Pod, "kubia", "default", {"metadata": {"labels": {"tier": "gold"}}})
        await node.clock.advance(0)
        assert 'tier="gold"' in (shown(node) / "labels").read_text()


async def test_tokens_are_renewed_when_most_of_their_time_is_over(node: NodeUnderTest) -> None:
    token = {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 600}}
    async with node.running():
        await node.run_pod(mount(), volumes=[{"name": "v", "projected": {"sources": [token]}}])
        first = (shown(node) / "token").read_text()
        assert first.startswith("token for vault of ")
        await node.clock.advance(400)
        assert (shown(node) / "token").read_text() == first
        await node.clock.advance(81)
        assert (shown(node) / "token").read_text() != first


async def test_a_restarted_kubelet_goes_on_refreshing(node: NodeUnderTest) -> None:
    node.api.put(settings({"a": "1"}))
    async with node.running():
        await node.run_pod(mount(), volumes=[{"name": "v", "configMap": {"name": "settings"}}])
    async with node.running():
        await node.clock.advance(1)
        assert len(node.cri.configs) == 1
        await node.client.patch(ConfigMap, "settings", "default", {"data": {"a": "2"}})
        await node.clock.advance(61)
        assert (shown(node) / "a").read_text() == "2"


@pytest.mark.parametrize(
    ("kind", "made", "complaint"),
    [
        ("Directory", "", "is not a directory"),
        ("Directory", "file", "is not a directory"),
        ("File", "directory", "is not a file"),
        ("Socket", "file", "is not a socket file"),
        ("BlockDevice", "", "is not a block device"),
        ("DirectoryOrCreate", "", ""),
        ("FileOrCreate", "", ""),
        ("", "", ""),
    ],
)
async def test_host_paths_are_checked(node: NodeUnderTest, kind: str, made: str, complaint: str) -> None:
    real = node.root / "machines" / node.name / "x"
    real.parent.mkdir(parents=True)
    if made:
        real.mkdir() if made == "directory" else real.touch()
    async with node.running():
        await node.run_pod(mount(), volumes=[{"name": "v", "hostPath": {"path": "/x", "type": kind}}])
        if complaint:
            message = f'MountVolume.SetUp failed for volume "v" : hostPath type check failed: /x {complaint}'
            assert f"Warning FailedMount {message}" in node.events()
        else:
            assert shown(node) == real
            assert real.is_file() if kind == "FileOrCreate" else real.is_dir()


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (
            {"nfs": {"server": "nas", "path": "/x"}},
            "mount failed: exit status 32\nMounting command: mount\nMounting arguments: -t nfs nas:/x "
            "/var/lib/kubelet/pods/uid-kubia/volumes/kubernetes.io~nfs/v\n"
            "Output: mount.nfs: Failed to resolve server nas: Name or service not known\n",
        ),
        (
            {"csi": {"driver": "disk.example.com"}},
            "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name disk.example.com "
            "not found in the list of registered CSI drivers",
        ),
        ({"rbd": {"monitors": ["m"], "image": "i"}}, "no volume plugin matched"),
    ],
)
async def test_machines_that_are_not_there(node: NodeUnderTest, source: dict[str, Any], why: str) -> None:
    async with node.running():
        await node.run_pod(mount(), volumes=[{"name": "v", **source}])
        message = f'MountVolume.SetUp failed for volume "v" : {why}'
        assert f"Warning FailedMount {message}" in node.events()


async def test_a_claim_leads_to_its_volume(node: NodeUnderTest) -> None:
    claim = {"metadata": {"name": "c", "namespace": "default"}, "spec": {"volumeName": "pv"}}
    async with node.running():
        await node.run_pod(mount(), volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}])
        await node.clock.advance(1)
        assert any('persistentvolumeclaims "c" not found' in event for event in node.events())
        assert not node.cri.configs
        node.api.put_data(resource_of(PersistentVolumeClaim), {**claim, "status": {"phase": "Bound"}})
        uid = node.api.one(PersistentVolumeClaim, "c", "default").metadata.uid
        reference = {"kind": "PersistentVolumeClaim", "namespace": "default", "name": "c", "uid": uid}
        spec = {"hostPath": {"path": "/data"}, "claimRef": reference}
        node.api.put_data(resource_of(PersistentVolume), {"metadata": {"name": "pv"}, "spec": spec})
        await node.clock.advance(5)
        assert node.state() == "Running"
        assert shown(node) == node.root / "machines" / node.name / "data"


async def test_what_went_while_nobody_looked_leaves_nothing(node: NodeUnderTest) -> None:
    left = node.root / "pods" / "uid-gone" / "volumes"
    left.mkdir(parents=True)
    async with node.running():
        assert not left.parent.exists()


async def test_nothing_of_a_pod_stays_on_its_node(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(mount(), volumes=[{"name": "v", "emptyDir": {}}])
        place = shown(node)
        assert place.stat().st_mode & 0o777 == 0o777
        await node.client.delete(Pod, "kubia", "default", grace_seconds=0)
        await node.clock.advance(5)
        assert not place.exists()
