"""A registry with both its doors, for a whole module; tests use repositories of their own."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from services.pb.registry.v1.registry_pb2_grpc import RegistryServiceStub
from services.process.clock import SystemClock
from services.process.logging import get_logger
from services.registry import server
from services.registry.catalogue import load
from services.registry.server import registry_server
from tests.support.oci import OciClient, oci_client


@dataclass
class Doors:
    grpc: Any  # RegistryServiceStub
    address: str
    base: str
    nobody: OciClient
    me: OciClient
    data: Path


@asynccontextmanager
async def registry(data: Path, **options: Any) -> AsyncIterator[Doors]:
    ports: list[int] = []
    clock = options.pop("clock", None) or SystemClock()
    async with (
        registry_server(
            "127.0.0.1", 0, clock=clock, log=get_logger("registry"), data=data, http_port=0,
            on_http=ports, **options,
        ) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        oci_client(f"http://127.0.0.1:{ports[0]}") as nobody,
        oci_client(f"http://127.0.0.1:{ports[0]}", "me", "secret") as me,
    ):  # fmt: skip
        yield Doors(
            RegistryServiceStub(channel),
            f"127.0.0.1:{port}",
            f"http://127.0.0.1:{ports[0]}",
            nobody,
            me,
            data,
        )


@pytest.fixture(scope="session", autouse=True)
def catalogue_read_once() -> Iterator[None]:
    """It never changes; reading it is most of what starting a registry costs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "load", functools.cache(load))
        yield


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    async with registry(tmp_path / "data") as running:
        yield running
