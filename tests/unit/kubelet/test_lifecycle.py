"""The life of containers beside plain start and stop: sidecars, hooks, rules, last words, debuggers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.api.core_v1 import ConfigMap, ContainerStatus, Pod, Secret
from services.api.meta_v1 import ObjectMeta
from services.api.node_v1 import RuntimeClass
from services.client.transport import PatchType
from services.kubelet.cri import CriError, ExecResult, HttpAnswer, NamespaceMode, RegistryAuth
from tests.unit.kubelet.node import NodeUnderTest

SIDECAR = {"name": "proxy", "image": "envoy", "restartPolicy": "Always"}


@pytest.fixture
def node(tmp_path: Path) -> NodeUnderTest:
    return NodeUnderTest(tmp_path)


def write(path: str, text: str) -> None:
    Path(path).write_text(text)


def read(path: str) -> str:
    return Path(path).read_text()


def starts(node: NodeUnderTest) -> list[str]:
    return [call.partition(" ")[2] for call in node.cri.calls if call.startswith("start ")]


def stops(node: NodeUnderTest) -> list[str]:
    return [call.partition(" ")[2] for call in node.cri.calls if call.startswith("stop ")]


def status_of(node: NodeUnderTest, name: str = "main") -> ContainerStatus:
    status = node.pod().status
    everyone = [*status.container_statuses, *status.init_container_statuses]
    return next(s for s in [*everyone, *status.ephemeral_container_statuses] if s.name == name)


def waiting(node: NodeUnderTest) -> str:
    state = status_of(node).state
    assert state is not None
    assert state.waiting is not None
    return f"{state.waiting.reason}: {state.waiting.message}"


def last_exit(node: NodeUnderTest, name: str = "main") -> str:
    """What its last end left as a message."""
    status = status_of(node, name)
    assert status.last_state is not None
    assert status.last_state.terminated is not None
    return status.last_state.terminated.message or ""


# ---- Sidecars --------------------------------------------------------------------------------


async def test_a_sidecar_gates_what_follows_by_its_startup_probe(node: NodeUnderTest) -> None:
    node.cri.exec_results = [ExecResult(exit_code=1)]
    probe = {"exec": {"command": ["up"]}, "periodSeconds": 2}
    async with node.running():
        await node.run_pod(initContainers=[{**SIDECAR, "startupProbe": probe}])
        assert starts(node) == ["proxy"]
        assert node.pod().status.phase == "Pending"
        await node.clock.advance(1)
        assert starts(node) == ["proxy"], "its first probe failed"
        await node.clock.advance(2)
        assert starts(node) == ["proxy", "main"]
        assert node.pod().status.phase == "Running"


async def test_sidecars_end_last_and_in_reverse(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(initContainers=[{**SIDECAR, "name": "first"}, {**SIDECAR, "name": "second"}])
        await node.client.delete(Pod, "kubia", "default", grace_seconds=30)
        await node.clock.advance(0)
        assert stops(node) == ["main", "second", "first"]
        assert not node.has()


async def test_a_sidecar_that_dies_is_started_again_alone(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(initContainers=[SIDECAR])
        node.cri.exit("proxy", 1)
        await node.clock.advance(0)
        assert starts(node) == ["proxy", "main", "proxy"]
        assert node.pod().status.phase == "Running"


async def test_sidecars_do_not_keep_a_job_alive(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(initContainers=[SIDECAR], restartPolicy="Never")
        node.cri.hold_stops.clear()
        node.cri.exit("main", 0)
        await node.clock.advance(0)
        assert node.pod().status.phase == "Running", "until the sidecar has ended"
        node.cri.hold_stops.set()
        await node.clock.advance(0)
        assert node.pod().status.phase == "Succeeded"
        assert stops(node) == ["proxy"]


# ---- Restarts --------------------------------------------------------------------------------


async def test_rules_of_a_container_come_before_the_pods_policy(node: NodeUnderTest) -> None:
    rule = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}
    own = {"restartPolicy": "Never", "restartPolicyRules": [rule]}
    async with node.running():
        await node.run_pod(own, restartPolicy="Never")
        node.cri.exit("main", 42)
        await node.clock.advance(0)
        assert node.state() == "Running"
        assert node.pod().status.phase == "Running"
        node.cri.exit("main", 1)
        await node.clock.advance(0)
        assert node.pod().status.phase == "Failed"


async def test_an_init_container_that_may_not_fail(node: NodeUnderTest) -> None:
    async with node.running():
        init = {"name": "init", "image": "busybox", "restartPolicy": "Never"}
        await node.run_pod(initContainers=[init])
        node.cri.exit("init", 1)
        await node.clock.advance(0)
        assert node.pod().status.phase == "Failed"
        assert starts(node) == ["init"]


async def test_a_long_run_before_the_crash_starts_the_back_off_over(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
        for _ in range(5):
            node.cri.exit("main", 1)
            await node.clock.advance(170)
        await node.clock.advance(601)
        node.cri.exit("main", 1)
        await node.clock.advance(0)
        assert node.state() == "Running"


async def test_a_wait_that_is_longer_than_what_is_left_of_ten_minutes_is_kept(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
        for _ in range(7):
            node.cri.exit("main", 1)
            await node.clock.advance(301)
        await node.clock.advance(400)
        node.cri.exit("main", 1)
        await node.clock.advance(250)
        assert node.state() == "CrashLoopBackOff"
        await node.clock.advance(51)
        assert node.state() == "Running"


async def test_a_command_that_does_not_exist(node: NodeUnderTest) -> None:
    why = (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
        'create failed: unable to start container process: error during container init: exec: "nope": '
        "executable file not found in $PATH"
    )
    node.cri.start_errors["main"] = CriError("Unknown", why)
    async with node.running():
        await node.run_pod()
        assert f"Warning Failed Error: {why}" in node.events()
        await node.clock.advance(0)
        assert waiting(node).startswith("CrashLoopBackOff: back-off 10s restarting failed container=main")
        last = status_of(node).last_state
        assert last is not None
        assert last.terminated is not None
        assert (last.terminated.exit_code, last.terminated.reason) == (128, "StartError")


# ---- Hooks -----------------------------------------------------------------------------------


async def test_a_failed_post_start_hook_kills_the_container(node: NodeUnderTest) -> None:
    node.cri.exec_results = [ExecResult(exit_code=3, stderr=b"no\n")]
    async with node.running():
        hook = {"postStart": {"exec": {"command": ["sh", "-c", "exit 3"]}}}
        await node.run_pod({"lifecycle": hook}, terminationGracePeriodSeconds=9)
        assert node.cri.grace == [9]
        events = node.events()
        assert "Warning FailedPostStartHook PostStartHook failed" in events
        assert "Normal Killing FailedPostStartHook" in events


async def test_pre_stop_comes_out_of_the_grace_period(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod({"lifecycle": {"preStop": {"sleep": {"seconds": 4}}}})
        await node.client.delete(Pod, "kubia", "default", grace_seconds=10)
        await node.clock.advance(3)
        assert not stops(node)
        await node.clock.advance(1)
        assert node.cri.grace == [6]
        assert not node.has()


async def test_a_failed_pre_stop_hook_is_told_and_no_more(node: NodeUnderTest) -> None:
    node.cri.exec_results = [ExecResult(exit_code=1)]
    async with node.running():
        await node.run_pod({"lifecycle": {"preStop": {"exec": {"command": ["bye"]}}}})
        await node.client.delete(Pod, "kubia", "default", grace_seconds=10)
        await node.clock.advance(0)
        assert not node.has()
        assert "Warning FailedPreStopHook PreStopHook failed" in node.events()


async def test_a_hook_over_http_does_not_mind_the_answer(node: NodeUnderTest) -> None:
    node.cri.http_answers = [HttpAnswer(status=500)]
    async with node.running():
        await node.run_pod({"lifecycle": {"postStart": {"httpGet": {"path": "/hi", "port": 80}}}})
        assert "http 10.244.0.1:80/hi" in node.cri.calls
        assert node.state() == "Running"


async def test_a_probes_own_grace_period(node: NodeUnderTest) -> None:
    node.cri.http_answers = [HttpAnswer(status=500)]
    probe = {"httpGet": {"port": 80}, "failureThreshold": 1, "terminationGracePeriodSeconds": 5}
    async with node.running():
        await node.run_pod({"livenessProbe": probe})
        await node.clock.advance(10)
        assert node.cri.grace == [5]


# ---- Last words ------------------------------------------------------------------------------


def termination_log(node: NodeUnderTest, path: str = "/dev/termination-log") -> Path:
    config = node.cri.configs[node.cri.container("main").id]
    return Path(next(mount.host_path for mount in config.mounts if mount.container_path == path))


async def test_a_container_says_why_it_ended(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod({"terminationMessagePath": "/tmp/last"})
        termination_log(node, "/tmp/last").write_text("x" * 5000 + "disk on fire")
        node.cri.exit("main", 1)
        await node.clock.advance(0)
        message = last_exit(node)
        assert message.endswith("disk on fire")
        assert len(message) == 4096


async def test_the_log_stands_in_for_it_when_asked(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod({"terminationMessagePolicy": "FallbackToLogsOnError"})
        line = b"2026-01-01T00:00:00Z stderr F out of luck\n"
        node.cri.logs[node.cri.container("main").id] = line
        node.cri.exit("main", 1)
        await node.clock.advance(0)
        assert last_exit(node) == "out of luck\n"


async def test_all_messages_of_a_pod_together_are_bounded(node: NodeUnderTest) -> None:
    many: list[dict[str, Any]] = [{"name": f"c{number}"} for number in range(6)]
    async with node.running():
        await node.run_pod(*many, restartPolicy="Never")
        for config in node.cri.configs.values():
            write(config.mounts[-1].host_path, "y" * 4000)
            node.cri.exit(config.name, 1)
        await node.clock.advance(0)
        states = [status.state for status in node.pod().status.container_statuses]
        said = [len(s.terminated.message or "") for s in states if s and s.terminated]
        assert said == [2048] * 6


# ---- Images ----------------------------------------------------------------------------------


async def test_credentials_go_with_the_pull(node: NodeUnderTest) -> None:
    auths = {"https://index.docker.io/v1/": {"auth": base64.b64encode(b"me:secret").decode()}}
    text = base64.b64encode(orjson.dumps({"auths": auths})).decode()
    node.api.put(
        Secret(
            metadata=ObjectMeta(name="hub", namespace="default"),
            type="kubernetes.io/dockerconfigjson",
            data={".dockerconfigjson": text},
        )
    )
    async with node.running():
        await node.run_pod(imagePullSecrets=[{"name": "hub"}, {"name": "absent"}])
        assert node.cri.auths == [RegistryAuth(username="me", password="secret")]
        text = "Unable to retrieve some image pull secrets (absent);"
        text = f"Warning FailedToRetrieveImagePullSecret {text}"
        assert f"{text} attempting to pull the image may not succeed." in node.events()


async def test_an_image_that_would_run_as_root(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod({"securityContext": {"runAsNonRoot": True}})
        why = 'image will run as root (pod: "kubia_default(uid-kubia)", container: main)'
        assert waiting(node) == f"CreateContainerConfigError: container has runAsNonRoot and {why}"


async def test_a_named_user_cannot_be_judged(node: NodeUnderTest) -> None:
    node.cri.image_uids["luksa/kubia:latest"] = 1000
    async with node.running():
        await node.run_pod({"securityContext": {"runAsNonRoot": True}})
        assert node.state() == "Running"


# ---- What a Pod asks of its sandbox ----------------------------------------------------------


async def test_hosts_and_namespaces(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(
            hostname="web",
            subdomain="sub",
            setHostnameAsFQDN=True,
            shareProcessNamespace=True,
            hostAliases=[{"ip": "1.2.3.4", "hostnames": ["foo", "bar"]}],
        )
        sandbox = next(iter(node.cri.sandbox_configs.values()))
        assert sandbox.hostname == "web.sub.default.svc.cluster.local"
        assert sandbox.pid_mode is NamespaceMode.POD
        mount = next(iter(node.cri.configs.values())).mounts[-1]
        assert mount.container_path == "/etc/hosts"
        text = read(mount.host_path)
        assert "10.244.0.1\tweb.sub.default.svc.cluster.local\tweb\n" in text
        assert text.endswith("\n# Entries added by HostAliases.\n1.2.3.4\tfoo\tbar\n")


async def test_a_name_that_is_too_long_for_the_kernel(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(hostname="h" * 40, subdomain="s" * 20, setHostnameAsFQDN=True)
        assert any("FailedCreatePodSandBox" in event and "is too long" in event for event in node.events())


async def test_the_handler_of_a_runtime_class(node: NodeUnderTest) -> None:
    node.api.put(RuntimeClass(metadata=ObjectMeta(name="gvisor"), handler="runsc"))
    async with node.running():
        await node.run_pod(runtimeClassName="gvisor")
        assert next(iter(node.cri.sandbox_configs.values())).runtime_handler == "runsc"
        await node.run_pod(runtimeClassName="kata", name="other")
        why = 'Failed to create pod sandbox: runtimeclass.node.k8s.io "kata" not found'
        assert f"Warning FailedCreatePodSandBox {why}" in node.events("other")


# ---- Debuggers -------------------------------------------------------------------------------


async def add_debugger(node: NodeUnderTest) -> None:
    given = {"name": "debugger", "image": "busybox", "targetContainerName": "main"}
    change = {"spec": {"ephemeralContainers": [given]}}
    await node.client.patch(Pod, "kubia", "default", change, patch_type=PatchType.STRATEGIC)
    await node.clock.advance(0)


async def test_an_ephemeral_container_is_started_once(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
        await add_debugger(node)
        assert starts(node) == ["main", "debugger"]
        config = node.cri.configs[node.cri.container("debugger").id]
        assert (config.pid_mode, config.target_id) == (
            NamespaceMode.TARGET,
            node.cri.container("main").id,
        )
        node.cri.exit("debugger", 0)
        await node.clock.advance(0)
        assert starts(node) == ["main", "debugger"]
        state = status_of(node, "debugger").state
        assert state is not None
        assert state.terminated is not None
        assert node.pod().status.phase == "Running"
        assert [c.status for c in node.pod().status.conditions if c.type == "Ready"] == ["True"]


async def test_a_pod_whose_containers_the_runtime_has_lost_still_ends(node: NodeUnderTest) -> None:
    """What the API server gives back of a status leaves out what is zero."""
    async with node.running():
        await node.run_pod()
        for _ in range(2):
            node.cri.exit("main", 0)
            await node.clock.advance(0)
        assert node.state() == "CrashLoopBackOff"
    node.cri.lose_everything()
    await node.client.delete(Pod, "kubia", "default", grace_seconds=1)
    async with node.running():
        await node.clock.advance(3)
        assert not node.has()


async def test_a_look_for_another_reason_does_not_put_a_retry_off(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod({"envFrom": [{"configMapRef": {"name": "absent"}}]})
        kubelet = node.fleet.members["node-1"].kubelet
        worker = kubelet.workers["uid-kubia"]
        await node.clock.advance(1)
        kubelet._look_after(worker, 1)  # sooner than the retry, in whose place it comes
        await node.clock.advance(2)
        assert node.state() == "CreateContainerConfigError"
        node.api.put(ConfigMap(metadata=ObjectMeta(name="absent", namespace="default")))
        await node.clock.advance(8)
        assert node.state() == "Running"


async def test_a_readiness_gate_that_somebody_opens(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(readinessGates=[{"conditionType": "example.com/in"}])

        def ready() -> list[tuple[str, str | None]]:
            conditions = node.pod().status.conditions
            return [(c.status, c.reason) for c in conditions if c.type == "Ready"]

        assert ready() == [("False", "ReadinessGatesNotReady")]
        opened = {"status": {"conditions": [{"type": "example.com/in", "status": "True"}]}}
        await node.client.patch(
            Pod, "kubia", "default", opened, patch_type=PatchType.STRATEGIC, subresource="status"
        )
        await node.clock.advance(0)
        assert ready() == [("True", None)]


async def test_a_deadline_that_is_set_later(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
        await node.clock.advance(5)
        await node.client.patch(Pod, "kubia", "default", {"spec": {"activeDeadlineSeconds": 8}})
        await node.clock.advance(4)
        assert node.pod().status.reason == "DeadlineExceeded"
        text = "Pod was active on the node longer than the specified deadline"
        assert f"Normal DeadlineExceeded {text}" in node.events()
