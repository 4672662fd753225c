"""Serves registry.v1 on a port, with health and reflection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.machinery.clock import Clock
from services.pb.registry.v1.registry_pb2_grpc import add_RegistryServiceServicer_to_server
from services.process.grpc_server import grpc_server
from services.process.logging import Logger
from services.process.run import Fatal
from services.registry.catalogue import CatalogueError, default_folder, load
from services.registry.hub import Hub
from services.registry.service import RegistryService

NAME = "registry.v1.RegistryService"


@asynccontextmanager
async def registry_server(
    address: str,
    port: int,
    *,
    clock: Clock,
    log: Logger,
    bytes_per_second: float = 0.0,
    folder: Path | None = None,
) -> AsyncIterator[int]:
    """Serves while the block runs; yields the port. Fatal when the catalogue cannot be read."""
    try:
        catalogue = load(folder or default_folder())
    except CatalogueError as error:
        raise Fatal(f"cannot read the image catalogue: {error}") from error
    service = RegistryService(Hub(catalogue), clock, log, bytes_per_second)

    async with grpc_server(
        address, port, lambda server: add_RegistryServiceServicer_to_server(service, server), names=[NAME]
    ) as bound:
        log.info("Serving images", address=f"{address}:{bound}", repositories=len(catalogue.images))
        yield bound
