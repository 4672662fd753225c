"""The kubelet as a whole, on a scripted runtime: what becomes of a Pod, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.api.core_v1 import ConfigMap, Pod
from services.api.meta_v1 import ObjectMeta
from services.kubelet.cri import CriError, HttpAnswer
from tests.unit.kubelet.node import NodeUnderTest


@pytest.fixture
def node(tmp_path: Path) -> NodeUnderTest:
    return NodeUnderTest(tmp_path)


async def test_a_pod_comes_up(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
        assert node.cri.calls == ["run_sandbox", "pull luksa/kubia:latest", "create main", "start main"]
        status = node.pod().status
        assert status.phase == "Running"
        assert status.pod_ip == "10.244.0.1"
        assert status.host_ip == "192.168.0.2"
        assert node.state() == "Running"
        assert node.events() == [
            'Normal Pulling Pulling image "luksa/kubia"',
            'Normal Pulled Successfully pulled image "luksa/kubia" in 0s (0s including waiting). '
            "Image size: 1234 bytes.",
            "Normal Created Container created",
            "Normal Started Container started",
        ]


async def test_it_shows_as_creating_while_its_image_is_pulled(node: NodeUnderTest) -> None:
    async with node.running():
        node.cri.hold_pulls.clear()
        await node.run_pod()
        assert node.state() == "ContainerCreating"
        node.cri.hold_pulls.set()
        await node.clock.advance(0)
        assert node.state() == "Running"


async def test_an_image_that_does_not_exist(node: NodeUnderTest) -> None:
    error = CriError("NotFound", "no such image")
    node.cri.pull_errors["crane:latest"] = error
    async with node.running():
        await node.run_pod({"image": "crane"})
        assert node.state() == "ErrImagePull"
        await node.clock.advance(5)
        assert node.state() == "ImagePullBackOff"
        waiting = node.pod().status.container_statuses[0].state
        assert waiting is not None
        assert waiting.waiting is not None
        assert waiting.waiting.message == f'Back-off pulling image "crane": ErrImagePull: {error}'
        assert node.cri.calls.count("pull crane:latest") == 1
        await node.clock.advance(5)
        assert node.cri.calls.count("pull crane:latest") == 2
        assert node.state() == "ErrImagePull"
        del node.cri.pull_errors["crane:latest"]
        await node.clock.advance(20)
        assert node.state() == "Running"
        assert "Warning Failed Error: ErrImagePull" in node.events()
        assert 'Normal BackOff Back-off pulling image "crane"' in node.events()


async def test_never_pull_and_bad_names(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod({"image": "absent", "imagePullPolicy": "Never"})
        await node.run_pod({"image": "No Name"}, name="bad")
        assert node.state() == "ErrImageNeverPull"
        assert node.state("bad") == "InvalidImageName"


async def test_crash_loop(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
        node.cri.exit("main", 1)
        await node.clock.advance(0)
        assert node.state() == "Running"  # The first restart is immediate.
        node.cri.exit("main", 1)
        await node.clock.advance(0)
        assert node.state() == "CrashLoopBackOff"
        message = "Back-off restarting failed container main in pod kubia_default(uid-kubia)"
        assert f"Warning BackOff {message}" in node.events()
        await node.clock.advance(9)
        assert node.state() == "CrashLoopBackOff"
        await node.clock.advance(1)
        assert node.state() == "Running"
        status = node.pod().status.container_statuses[0]
        assert status.restart_count == 2
        assert status.last_state is not None
        assert status.last_state.terminated is not None
        assert status.last_state.terminated.exit_code == 1


async def test_only_the_last_dead_container_is_kept(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
        for _ in range(3):
            node.cri.exit("main", 1)
            await node.clock.advance(100)
        assert len([c for p in node.cri.pods.values() for c in p.containers]) == 2


async def test_a_job_like_pod_succeeds_and_stays(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(restartPolicy="Never")
        node.cri.exit("main", 0)
        await node.clock.advance(0)
        assert node.pod().status.phase == "Succeeded"
        assert node.state() == "Completed"
        assert node.cri.calls[-1] == "stop_sandbox"
        assert len(node.cri.pods) == 1  # Its log can still be read.


async def test_init_containers_run_first(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(initContainers=[{"name": "wait", "image": "busybox"}])
        assert node.state() == "PodInitializing"
        node.cri.exit("wait", 0)
        await node.clock.advance(0)
        assert node.state() == "Running"
        assert [c for c in node.cri.calls if c.startswith("start")] == ["start wait", "start main"]


async def test_a_deleted_pod_gets_its_grace_period_and_goes(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(terminationGracePeriodSeconds=7)
        node.cri.hold_stops.clear()
        await node.client.delete(Pod, "kubia", "default", grace_seconds=7)
        await node.clock.advance(0)
        assert node.has()
        assert node.cri.grace == [7]
        node.cri.hold_stops.set()
        await node.clock.advance(0)
        assert not node.has()
        assert not node.cri.pods
        assert "Normal Killing Stopping container main" in node.events()
        assert not node.fleet.members["node-1"].kubelet.workers


async def test_a_second_deletion_shortens_the_grace_period(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
        node.cri.hold_stops.clear()
        await node.client.delete(Pod, "kubia", "default", grace_seconds=30)
        await node.clock.advance(0)
        await node.client.delete(Pod, "kubia", "default", grace_seconds=1)
        await node.clock.advance(0)
        assert node.cri.grace == [30, 2]  # the least that a container is given
        assert len([e for e in node.events() if "Killing" in e]) == 1


async def test_a_deletion_interrupts_a_pull(node: NodeUnderTest) -> None:
    async with node.running():
        node.cri.hold_pulls.clear()
        await node.run_pod()
        await node.client.delete(Pod, "kubia", "default", grace_seconds=30)
        await node.clock.advance(0)
        assert not node.has()
        assert not node.cri.pods


async def test_a_forced_deletion_leaves_nothing_running(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
        await node.client.delete(Pod, "kubia", "default", grace_seconds=0)
        await node.clock.advance(0)
        assert not node.cri.pods


async def test_a_failed_liveness_probe_restarts_the_container(node: NodeUnderTest) -> None:
    async with node.running():
        node.cri.http_answers = [HttpAnswer(status=500)] * 3
        probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 10}
        await node.run_pod({"livenessProbe": probe})
        assert "http 10.244.0.1:8080/" not in node.cri.calls
        await node.clock.advance(29)
        assert node.cri.calls.count("http 10.244.0.1:8080/") == 2
        assert "stop main" not in node.cri.calls
        await node.clock.advance(1)
        assert "stop main" in node.cri.calls
        assert node.pod().status.container_statuses[0].restart_count == 1
        events = node.events()
        assert "Warning Unhealthy Liveness probe failed: HTTP probe failed with statuscode: 500" in events
        assert "Normal Killing Container main failed liveness probe, will be restarted" in events


async def test_readiness_follows_its_probe(node: NodeUnderTest) -> None:
    async with node.running():
        node.cri.http_answers = [CriError("Unavailable", "dial tcp: connect: connection refused")]
        await node.run_pod({"readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5}})
        assert not node.pod().status.container_statuses[0].ready
        await node.clock.advance(6)
        assert node.pod().status.container_statuses[0].ready
        failure = 'Get "http://10.244.0.1:80/": dial tcp: connect: connection refused'
        assert f"Warning Unhealthy Readiness probe failed: {failure}" in node.events()


async def test_environment_and_volumes(node: NodeUnderTest) -> None:
    metadata = ObjectMeta(name="settings", namespace="default")
    node.api.put(ConfigMap(metadata=metadata, data={"colour": "blue"}))
    async with node.running():
        await node.run_pod(
            {
                "env": [
                    {"name": "A", "value": "1"},
                    {"name": "B", "value": "$(A)-$(C)-$$(A)"},
                    {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                    {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
                ],
                "args": ["$(C)"],
                "volumeMounts": [{"name": "v", "mountPath": "/etc/settings"}],
            },
            volumes=[{"name": "v", "configMap": {"name": "settings"}}],
        )
        config = next(iter(node.cri.configs.values()))
        assert dict(config.envs) == {"A": "1", "B": "1-$(C)-$(A)", "IP": "10.244.0.1", "C": "blue"}
        assert config.args == ("blue",)
        file = Path(config.mounts[0].host_path) / "colour"
        assert file.read_text() == "blue"
        await node.client.patch(ConfigMap, "settings", "default", {"data": {"colour": "red"}})
        await node.clock.advance(61)
        assert file.read_text() == "red"


async def test_what_a_container_needs_may_be_missing(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod({"envFrom": [{"configMapRef": {"name": "absent"}}]})
        assert node.state() == "CreateContainerConfigError"
        assert 'Warning Failed Error: configmap "absent" not found' in node.events()
        node.api.put(ConfigMap(metadata=ObjectMeta(name="absent", namespace="default")))
        await node.clock.advance(11)
        assert node.state() == "Running"


async def test_a_pod_that_does_not_fit_is_refused(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod({"resources": {"requests": {"cpu": "3"}}})
        status = node.pod().status
        assert (status.phase, status.reason) == ("Failed", "OutOfcpu")
        assert status.message == (
            "Pod was rejected: Node didn't have enough resource: "
            "cpu, requested: 3000, used: 0, capacity: 2000"
        )
        assert not node.cri.calls


async def test_running_containers_are_adopted(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
    calls = [*node.cri.calls]
    async with node.running():
        await node.clock.advance(1)
        assert node.cri.calls == calls
        node.cri.exit("main", 1)
        await node.clock.advance(0)
        assert node.pod().status.container_statuses[0].restart_count == 1


async def test_what_died_with_the_runtime_is_made_again(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
        node.cri.lose_everything()
        await node.clock.advance(0)
        assert node.state() == "Running"
        assert node.cri.calls.count("run_sandbox") == 2
        assert node.pod().status.container_statuses[0].restart_count == 1


async def test_a_container_removed_behind_its_back_is_started_again(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
        await node.cri.remove_container(node.cri.container("main").id)
        await node.clock.advance(0)
        assert node.state() == "Running"
        assert node.pod().status.container_statuses[0].restart_count == 1


async def test_orphans_are_removed(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
    node.api.remove(Pod, "kubia", "default")
    async with node.running():
        assert not node.cri.pods


async def test_nothing_starts_before_there_is_a_network(node: NodeUnderTest) -> None:
    async with node.running(cidr=False):
        await node.run_pod()
        assert not node.cri.calls
        ready = next(c for c in node.node().status.conditions if c.type == "Ready")
        assert (ready.status, ready.reason) == ("False", "KubeletNotReady")
        await node.give_cidr()
        await node.clock.advance(5)
        assert node.state() == "Running"
        ready = next(c for c in node.node().status.conditions if c.type == "Ready")
        assert (ready.status, ready.reason) == ("True", "KubeletReady")


async def test_an_api_server_that_is_away_is_waited_for(node: NodeUnderTest) -> None:
    async with node.running():
        node.cri.hold_pulls.clear()
        await node.run_pod()
        node.api.set_down(True)
        node.cri.hold_pulls.set()
        await node.clock.advance(30)
        node.api.set_down(False)
        await node.clock.advance(30)
        assert node.state() == "Running"


async def test_a_status_that_others_have_changed_is_written_again(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
        lost = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
        await node.client.patch(Pod, "kubia", "default", lost, subresource="status")
        await node.clock.advance(0)
        ready = next(c for c in node.pod().status.conditions if c.type == "Ready")
        assert ready.status == "True"
