"""python -m services.registry --port 5000: the emulated Docker Hub."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from services.process.run import Process, run
from services.registry.catalogue import size_bytes
from services.registry.server import registry_server


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=5000, help="port to listen on; 0 chooses one")
    parser.add_argument("--bandwidth", default="250MB", help="bytes per second of each pull; 0 is endless")
    parser.add_argument("--images", type=Path, default=None, help="folder of the image catalogue")


async def _serve(flags: argparse.Namespace, process: Process) -> None:
    async with registry_server(
        flags.bind_address,
        flags.port,
        clock=process.clock,
        log=process.log,
        bytes_per_second=size_bytes(flags.bandwidth),
        folder=flags.images,
    ):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    sys.exit(run("registry", _serve, _add_flags))
