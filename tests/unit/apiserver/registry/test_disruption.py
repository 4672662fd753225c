"""What an eviction costs a disruption budget."""

from __future__ import annotations

from typing import Any

import pytest

from services.api.errors import ApiError
from services.apiserver.registry.disruption import exempt, spent

Json = dict[str, Any]
NOW = "2026-11-21T12:00:00Z"
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}


def budget(allowed: int, **spec: Any) -> Json:
    status = {
        "observedGeneration": 1,
        "disruptionsAllowed": allowed,
        "currentHealthy": 2,
        "desiredHealthy": 1,
        "expectedPods": 2,
    }
    return {"metadata": {"name": "b", "generation": 1}, "spec": spec, "status": status}


def test_the_last_one_says_that_none_is_left() -> None:
    assert spent(budget(2), "p", NOW)["disruptionsAllowed"] == 1
    last = spent(budget(1), "p", NOW)
    assert last["disruptedPods"] == {"p": NOW}
    assert last["conditions"][0]["reason"] == "InsufficientPods"


def test_a_budget_without_any_refuses_and_says_why() -> None:
    with pytest.raises(ApiError) as refused:
        spent(budget(0), "p", NOW)
    assert refused.value.code == 429
    cause = refused.value.status["details"]["causes"][0]
    assert cause["message"] == "The disruption budget b needs 1 healthy pods and has 2 currently"
    unseen = budget(1)
    unseen["metadata"]["generation"] = 2
    with pytest.raises(ApiError) as refused:
        spent(unseen, "p", NOW)
    assert refused.value.retry_after_seconds == 10
    with pytest.raises(ApiError, match="negative"):
        spent(budget(-1), "p", NOW)


def test_pods_that_are_not_ready_may_cost_nothing() -> None:
    assert not exempt(budget(1), READY)
    assert exempt(budget(1), {})
    short = budget(1)
    short["status"]["currentHealthy"] = 0
    assert not exempt(short, {})
    assert exempt({**short, "spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}}, {})
