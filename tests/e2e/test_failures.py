"""What goes wrong for beginners, typed at a running cluster: each says why in Kubernetes' own words.

One Pod for each way to fail, created together, so that their waits pass side by side.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from services.api.core_v1 import ContainerStatus, Pod
from services.api.object import ObjectKey
from services.machinery.pods import is_ready
from tests.e2e.cluster import Cluster

pytestmark = [pytest.mark.slow]

Pods = dict[ObjectKey, Pod]
NAMESPACE = "failures"
BUSYBOX = "busybox"


def one(name: str, spec: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    main = {"name": "main", "image": BUSYBOX, **container}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [main], "terminationGracePeriodSeconds": 2, **(spec or {})},
    }


def shell(line: str) -> list[str]:
    return ["sh", "-c", line]


PODS = [
    one("nowhere", image="crane"),
    one("no-name", image="Not/A Name"),
    one("never", imagePullPolicy="Never", image="luksa/absent-here"),
    one("no-command", command=["nosuch"]),
    one("exit-127", command=shell("nosuch")),
    one("crash", command=shell("echo connect to crane-mysql: refused; exit 1")),
    one("no-map", envFrom=[{"configMapRef": {"name": "absent"}}], command=["sleep", "1000"]),
    one("rooted", {"securityContext": {"runAsNonRoot": True}}, command=["sleep", "1000"]),
    one(
        "sick",
        command=["sleep", "1000"],
        livenessProbe={"exec": {"command": ["cat", "/tmp/healthy"]}, "periodSeconds": 1},
    ),
    one(
        "unready",
        command=["sleep", "1000"],
        readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    ),
    one("late", {"activeDeadlineSeconds": 2}, command=["sleep", "1000"]),
    one("done", {"restartPolicy": "Never"}, command=shell("echo out of disk > /dev/termination-log; exit 3")),
    one("hooked", command=["sleep", "1000"], lifecycle={"postStart": {"exec": {"command": ["false"]}}}),
    one("huge", resources={"requests": {"cpu": "1000"}}),
    one(
        "serving",
        image="registry.k8s.io/e2e-test-images/agnhost:2.53",
        args=["grpc-health-checking"],
        readinessProbe={"grpc": {"port": 5000}, "periodSeconds": 1, "timeoutSeconds": 5},
    ),
]


@pytest.fixture(scope="module")
def failures(cluster: Cluster) -> Iterator[Cluster]:
    cluster.ok("create", "namespace", NAMESPACE)
    items = {"apiVersion": "v1", "kind": "List", "items": PODS}
    said = cluster.ok("create", "-f", "-", "-n", NAMESPACE, stdin=json.dumps(items))
    assert said.count(" created\n") == len(PODS)
    yield cluster
    cluster.ok("delete", "namespace", NAMESPACE, "--wait=false")


def status(pods: Pods, name: str) -> ContainerStatus | None:
    pod = pods.get(ObjectKey(NAMESPACE, name))
    return pod.status.container_statuses[0] if pod and pod.status.container_statuses else None


def waits(name: str, reason: str) -> Callable[[Pods], bool]:
    def holds(pods: Pods) -> bool:
        found = status(pods, name)
        state = found.state if found else None
        return bool(state and state.waiting and state.waiting.reason == reason)

    return holds


def waiting_message(pods: Pods, name: str) -> str:
    found = status(pods, name)
    assert found is not None
    assert found.state is not None
    assert found.state.waiting is not None
    return found.state.waiting.message or ""


def restarted(name: str, times: int = 1) -> Callable[[Pods], bool]:
    return lambda pods: bool((found := status(pods, name)) and found.restart_count >= times)


def events(cluster: Cluster, name: str, *wanted: str) -> list[str]:
    """`Type Reason Message` of each, as `describe` prints them; waits until `wanted` are among them."""
    shown: list[str] = []

    def all_there(_: Pods) -> bool:
        text = cluster.ok("describe", "pod", name, "-n", NAMESPACE)
        lines = text.partition("Events:\n")[2].splitlines()[2:]
        shown[:] = [re.sub(r"  +", "  ", line.strip()) for line in lines]
        return all(any(want in line for line in shown) for want in wanted)

    cluster.until(Pod, all_there, NAMESPACE)
    return shown


# ---- Images ----------------------------------------------------------------------------------


def test_an_image_that_is_nowhere(failures: Cluster) -> None:
    pods = failures.until(Pod, waits("nowhere", "ImagePullBackOff"), NAMESPACE)
    assert waiting_message(pods, "nowhere").startswith('Back-off pulling image "crane": ErrImagePull: ')
    assert "pull access denied" in waiting_message(pods, "nowhere")
    told = events(failures, "nowhere", "BackOff")
    order = [next(i for i, e in enumerate(told) if text in e) for text in ("Scheduled", "Pulling image")]
    assert order == sorted(order)
    assert any('Failed to pull image "crane": ' in event for event in told)
    assert any("Error: ErrImagePull" in event for event in told)


def test_an_image_with_an_impossible_name(failures: Cluster) -> None:
    pods = failures.until(Pod, waits("no-name", "InvalidImageName"), NAMESPACE)
    said = waiting_message(pods, "no-name")
    assert said.startswith('Failed to apply default image tag "Not/A Name": couldn\'t parse image name')
    events(failures, "no-name", "InspectFailed", "Error: InvalidImageName")


def test_an_image_that_must_not_be_pulled(failures: Cluster) -> None:
    pods = failures.until(Pod, waits("never", "ErrImageNeverPull"), NAMESPACE)
    text = 'Container image "luksa/absent-here" is not present with pull policy of Never'
    assert waiting_message(pods, "never") == text
    events(failures, "never", text, "Error: ErrImageNeverPull")


# ---- Commands --------------------------------------------------------------------------------


def test_a_command_that_does_not_exist(failures: Cluster) -> None:
    pods = failures.until(Pod, waits("no-command", "CrashLoopBackOff"), NAMESPACE)
    found = status(pods, "no-command")
    assert found is not None
    assert found.last_state is not None
    ended = found.last_state.terminated
    assert ended is not None
    assert (ended.exit_code, ended.reason) == (128, "StartError")
    why = 'exec: "nosuch": executable file not found in $PATH'
    assert why in (ended.message or "")
    events(failures, "no-command", "Error: failed to create containerd task")


def test_a_shell_that_does_not_find_it(failures: Cluster) -> None:
    pods = failures.until(Pod, waits("exit-127", "CrashLoopBackOff"), NAMESPACE)
    found = status(pods, "exit-127")
    assert found is not None
    assert found.last_state is not None
    assert found.last_state.terminated is not None
    assert (found.last_state.terminated.exit_code, found.last_state.terminated.reason) == (127, "Error")
    last = ("logs", "exit-127", "--previous", "-n", NAMESPACE)  # another may just begin
    assert "nosuch: not found" in failures.ok(*last)


def test_an_app_that_crashes(failures: Cluster) -> None:
    pods = failures.until(Pod, waits("crash", "CrashLoopBackOff"), NAMESPACE)
    uid = pods[ObjectKey(NAMESPACE, "crash")].metadata.uid
    where = f"pod=crash_{NAMESPACE}({uid})"
    assert re.fullmatch(
        rf"back-off \w+ restarting failed container=main {re.escape(where)}", waiting_message(pods, "crash")
    )
    text = f"Back-off restarting failed container main in pod crash_{NAMESPACE}({uid})"
    assert any(event.startswith("Warning  BackOff") for event in events(failures, "crash", text))
    assert "refused" in failures.ok("logs", "crash", "--previous", "-n", NAMESPACE)
    row = failures.ok("get", "pod", "crash", "-n", NAMESPACE).splitlines()[1]
    assert re.match(r"crash +0/1 +(CrashLoopBackOff|Error|Running) +\d+ \(", row)


# ---- Configuration ---------------------------------------------------------------------------


def test_a_config_map_that_is_missing_heals_when_it_comes(failures: Cluster) -> None:
    pods = failures.until(Pod, waits("no-map", "CreateContainerConfigError"), NAMESPACE)
    assert waiting_message(pods, "no-map") == 'configmap "absent" not found'
    events(failures, "no-map", 'Error: configmap "absent" not found')
    failures.ok("create", "configmap", "absent", "--from-literal=a=b", "-n", NAMESPACE)
    failures.until(Pod, lambda pods: is_ready(pods[ObjectKey(NAMESPACE, "no-map")]), NAMESPACE)
    assert "a=b" in failures.ok("exec", "no-map", "-n", NAMESPACE, "--", "env")


def test_root_where_root_is_refused(failures: Cluster) -> None:
    pods = failures.until(Pod, waits("rooted", "CreateContainerConfigError"), NAMESPACE)
    said = waiting_message(pods, "rooted")
    assert said.startswith('container has runAsNonRoot and image will run as root (pod: "rooted_failures(')
    assert said.endswith(", container: main)")


def test_more_than_any_node_has(failures: Cluster) -> None:
    told = events(failures, "huge", "FailedScheduling")
    assert "0/3 nodes are available: 3 Insufficient cpu." in told[0]


# ---- Probes and hooks ------------------------------------------------------------------------


def test_a_liveness_probe_that_fails(failures: Cluster) -> None:
    failures.until(Pod, restarted("sick"), NAMESPACE)
    events(
        failures,
        "sick",
        "Liveness probe failed: cat: ",
        "Container main failed liveness probe, will be restarted",
    )


def test_a_readiness_probe_that_nobody_answers(failures: Cluster) -> None:
    pods = failures.until(
        Pod, lambda pods: pods[ObjectKey(NAMESPACE, "unready")].status.phase == "Running", NAMESPACE
    )
    address = pods[ObjectKey(NAMESPACE, "unready")].status.pod_ip
    refused = f'Get "http://{address}:8080/": dial tcp {address}:8080: connect: connection refused'
    events(failures, "unready", f"Readiness probe failed: {refused}")
    conditions = {c.type: c for c in pods[ObjectKey(NAMESPACE, "unready")].status.conditions}
    assert conditions["Ready"].reason == "ContainersNotReady"
    assert conditions["Ready"].message == "containers with unready status: [main]"


def test_a_probe_over_grpc(failures: Cluster) -> None:
    failures.until(Pod, lambda pods: is_ready(pods[ObjectKey(NAMESPACE, "serving")]), NAMESPACE)


def test_a_hook_that_fails(failures: Cluster) -> None:
    failures.until(Pod, restarted("hooked"), NAMESPACE)
    events(failures, "hooked", "PostStartHook failed", "FailedPostStartHook")


# ---- Ends ------------------------------------------------------------------------------------


def test_a_deadline_that_passes(failures: Cluster) -> None:
    pods = failures.until(
        Pod, lambda pods: pods[ObjectKey(NAMESPACE, "late")].status.phase == "Failed", NAMESPACE
    )
    ended = pods[ObjectKey(NAMESPACE, "late")].status
    assert ended.reason == "DeadlineExceeded"
    assert ended.message == "Pod was active on the node longer than the specified deadline"


def test_last_words_and_a_command_for_the_dead(failures: Cluster) -> None:
    failures.until(Pod, lambda pods: pods[ObjectKey(NAMESPACE, "done")].status.phase == "Failed", NAMESPACE)
    shown = failures.ok("describe", "pod", "done", "-n", NAMESPACE)
    assert re.search(r"Reason: +Error\n +Message: +out of disk\n+ +Exit Code: +3\n", shown)
    said = failures.ok_refused("exec", "done", "-n", NAMESPACE, "--", "ls")
    assert said == "error: cannot exec into a container in a completed pod; current phase is Failed\n"


def test_a_command_for_a_container_that_never_ran(failures: Cluster) -> None:
    failures.until(Pod, waits("no-name", "InvalidImageName"), NAMESPACE)
    said = failures.ok_refused("exec", "no-name", "-n", NAMESPACE, "--", "ls")
    assert said == 'error: unable to upgrade connection: container not found ("main")\n'
    said = failures.ok_refused("logs", "no-name", "-n", NAMESPACE)
    assert 'container "main" in pod "no-name" is waiting to start: InvalidImageName' in said


# ---- Looking into it -------------------------------------------------------------------------


def test_a_debugger_beside_a_running_container(failures: Cluster) -> None:
    failures.until(
        Pod, lambda pods: pods[ObjectKey(NAMESPACE, "unready")].status.phase == "Running", NAMESPACE
    )
    failures.ok(
        *("debug", "unready", "--image=busybox", "-c", "look", "-n", NAMESPACE, "--"),
        *("sh", "-c", "echo I see $(hostname)"),
    )

    def ended(pods: Pods) -> bool:
        statuses = pods[ObjectKey(NAMESPACE, "unready")].status.ephemeral_container_statuses
        return any(one.state and one.state.terminated for one in statuses)

    failures.until(Pod, ended, NAMESPACE)
    assert failures.ok("logs", "unready", "-c", "look", "-n", NAMESPACE) == "I see unready\n"


def test_more_for_a_container_that_runs(failures: Cluster, namespace: str) -> None:
    small = {"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}}
    manifest = json.dumps(one("grow", command=["sleep", "1000"], resources=small))
    failures.ok("create", "-f", "-", "-n", namespace, stdin=manifest)
    failures.ok("wait", "--for=condition=Ready", "pod/grow", "-n", namespace, "--timeout=150s")
    big = {"requests": {"cpu": "150m"}, "limits": {"cpu": "300m"}}
    change = json.dumps({"spec": {"containers": [{"name": "main", "resources": big}]}})
    failures.ok("patch", "pod", "grow", "--subresource=resize", "-p", change, "-n", namespace)

    def grown(pods: Pods) -> bool:
        found = pods[ObjectKey(namespace, "grow")].status.container_statuses[0]
        return bool(found.resources and found.resources.limits == {"cpu": "300m"})

    pods = failures.until(Pod, grown, namespace)
    assert pods[ObjectKey(namespace, "grow")].status.container_statuses[0].restart_count == 0
