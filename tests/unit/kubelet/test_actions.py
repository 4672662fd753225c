"""What the kubelet does next, from what the runtime holds."""

from __future__ import annotations

import pytest

from services.kubelet.actions import compute
from services.kubelet.container_status import Health
from services.kubelet.runtime_config import HASH_ANNOTATION
from services.kubelet.runtime_view import RuntimeView
from tests.unit.kubelet.pods import exited, pod, running, view


def names(containers: tuple[object, ...]) -> list[str]:
    return [getattr(container, "name", "") for container in containers]


def test_a_new_pod_gets_a_sandbox_first() -> None:
    todo = compute(pod(), RuntimeView())
    assert todo.create_sandbox
    assert todo.attempt == 0
    assert not todo.start


def test_then_all_its_containers() -> None:
    todo = compute(pod({"name": "a"}, {"name": "b"}), view())
    assert names(todo.start) == ["a", "b"]


def test_nothing_while_all_runs() -> None:
    assert compute(pod(), view(running())).nothing


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_restart_policy(policy: str, code: int, again: bool) -> None:
    todo = compute(pod(restartPolicy=policy), view(exited(code=code)))
    assert bool(todo.start) is again
    assert todo.stop_all is not again


def test_a_lost_sandbox_is_made_again() -> None:
    todo = compute(pod(), view(exited(code=137), ready=False))
    assert todo.create_sandbox
    assert todo.attempt == 1


def test_a_finished_pod_gets_no_new_sandbox() -> None:
    finished = pod(restartPolicy="Never")
    assert compute(finished, view(exited(), ready=False)).stop_all


def test_init_containers_run_one_after_the_other() -> None:
    two = pod(initContainers=[{"name": "i1", "image": "x"}, {"name": "i2", "image": "x"}])
    assert names(compute(two, view()).start) == ["i1"]
    assert compute(two, view(running("i1"))).nothing
    assert names(compute(two, view(exited("i1"))).start) == ["i2"]
    assert names(compute(two, view(exited("i1"), exited("i2"))).start) == ["main"]


def test_a_failed_init_container_is_tried_again_or_ends_the_pod() -> None:
    init = [{"name": "i1", "image": "x"}]
    assert names(compute(pod(initContainers=init), view(exited("i1", code=1))).start) == ["i1"]
    never = pod(initContainers=init, restartPolicy="Never")
    assert compute(never, view(exited("i1", code=1))).stop_all


def test_a_sidecar_comes_first_and_is_kept_alive() -> None:
    sidecar = pod(initContainers=[{"name": "proxy", "image": "x", "restartPolicy": "Always"}])
    assert names(compute(sidecar, view()).start) == ["proxy"]
    waiting = compute(sidecar, view(running("proxy")), health={"proxy": Health(started=False)})
    assert waiting.nothing
    assert names(compute(sidecar, view(running("proxy"))).start) == ["main"]
    assert names(compute(sidecar, view(exited("proxy"), running())).start) == ["proxy"]


def test_a_container_that_failed_its_liveness_probe_is_killed() -> None:
    todo = compute(pod(), view(running()), failed_probe={"main-0": "liveness"})
    assert [kill.message for kill in todo.kill] == ["Container main failed liveness probe, will be restarted"]
    assert not todo.start


def test_an_unready_container_is_left_alone() -> None:
    assert compute(pod(), view(running()), failed_probe={"main-0": "readiness"}).nothing


def test_a_changed_image_means_a_new_container() -> None:
    todo = compute(pod(), view(running(annotations={HASH_ANNOTATION: "other"})))
    assert [kill.message for kill in todo.kill] == ["Container main definition changed, will be restarted"]
