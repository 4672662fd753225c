"""python -m services.registry --port 5000 --http-port 5001: the emulated Docker Hub."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from services.process.run import Fatal, Process, run
from services.registry.catalogue import size_bytes
from services.registry.server import registry_server


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=5000, help="port to listen on; 0 chooses one")
    parser.add_argument("--http-port", type=int, default=-1, help="port of the OCI API; 0 chooses, -1: none")
    parser.add_argument("--bandwidth", default="250MB", help="bytes per second of each pull; 0 is endless")
    parser.add_argument("--images", type=Path, default=None, help="folder of the image catalogue")
    parser.add_argument(
        "--data-dir", type=Path, default=None, help="keeps what is pushed; else it goes at the end"
    )
    parser.add_argument("--storage", default="20GB", help="bytes that may be kept in all")


async def _serve(flags: argparse.Namespace, process: Process) -> None:
    try:
        bandwidth, storage = size_bytes(flags.bandwidth), size_bytes(flags.storage)
    except ValueError as error:
        raise Fatal(str(error)) from error
    async with registry_server(
        flags.bind_address,
        flags.port,
        clock=process.clock,
        log=process.log,
        bytes_per_second=bandwidth,
        folder=flags.images,
        data=flags.data_dir,
        http_port=flags.http_port if flags.http_port >= 0 else None,
        stored_bytes_max=storage,
    ):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    sys.exit(run("registry", _serve, _add_flags))
