"""The kubelet's picture of one Pod's containers, against news that comes late."""

from __future__ import annotations

from services.kubelet.cri import ContainerRecord, ContainerState, PodRecord, SandboxRecord
from services.kubelet.runtime_view import RuntimeView

SANDBOX = SandboxRecord(id="s", uid="u", name="pod", namespace="default", attempt=0, ready=True, created_at=1)


def container(state: ContainerState, identifier: str = "c1", attempt: int = 0) -> ContainerRecord:
    return ContainerRecord(id=identifier, name="app", attempt=attempt, state=state)


def view() -> RuntimeView:
    started = RuntimeView()
    started.put(PodRecord(sandbox=SANDBOX))
    return started


def test_late_news_of_the_empty_sandbox_does_not_hide_a_container_that_was_just_made() -> None:
    seen = view()
    seen.note("s", container(ContainerState.CREATED))
    seen.put(PodRecord(sandbox=SANDBOX))
    assert seen.current["app"].id == "c1"


def test_a_states_news_does_not_take_it_back() -> None:
    seen = view()
    seen.note("s", container(ContainerState.RUNNING))
    seen.put(PodRecord(sandbox=SANDBOX, containers=(container(ContainerState.CREATED),)))
    assert seen.current["app"].running
    seen.put(PodRecord(sandbox=SANDBOX, containers=(container(ContainerState.EXITED),)))
    seen.put(PodRecord(sandbox=SANDBOX, containers=(container(ContainerState.RUNNING),)))
    assert not seen.current["app"].running


def test_a_container_that_the_news_has_shown_goes_when_the_news_leaves_it_out() -> None:
    seen = view()
    seen.note("s", container(ContainerState.CREATED))
    seen.put(PodRecord(sandbox=SANDBOX, containers=(container(ContainerState.RUNNING),)))
    seen.put(PodRecord(sandbox=SANDBOX))
    assert seen.current == {}


def test_a_removed_container_does_not_come_back() -> None:
    seen = view()
    seen.note("s", container(ContainerState.CREATED))
    seen.remove("c1")
    seen.put(PodRecord(sandbox=SANDBOX))
    assert seen.current == {}
