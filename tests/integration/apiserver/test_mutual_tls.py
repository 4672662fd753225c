"""The gRPC port with TLS: whom it lets in, as whom, and what it refuses them: the same users as over HTTPS.

Needs etcd and an API server of its own.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import orjson
import pytest

from services.api import kinds
from services.api.authentication_v1 import SelfSubjectReview
from services.api.core_v1 import ConfigMap, Node, Pod, Secret
from services.api.errors import ApiError
from services.api.meta_v1 import ObjectMeta
from services.api.rbac_v1 import PolicyRule, Role, RoleBinding, RoleRef, Subject
from services.client.client import Client, connect
from services.client.credentials import Credentials
from services.client.raw import RawClient
from services.client.transport import Unavailable
from services.process.clock import SystemClock
from services.process.healthcheck import check
from services.process.keys import Issuer, make_missing
from tests.support.apiserver import apiserver_process
from tests.support.etcd import Etcd

ACCOUNTS = "system:serviceaccounts"


@dataclass(frozen=True)
class Server:
    address: str
    keys: Path
    socket: Path
    audit: Path

    def credentials(self, name: str, keys: Path | None = None) -> Credentials:
        found = Credentials.of(keys or self.keys, name)
        assert found is not None
        return found

    def as_(self, name: str, *metadata: tuple[str, str], keys: Path | None = None) -> Any:
        mine = replace(self.credentials(name, keys), metadata=metadata)
        return connect(self.address, user_agent="test/1", credentials=mine)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tls")
    keys, socket = folder / "keys", folder / "h.sock"
    now = SystemClock().now()
    make_missing(keys, now, ["node-1"])
    make_missing(folder / "foreign", now)
    Issuer(keys, now - timedelta(days=4000)).issue("expired", "kubernetes-admin", "system:masters")
    Issuer(keys, now + timedelta(days=10)).issue("early", "kubernetes-admin", "system:masters")
    Issuer(keys, now).issue("jane", "jane", "devs")
    Issuer(keys, now).issue("odd", 'jane, O=system:masters\\+"', "de,vs+x=y")
    etcd = Etcd(folder / "etcd", "--unsafe-no-fsync")
    etcd.start()
    signing = ("--service-account-signing-key-file", str(keys / "sa.key"))
    flags = (
        *("--cert-dir", str(keys), "--health-socket", str(socket), *signing),
        *("--audit-log-path", str(folder / "audit.jsonl"), "--audit-level", "Metadata"),
    )
    try:
        with apiserver_process(etcd, folder / "log", flags=flags, health=f"unix:{socket}") as address:
            yield Server(address, keys, socket, folder / "audit.jsonl")
    finally:
        etcd.stop()


async def who(client: Client) -> tuple[str, list[str]]:
    user = (await client.create(SelfSubjectReview())).status.user_info
    assert user is not None
    return user.username or "", user.groups


@pytest.mark.parametrize(
    ("name", "user", "groups"),
    [
        ("admin", "kubernetes-admin", ["system:masters"]),
        ("scheduler", "system:kube-scheduler", []),
        ("nodes/node-1", "system:node:node-1", ["system:nodes"]),
        ("jane", "jane", ["devs"]),
        ("odd", 'jane, O=system:masters\\+"', ["de,vs+x=y"]),
    ],
)
async def test_a_certificate_says_who_one_is(server: Server, name: str, user: str, groups: list[str]) -> None:
    async with server.as_(name) as client:
        assert await who(client) == (user, [*groups, "system:authenticated"])


@pytest.mark.parametrize("name", ["expired", "early"])
async def test_the_time_of_a_certificate_counts(server: Server, name: str) -> None:
    async with server.as_(name) as client:
        with pytest.raises(Unavailable):
            await client.list(ConfigMap, "default")


async def test_a_foreign_authority_is_nobody_s(server: Server, tmp_path: Path) -> None:
    """Neither its clients, nor its own certificate, which nobody else has signed."""
    foreign = server.keys.parent / "foreign"
    for file in ("admin", "ca"):
        mine = replace(server.credentials(file, foreign), authority=server.keys / "ca.crt")
        async with connect(server.address, user_agent="test/1", credentials=mine) as client:
            with pytest.raises(Unavailable):
                await client.list(ConfigMap, "default")


async def test_nothing_to_show(server: Server) -> None:
    trusted = grpc.ssl_channel_credentials((server.keys / "ca.crt").read_bytes())
    for channel in (
        grpc.aio.secure_channel(server.address, trusted),
        grpc.aio.insecure_channel(server.address),
    ):
        async with channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary("/grpc.health.v1.Health/Check", None, None)(b"", timeout=60)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_another_server_is_not_believed(server: Server) -> None:
    """Who trusts another CA does not talk to this server."""
    mine = replace(server.credentials("admin"), authority=server.keys.parent / "foreign" / "ca.crt")
    async with connect(server.address, user_agent="test/1", credentials=mine) as client:
        with pytest.raises(Unavailable):
            await client.list(ConfigMap, "default")


async def test_health_has_a_socket_and_nothing_else_has(server: Server) -> None:
    assert check(f"unix:{server.socket}") == ""
    async with connect(f"unix:{server.socket}", user_agent="test/1") as client:
        with pytest.raises(ApiError) as refused:
            await client.list(ConfigMap, "default")
    assert refused.value.code == 403
    assert 'User "system:anonymous" cannot list resource "configmaps"' in refused.value.message


async def test_a_refusal_is_the_status_of_rest(server: Server) -> None:
    async with server.as_("jane") as client:
        for call, said in (
            (client.get(Pod, "p", "default"), 'pods "p" is forbidden: User "jane" cannot get'),
            (client.list(Node), 'nodes is forbidden: User "jane" cannot list'),
            (client.create(ConfigMap(metadata=ObjectMeta(name="c", namespace="default"))), "cannot create"),
            (client.delete(ConfigMap, "c", "default"), "cannot delete"),
            (client.patch(ConfigMap, "c", "default", {}), "cannot patch"),
            (client.delete_collection(ConfigMap, "default"), "cannot deletecollection"),
        ):
            with pytest.raises(ApiError) as refused:
                await call
            assert (refused.value.code, refused.value.reason) == (403, "Forbidden")
            assert said in refused.value.message
        with pytest.raises(ApiError) as refused:
            async for _ in client.watch(ConfigMap, "default"):
                pass
        assert "cannot watch" in refused.value.message


async def test_a_role_allows_from_the_next_request_on(server: Server) -> None:
    reader = Role(
        metadata=ObjectMeta(name="reader", namespace="default"),
        rules=[PolicyRule(api_groups=[""], resources=["configmaps"], verbs=["list", "create"])],
    )
    binding = RoleBinding(
        metadata=ObjectMeta(name="readers", namespace="default"),
        role_ref=RoleRef(api_group="rbac.authorization.k8s.io", kind="Role", name="reader"),
        subjects=[Subject(kind="Group", api_group="rbac.authorization.k8s.io", name="devs")],
    )
    async with server.as_("admin") as admin, server.as_("jane") as jane:
        with pytest.raises(ApiError):
            await jane.list(ConfigMap, "default")
        await admin.create(reader)
        await admin.create(binding)
        await jane.list(ConfigMap, "default")
        with pytest.raises(ApiError):
            await jane.list(ConfigMap, "kube-system")
        await admin.delete(RoleBinding, "readers", "default")
        await admin.create(ConfigMap(metadata=ObjectMeta(name="later", namespace="default")))
        with pytest.raises(ApiError, match="forbidden"):
            await jane.create(
                RoleBinding(
                    metadata=ObjectMeta(name="mine", namespace="default"),
                    role_ref=RoleRef(
                        api_group="rbac.authorization.k8s.io", kind="ClusterRole", name="cluster-admin"
                    ),
                )
            )


async def test_each_operation_of_a_batch_is_judged(server: Server) -> None:
    """Writes of one moment share a message: what one may not do does not keep him from the rest."""
    async with server.as_("scheduler") as scheduler:
        wanted = [
            scheduler.patch(Pod, "missing", "default", {}, subresource="status"),
            scheduler.patch(Pod, "missing", "default", {}),
            scheduler.delete(Secret, "s", "default"),
        ]
        answers = await asyncio.gather(*wanted, return_exceptions=True)
    codes = [answer.code for answer in answers if isinstance(answer, ApiError)]
    assert codes == [404, 403, 403]


async def test_a_node_sees_its_own(server: Server) -> None:
    async with server.as_("nodes/node-1") as node:
        with pytest.raises(ApiError, match="cannot read all nodes, only its own Node object"):
            await node.list(Node)
        with pytest.raises(ApiError, match="no relationship found between node 'node-1' and this object"):
            await node.get(Secret, "other", "default")
        with pytest.raises(ApiError, match="not found"):
            await node.get(Node, "node-1")


# -- tokens and other names ----------------------------------------------------------------------


async def token_of(admin: Client, name: str = "robot", **spec: Any) -> str:
    accounts = kinds.resource_of_kind("v1", "ServiceAccount")
    assert accounts is not None
    raw = RawClient(admin.transport)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    with suppress(ApiError):  # where it is there already
        await raw.create(accounts, account, "default")
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = await raw.create(accounts, request, "default", name=name, subresource="token")
    token: str = answer.object["status"]["token"]
    return token


async def test_a_call_may_bear_a_token(server: Server) -> None:
    async with server.as_("admin") as admin:
        token = await token_of(admin)
    async with server.as_("admin", ("authorization", f"Bearer {token}")) as robot:
        name, groups = await who(robot)
        assert name == "system:serviceaccount:default:robot"
        assert ACCOUNTS in groups
        assert "system:masters" not in groups
        with pytest.raises(ApiError, match="cannot list"):
            await robot.list(ConfigMap, "default")


def part(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


async def test_tokens_that_are_worth_nothing(server: Server) -> None:
    async with server.as_("admin") as admin:
        good = await token_of(admin)
        elsewhere = await token_of(admin, audiences=["somebody-else"])
    header, claims, signature = good.split(".")
    forged = orjson.loads(base64.urlsafe_b64decode(claims + "=="))
    forged["sub"] = "system:serviceaccount:kube-system:admin"
    bad = [
        f"{part({'alg': 'none'})}.{claims}.",
        f"{part({'alg': 'none'})}.{claims}.{signature}",
        f"{part({'alg': 'HS256'})}.{claims}.{signature}",
        f"{header}.{part(forged)}.{signature}",
        f"{header}.{claims}.{signature[:-4]}AAAA",
        elsewhere,
        "x" * 20_000,
    ]
    for token in bad:
        async with server.as_("admin", ("authorization", f"Bearer {token}")) as nobody:
            with pytest.raises(ApiError) as refused:
                await nobody.list(ConfigMap, "default")
        assert (refused.value.code, refused.value.reason, refused.value.message) == (
            *(401, "Unauthorized"),
            "Unauthorized",
        ), token[:40]
    async with server.as_("admin", ("authorization", "Bearer ")) as nobody:  # no token at all
        with pytest.raises(ApiError, match='User "system:anonymous" cannot list'):
            await nobody.list(ConfigMap, "default")


async def test_in_another_s_name(server: Server) -> None:
    jane = ("impersonate-user", "jane"), ("impersonate-group", "a"), ("impersonate-group", "b")
    async with server.as_("admin", *jane) as client:
        assert await who(client) == ("jane", ["a", "b", "system:authenticated"])
    async with server.as_("jane", ("impersonate-user", "kubernetes-admin")) as client:
        with pytest.raises(ApiError, match='cannot impersonate resource "users"'):
            await client.list(ConfigMap, "default")
    async with server.as_("admin", ("impersonate-group", "a")) as client:
        with pytest.raises(ApiError, match="without impersonating a user name"):
            await client.list(ConfigMap, "default")


async def test_who_asks_in_another_s_name_is_on_record(server: Server) -> None:
    async with server.as_("admin", ("impersonate-user", "eve")) as client, asyncio.timeout(60):
        while True:
            with pytest.raises(ApiError, match='User "eve" cannot get'):  # as often as the log takes
                await client.get(ConfigMap, "on-record", "default")
            text = server.audit.read_text() if server.audit.exists() else ""
            found = [line for line in text.splitlines(keepends=True) if "on-record" in line]
            if found and found[0].endswith("\n"):
                break
    event = orjson.loads(found[0])
    assert (event["user"]["username"], event["impersonatedUser"]["username"]) == ("kubernetes-admin", "eve")
