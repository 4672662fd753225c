"""A registry that is not there: the pull says so as containerd does, and works once it is back."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from random import Random
from typing import Any

import grpc.aio
import pytest

from services.pb.runtime.v1 import api_pb2 as pb
from services.pb.runtime.v1.api_pb2_grpc import ImageServiceStub
from services.process.clock import SystemClock
from services.process.logging import get_logger
from services.registry.server import registry_server
from services.runtime.server import runtime_server
from tests.support.ports import free_port


async def retried(images: Any, request: pb.PullImageRequest) -> pb.PullImageResponse:
    """The kubelet's patience, without its pauses: the time limit of the test is the only one."""
    answer: pb.PullImageResponse | None = None
    while answer is None:
        with contextlib.suppress(grpc.aio.AioRpcError):
            answer = await images.PullImage(request)
    return answer


async def test_pull_fails_then_heals(tmp_path: Path) -> None:
    port = free_port()
    clock, log = SystemClock(), get_logger("runtime")
    path = tmp_path / "cri.sock"
    request = pb.PullImageRequest(image=pb.ImageSpec(image="nginx"))
    async with (
        runtime_server(
            path,
            clock=clock,
            random=Random(1),
            registry_address=f"127.0.0.1:{port}",
            root_dir=tmp_path,
            log=log,
        ),
        grpc.aio.insecure_channel(f"unix:{path}") as channel,
        asyncio.timeout(60),
    ):
        images = ImageServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await images.PullImage(request)
        assert caught.value.details() == (
            'failed to pull and unpack image "docker.io/library/nginx:latest": failed to resolve reference '
            '"docker.io/library/nginx:latest": failed to do request: Head '
            f'"https://registry-1.docker.io/v2/library/nginx/manifests/latest": dial tcp 127.0.0.1:{port}: '
            "connect: connection refused"
        )
        async with registry_server("127.0.0.1", port, clock=clock, log=log):
            answer = await retried(images, request)
            assert answer.image_ref.startswith("sha256:")
