"""Serves registry.v1 over gRPC, with health and reflection, and the OCI distribution API over HTTP."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

from services.machinery.clock import Clock
from services.pb.registry.v1.registry_pb2_grpc import add_RegistryServiceServicer_to_server
from services.process.grpc_server import grpc_server
from services.process.logging import Logger
from services.process.run import Fatal
from services.registry.accounts import Accounts, BadAccounts, load_policy
from services.registry.blob_store import BlobStore
from services.registry.catalogue import CatalogueError, default_folder, load
from services.registry.hub import Hub
from services.registry.pushing import Pushing
from services.registry.repositories import Repositories
from services.registry.service import RegistryService

NAME = "registry.v1.RegistryService"
STORED_BYTES_MAX = 20 * 1000**3
KEY_BYTES = 32


@asynccontextmanager
async def registry_server(
    address: str,
    port: int,
    *,
    clock: Clock,
    log: Logger,
    bytes_per_second: float = 0.0,
    folder: Path | None = None,
    data: Path | None = None,
    http_port: int | None = None,
    stored_bytes_max: int = STORED_BYTES_MAX,
    on_http: list[int] | None = None,
) -> AsyncIterator[int]:
    """Serves while the block runs; yields the gRPC port, and adds the one of HTTP to `on_http`.

    What is pushed is kept in `data`, or for as long as it runs. Fatal when nothing can be served.
    """
    async with AsyncExitStack() as stack:
        kept = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orrery-registry-")))
        hub = _hub(folder, kept, clock, log, stored_bytes_max)
        stack.callback(hub.store.close)
        pushing = Pushing(hub)
        pushing.collect()
        service = RegistryService(hub, pushing, clock, log, bytes_per_second)
        if http_port is not None:
            serving = _http(address, http_port, hub, pushing, clock, log, bytes_per_second)
            served = await stack.enter_async_context(serving)
            if on_http is not None:
                on_http.append(served)
        bound = await stack.enter_async_context(
            grpc_server(
                address,
                port,
                lambda server: add_RegistryServiceServicer_to_server(service, server),
                names=[NAME],
            )
        )
        log.info("Serving images", address=f"{address}:{bound}", repositories=len(hub.catalogue.images))
        yield bound


@asynccontextmanager
async def _http(
    address: str, port: int, hub: Hub, pushing: Pushing, clock: Clock, log: Logger, bytes_per_second: float
) -> AsyncIterator[int]:
    # Imported only here: a registry without HTTP does without its library.
    from services.registry.http.serve import http_server

    async with http_server(
        address, port, hub=hub, pushing=pushing, clock=clock, log=log, bytes_per_second=bytes_per_second
    ) as served:
        log.info("Serving images over HTTP", address=f"{address}:{served}", push=f"127.0.0.1:{served}/me/app")
        yield served


def _hub(folder: Path | None, data: Path, clock: Clock, log: Logger, stored_bytes_max: int) -> Hub:
    try:
        images = folder or default_folder()
        catalogue = load(images)
        policy = load_policy(images.parent / "registry.yaml")
        data.mkdir(parents=True, exist_ok=True)
        repositories = Repositories(data)
        # A key that nobody can guess, also where time and chance are made to repeat.
        store = BlobStore(data, clock, Random(secrets.randbits(64)), stored_bytes_max)
        accounts = Accounts(policy, data, secrets.token_bytes(KEY_BYTES))
    except (CatalogueError, BadAccounts) as error:
        raise Fatal(f"cannot read the configuration of the registry: {error}") from error
    except OSError as error:
        raise Fatal(f"cannot keep what is pushed in {data}: {error.strerror}") from error
    for problem in catalogue.problems:
        log.warning("Skipped a part of the image catalogue", problem=problem)
    for path in repositories.unreadable:
        log.warning("Put aside the record of a repository that cannot be read", file=str(path))
    return Hub(catalogue, accounts, store, repositories)
