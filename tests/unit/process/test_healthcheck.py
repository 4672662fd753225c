"""The hand-written health check against the real gRPC server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from services.process import healthcheck
from services.process.grpc_server import Health, grpc_server
from services.process.run import Fatal


async def test_says_nothing_when_the_component_serves() -> None:
    async with grpc_server("127.0.0.1", 0) as port:
        assert await asyncio.to_thread(healthcheck.check, f"127.0.0.1:{port}") == ""


async def test_follows_the_state_that_the_component_sets() -> None:
    health = Health()
    async with grpc_server("127.0.0.1", 0, health_state=health) as port:
        address = f"127.0.0.1:{port}"
        assert await asyncio.to_thread(healthcheck.check, address) == f"{address} is not serving yet"
        await health.set_serving(True)
        assert await asyncio.to_thread(healthcheck.check, address) == ""


async def test_a_socket_with_too_long_a_path_is_said_to_be_that(tmp_path: Path) -> None:
    path = tmp_path / ("deep" * 30)
    with pytest.raises(Fatal, match=f"cannot listen on {path}: is its folder there, and its path short"):
        async with grpc_server("127.0.0.1", 0, health_socket=str(path)):
            pass


async def test_runs_without_site_packages_and_says_why_it_fails() -> None:
    async with grpc_server("127.0.0.1", 0) as port:
        pass
    script = Path(healthcheck.__file__)
    argv = (sys.executable, "-S", script, f"127.0.0.1:{port}")
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Connection refused" in done.stderr
