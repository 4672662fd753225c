"""A component's own certificate: from the folder that `--cert-dir` names, by the component's name.

Without the flag the component talks to servers that take anybody, and takes anybody itself, as tests have it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from services.client.credentials import Credentials
from services.process.grpc_server import ServerTls
from services.process.run import Fatal


def add_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cert-dir", default="", help="folder of the cluster's keys; without it nothing is encrypted"
    )


def credentials(flags: argparse.Namespace, name: str) -> Credentials | None:
    """Fatal where the folder has no such certificate."""
    if not flags.cert_dir:
        return None
    found = Credentials.of(Path(flags.cert_dir), name)
    if found is None:
        raise Fatal(f"--cert-dir: {flags.cert_dir} lacks ca.crt, {name}.crt or {name}.key")
    return found


def server_tls(found: Credentials | None) -> ServerTls | None:
    """The same certificate on the component's own port; clients show one of the same CA."""
    return ServerTls(found.certificate, found.key, found.authority) if found else None
