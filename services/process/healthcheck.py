"""Asks a component how it is, over `grpc.health.v1`; for compose health checks and scripts.

    python -m services.process.healthcheck 127.0.0.1:6444

Exit code 0 when it says SERVING, 1 otherwise, with the reason on stderr.
"""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_SECONDS = 3.0


def check(address: str) -> str:
    """Empty when the component serves, else what is wrong."""
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            return f"{address}: {error.details()}"
    serving = health_pb2.HealthCheckResponse.SERVING
    return "" if answer.status == serving else f"{address} is not serving yet"


if __name__ == "__main__":
    trouble = check(sys.argv[1])
    if trouble:
        sys.stderr.write(trouble + "\n")
    sys.exit(1 if trouble else 0)
