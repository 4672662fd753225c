"""Waiting between restarts, and what the answers of probes add up to."""

from __future__ import annotations

from typing import Any

import pytest

from services.api.core_v1 import Container, ContainerPort, Probe
from services.kubelet.actions import ProbeKind
from services.kubelet.image_manager import with_default_tag
from services.kubelet.probes import Answer, ProbeState, http_answer, resolve_port, unhealthy_message
from services.kubelet.restart_backoff import RestartBackoff, go_duration, go_milliseconds

GOOD, BAD = Answer(True), Answer(False, "no")


def test_the_first_restart_is_immediate_and_then_the_wait_doubles() -> None:
    backoff = RestartBackoff()
    assert backoff.remaining("c", since=0, now=0) == 0
    delays = []
    for _ in range(8):
        backoff.grow("c", now=0)
        delays.append(backoff.delay("c"))
    assert delays == [10, 20, 40, 80, 160, 300, 300, 300]


def test_the_wait_counts_from_the_exit() -> None:
    backoff = RestartBackoff()
    backoff.grow("c", now=0)
    assert backoff.remaining("c", since=3, now=5) == 8
    assert backoff.remaining("c", since=3, now=13) == 0


def test_ten_quiet_minutes_start_it_over() -> None:
    backoff = RestartBackoff()
    for _ in range(4):
        backoff.grow("c", now=0)
    assert backoff.remaining("c", since=650, now=650) == 0
    backoff.grow("c", now=650)
    assert backoff.delay("c") == 10


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s"), (3601, "1h0m1s")])
def test_durations_as_go_prints_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.3124, "312ms"), (1.2, "1.2s"), (1.0, "1s"), (63.04, "1m3.04s"), (0.0001, "0s")]
)
def test_milliseconds_as_go_prints_them(seconds: float, text: str) -> None:
    assert go_milliseconds(seconds) == text


def state(kind: ProbeKind, **fields: Any) -> ProbeState:
    return ProbeState(kind, Probe(**fields), Container(name="main"), "id")


def test_liveness_gives_up_after_three_failures_in_a_row() -> None:
    probe = state("liveness")
    assert probe.passing
    assert [probe.feed(answer) for answer in (BAD, BAD, GOOD, BAD, BAD)] == [False] * 5
    assert probe.feed(BAD)
    assert probe.gave_up


def test_readiness_needs_a_success_and_comes_back() -> None:
    probe = state("readiness", failure_threshold=1)
    assert not probe.passing
    assert probe.feed(GOOD)
    assert probe.feed(BAD)
    assert not probe.gave_up
    assert probe.feed(GOOD)
    assert probe.passing


def test_a_startup_probe_that_passed_asks_no_more() -> None:
    probe = state("startup", success_threshold=1)
    assert not probe.finished
    assert probe.feed(GOOD)
    assert probe.finished


def test_words_of_failures() -> None:
    answer = http_answer(500)
    assert (
        unhealthy_message("liveness", answer)
        == "Liveness probe failed: HTTP probe failed with statuscode: 500"
    )
    assert http_answer(302).success
    errored = Answer(False, "port web not found", error=True)
    assert (
        unhealthy_message("readiness", errored)
        == "Readiness probe errored and resulted in unknown state: port web not found"
    )


def test_ports_by_number_and_name() -> None:
    container = Container(name="c", ports=[ContainerPort(name="web", container_port=8080)])
    assert resolve_port("web", container) == 8080
    assert resolve_port(80, container) == 80
    assert resolve_port("81", container) == 81
    with pytest.raises(ValueError, match="port no not found"):
        resolve_port("no", container)


def test_image_names() -> None:
    assert with_default_tag("luksa/kubia") == "luksa/kubia:latest"
    assert with_default_tag("localhost:5000/a/b:v1") == "localhost:5000/a/b:v1"
    digest = "busybox@sha256:" + "0" * 64
    assert with_default_tag(digest) == digest
    with pytest.raises(ValueError, match=r"repository name \(library/Kubia\) must be lowercase"):
        with_default_tag("Kubia")
    with pytest.raises(ValueError, match="invalid reference format"):
        with_default_tag("a b")
