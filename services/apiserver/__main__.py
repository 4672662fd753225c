"""`python -m services.apiserver`: the API server as a process."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from services.apiserver.server import ApiServer
from services.apiserver.storage.compaction import Compactor
from services.apiserver.storage.etcd import EtcdStorage
from services.apiserver.token_issuer import ISSUER, TokenIssuer
from services.process import identity as own
from services.process.keys import KUBELET_CLIENT, SERVING
from services.process.run import Fatal, Process, run

if TYPE_CHECKING:
    from services.apiserver.audit.audit import Audit
    from services.apiserver.audit.log import AuditLog


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
    own.add_flag(parser)
    parser.add_argument("--health-socket", default="", help="where health is told without a certificate")
    parser.add_argument("--secure-port", type=int, default=-1, help="HTTPS port of the REST API; -1: none")
    parser.add_argument(
        "--advertise-address", default="", help="where others reach the HTTPS port; by default found out"
    )
    parser.add_argument("--tls-cert-file", default="", help="certificate of the HTTPS port")
    parser.add_argument("--tls-private-key-file", default="", help="its key")
    parser.add_argument("--client-ca-file", default="", help="who signs the certificates of clients")
    parser.add_argument("--audit-log-path", default="", help="where who did what is written; - is stdout")
    parser.add_argument("--audit-policy-file", default="", help="an audit.k8s.io/v1 Policy: what is written")
    parser.add_argument("--audit-level", default="", help="without a policy: one level for all requests")
    parser.add_argument("--audit-log-maxsize", type=int, default=100, help="megabytes of one file")
    parser.add_argument("--audit-log-maxbackup", type=int, default=10, help="old files to keep; 0: all")
    parser.add_argument("--audit-log-maxage", type=int, default=0, help="days to keep them; 0: no limit")
    parser.add_argument(
        "--max-requests-inflight", type=int, default=400, help="requests that run at once, over all levels"
    )
    parser.add_argument(
        "--max-mutating-requests-inflight", type=int, default=200, help="added to --max-requests-inflight"
    )


def _audit(flags: argparse.Namespace, process: Process) -> tuple[AuditLog | None, Audit | None]:
    """Nothing is written where no path is given, or nothing says what is to be written."""
    if not flags.audit_log_path or not (flags.audit_policy_file or flags.audit_level):
        return None, None
    from services.apiserver.audit import policy as policies
    from services.apiserver.audit.audit import Audit
    from services.apiserver.audit.log import AuditLog, Limits
    from services.machinery import yaml_documents

    try:
        if flags.audit_policy_file:
            document, _ = yaml_documents.read(Path(flags.audit_policy_file).read_bytes())
            policy = policies.parse(document)
        else:
            policy = policies.of_level(flags.audit_level)
    except (policies.BadPolicy, yaml_documents.Unreadable, OSError) as error:
        raise Fatal(f"--audit-policy-file, --audit-level: {error}") from error
    limits = Limits(flags.audit_log_maxsize * 1024 * 1024, flags.audit_log_maxbackup, flags.audit_log_maxage)
    log = AuditLog(flags.audit_log_path, limits, process.clock, process.log)
    return log, Audit(policy, log.write, process.clock, process.random)


@asynccontextmanager
async def _rest(flags: argparse.Namespace, server: ApiServer) -> AsyncIterator[int]:
    """The HTTPS port, where one is asked for; 0 where none is. Its library is loaded only then."""
    if flags.secure_port < 0:
        yield 0
        return
    from services.apiserver.fronts.rest.tls import server_context

    try:
        context = server_context(flags.tls_cert_file, flags.tls_private_key_file, flags.client_ca_file)
    except OSError as error:
        raise Fatal(f"--tls-cert-file, --tls-private-key-file, --client-ca-file: {error}") from error
    async with server.rest().listen(flags.bind_address, flags.secure_port, context) as port:
        yield port


async def _advertise(flags: argparse.Namespace, process: Process, server: ApiServer, port: int) -> None:
    """Says in the endpoints of the Service `kubernetes` that this server is there."""
    from services.apiserver.registry.api_endpoints import ApiEndpoints, advertised

    await server.serving.wait()
    try:
        address = await advertised(flags.advertise_address, flags.bind_address)
    except ValueError as error:
        raise Fatal(f"--advertise-address, --bind-address: {error}") from error
    storage = server.storage
    await ApiEndpoints(server.registry, storage, process.clock, process.log, address, port).run()


async def serve(flags: argparse.Namespace, process: Process) -> None:
    log = process.log
    storage = EtcdStorage(flags.etcd_servers, process.clock, log)
    issuer = TokenIssuer(flags.service_account_signing_key_file, flags.service_account_issuer)
    mine, as_client = own.credentials(flags, SERVING), own.credentials(flags, KUBELET_CLIENT)
    audit_log, audit = _audit(flags, process)
    seats = max(flags.max_requests_inflight + flags.max_mutating_requests_inflight, 1)
    server = ApiServer(storage, process.clock, process.random, log, issuer, as_client, seats, audit)
    async with (
        asyncio.TaskGroup() as group,
        server.listen(flags.bind_address, flags.port, own.server_tls(mine), flags.health_socket) as port,
        _rest(flags, server) as secure_port,
    ):
        https = {"https": secure_port} if secure_port else {}
        log.info("Listening", port=port, **https, etcd=flags.etcd_servers)
        group.create_task(storage.run())
        if audit_log is not None:
            group.create_task(audit_log.run())
        group.create_task(Compactor(storage, process.clock, log).run())
        if secure_port:
            group.create_task(_advertise(flags, process, server, secure_port))
        await server.run()


if __name__ == "__main__":
    sys.exit(run("apiserver", serve, add_flags))
