"""How fast this machine is at this moment, so that figures from different ones can be compared.

The measure is one copy of the object below by an orjson round trip. It would take 10.6 µs on the
quiet machine on which the budgets were set, where that of a real Pod of 3.4 KB took 8.6.
Shared machines drift by several times within minutes: a budget missed on a machine that is three
times slower says little, and one met says more.
"""

from __future__ import annotations

import time
from statistics import median

import orjson

REFERENCE_MICROSECONDS = 10.6
ROUNDS, COPIES = 15, 200


def pod(bytes_wanted: int = 3400) -> bytes:
    """A Pod-shaped object of about that size."""
    containers: list[dict[str, object]] = []
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bench", "namespace": "default", "labels": {"app": "bench"}},
        "spec": {"containers": containers, "nodeName": "node-1", "restartPolicy": "Always"},
        "status": {"phase": "Running", "podIP": "10.244.0.7", "qosClass": "BestEffort"},
    }
    while len(orjson.dumps(body)) < bytes_wanted:
        env = [{"name": f"NAME_{number}", "value": f"value {number}"} for number in range(4)]
        ports = [{"containerPort": 8080, "protocol": "TCP"}]
        resources = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {}}
        name = f"c{len(containers)}"
        containers.append(
            {"name": name, "image": "app:1", "env": env, "ports": ports, "resources": resources}
        )
    return orjson.dumps(body)


def slowness() -> float:
    """How many times longer than on the reference machine a copy takes; the median of several rounds."""
    raw = pod()
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(COPIES):
            orjson.dumps(orjson.loads(raw))
        rounds.append((time.perf_counter() - began) / COPIES)
    return median(rounds) * 1e6 / REFERENCE_MICROSECONDS
