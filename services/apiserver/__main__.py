"""`python -m services.apiserver`: the API server as a process."""

from __future__ import annotations

import argparse
import asyncio
import sys

from services.apiserver.server import ApiServer
from services.apiserver.storage.compaction import Compactor
from services.apiserver.storage.etcd import EtcdStorage
from services.apiserver.token_issuer import ISSUER, TokenIssuer
from services.process.run import Process, run


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--etcd-servers", default="127.0.0.1:2379", help="etcd members, host:port, separated by commas"
    )
    parser.add_argument(
        "--service-account-signing-key-file", default="", help="signs tokens; by default a key of its own"
    )
    parser.add_argument(
        "--service-account-issuer", default=ISSUER, help="who issues tokens, and their audience"
    )
    parser.add_argument("--port", type=int, default=6444, help="gRPC port; 0 chooses one")


async def serve(flags: argparse.Namespace, process: Process) -> None:
    log = process.log
    storage = EtcdStorage(flags.etcd_servers, process.clock, log)
    issuer = TokenIssuer(flags.service_account_signing_key_file, flags.service_account_issuer)
    server = ApiServer(storage, process.clock, process.random, log, issuer)
    async with asyncio.TaskGroup() as group, server.listen(flags.bind_address, flags.port) as port:
        log.info("Listening", port=port, etcd=flags.etcd_servers)
        group.create_task(storage.run())
        group.create_task(Compactor(storage, process.clock, log).run())
        await server.run()


if __name__ == "__main__":
    sys.exit(run("apiserver", serve, add_flags))
