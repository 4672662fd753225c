"""python -m services.runtime --socket PATH: a container runtime alone, for a kubelet in another process."""

from __future__ import annotations

import argparse
import sys

from services.process.run import Process, run
from services.runtime.server import serve


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--socket", default="/tmp/orrery/runtime.sock", help="unix socket to serve the CRI on"
    )
    parser.add_argument("--registry", default="127.0.0.1:5000", help="address of the image registry")
    parser.add_argument("--root-dir", default="/tmp/orrery/runtime", help="where logs and volumes lie")


async def _serve(flags: argparse.Namespace, process: Process) -> None:
    await serve(
        flags.socket,
        clock=process.clock,
        random=process.random,
        registry_address=flags.registry,
        root_dir=flags.root_dir,
        log=process.log,
    )


if __name__ == "__main__":
    sys.exit(run("runtime", _serve, _add_flags))
