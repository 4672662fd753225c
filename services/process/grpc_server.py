"""A component's gRPC port: its services, `grpc.health.v1` and server reflection.

Health starts as NOT_SERVING and is the component's to set, so that whoever waits for it (the
launcher, a compose health check) waits for the real thing. Two processes never share a port
by accident; what a caller may send is bounded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import _async as _aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.process.run import Fatal

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
GRACE_SECONDS = 1.0
OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", 64 * 1024),
    # Clients ping idle watches once in a while; upstream's servers allow the same.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What the server shows, and whose certificates clients must show: a stranger gets no further."""

    certificate: Path
    key: Path
    client_authority: Path

    def credentials(self) -> grpc.ServerCredentials:
        """Fatal where a file cannot be read."""
        try:
            pair = (self.key.read_bytes(), self.certificate.read_bytes())
            return grpc.ssl_server_credentials([pair], self.client_authority.read_bytes(), True)
        except OSError as error:
            raise Fatal(f"cannot read {error.filename}: {error.strerror}") from error


class Health:
    """What `grpc.health.v1` answers for the whole process."""

    def __init__(self) -> None:
        self._servicer = _aio.HealthServicer()

    async def set_serving(self, serving: bool) -> None:
        states = health_pb2.HealthCheckResponse
        await self._servicer.set("", states.SERVING if serving else states.NOT_SERVING)

    def add_to(self, server: grpc.aio.Server) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)


@asynccontextmanager
async def grpc_server(
    address: str,
    port: int,
    add_services: Callable[[grpc.aio.Server], None] = lambda server: None,
    *,
    names: Sequence[str] = (),
    health_state: Health | None = None,
    interceptors: Sequence[grpc.aio.ServerInterceptor[Any, Any]] = (),
    tls: ServerTls | None = None,
    health_socket: str = "",
) -> AsyncIterator[int]:
    """Serves until the block ends; yields the port (chosen by the system for port 0).

    `names` are the full names of the services, for reflection. `address` may also be
    `unix:/path`, with which the port is 0. Raises Fatal when the port is taken. `health_socket`: a unix
    socket beside the port where one asks for health without a certificate. Whoever comes that way is nobody,
    and whatever else the server has is its services' to refuse him.
    """
    server = grpc.aio.server(interceptors=tuple(interceptors), options=OPTIONS)
    add_services(server)
    state = health_state or Health()
    await state.set_serving(health_state is None)
    state.add_to(server)
    reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    target = address if address.startswith("unix:") else f"{address}:{port}"
    try:
        bound = server.add_secure_port(target, tls.credentials()) if tls else server.add_insecure_port(target)
    except RuntimeError as error:
        raise Fatal(f"cannot listen on {target}: is another process using the port?") from error
    try:
        if health_socket:
            server.add_insecure_port(f"unix:{health_socket}")
    except RuntimeError as error:
        raise Fatal(f"cannot listen on {health_socket}: is its folder there, and its path short?") from error
    await server.start()
    try:
        yield 0 if address.startswith("unix:") else bound
    finally:
        await server.stop(GRACE_SECONDS)
