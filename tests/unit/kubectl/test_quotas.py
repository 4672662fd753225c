"""Quotas and limits as `describe` tells them."""

from __future__ import annotations

from services.kubectl.describe import quotas
from services.kubectl.describe.writer import Writer

QUOTA = {
    "metadata": {"name": "q", "namespace": "n"},
    "spec": {"scopes": ["BestEffort"]},
    "status": {"hard": {"pods": "10", "configmaps": "5"}, "used": {"pods": "2"}},
}
LIMITS = {
    "metadata": {"name": "l", "namespace": "n"},
    "spec": {
        "limits": [{"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "500m", "memory": "1Gi"}}]
    },
}


def test_a_quota() -> None:
    assert quotas.quota(QUOTA).splitlines() == [
        "Name:       q",
        "Namespace:  n",
        "Scopes:     BestEffort",
        " * Matches all pods that do not have resource requirements set. These pods have a best effort"
        " quality of service.",
        "Resource    Used  Hard",
        "--------    ----  ----",
        "configmaps  0     5",
        "pods        2     10",
    ]


def test_limits() -> None:
    assert quotas.limit_range(LIMITS).splitlines() == [
        "Name:       l",
        "Namespace:  n",
        "Type        Resource  Min  Max  Default Request  Default Limit  Max Limit/Request Ratio",
        "----        --------  ---  ---  ---------------  -------------  -----------------------",
        "Container   cpu       -    1    -                500m           -",
        "Container   memory    -    -    -                1Gi            -",
    ]


def test_both_in_their_namespace() -> None:
    writer = Writer()
    quotas.of_namespace(writer, [QUOTA], [LIMITS])
    told = writer.text()
    assert "\nResource Quotas\n  Name:" in told
    assert "\nResource Limits\n Type " in told
    writer = Writer()
    quotas.of_namespace(writer, [], [])
    assert writer.text() == "\nNo resource quota.\n\nNo LimitRange resource.\n"
