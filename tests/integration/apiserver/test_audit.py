"""The audit log of a running API server: both fronts, refusals, watches, and what a policy leaves out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import orjson
import pytest

from services.api.core_v1 import ConfigMap
from services.api.errors import ApiError
from services.api.meta_v1 import ObjectMeta
from services.client.client import connect
from services.kubectl.node_stream import LogOptions, NodeStreams
from tests.support.apiserver import Https, https_apiserver

pytestmark = pytest.mark.slow  # needs etcd and an API server of its own

Json = dict[str, Any]
PATIENCE_SECONDS = 60.0
POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: [/healthz*, /metrics]
- level: RequestResponse
  resources: [{group: "", resources: [configmaps]}]
  omitManagedFields: true
- level: Metadata
"""
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Https]:
    folder = tmp_path_factory.mktemp("audit")
    (folder / "policy.yaml").write_text(POLICY)
    flags = (
        "--audit-log-path",
        str(folder / "audit.jsonl"),
        "--audit-policy-file",
        str(folder / "policy.yaml"),
    )
    with https_apiserver(folder, flags) as server:
        yield server


def events(https: Https) -> list[Json]:
    path: Path = https.log.with_name("audit.jsonl")
    whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""  # the last may still be written
    return [orjson.loads(line) for line in whole.splitlines()]


async def found(https: Https, session: aiohttp.ClientSession, **wanted: str) -> Json:
    """The event whose texts begin so, once it is written."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            for event in events(https):
                if all(str(event.get(name, "")).startswith(value) for name, value in wanted.items()):
                    return event
            async with session.get(https.base + "/healthz"):
                pass  # gives the server its turns


async def test_who_did_what(https: Https) -> None:
    async with https.client() as session:
        body = {"metadata": {"name": "a"}, "data": {"x": "y"}}
        async with session.post(https.base + CONFIG_MAPS, json=body) as answer:
            audit_id = answer.headers["Audit-Id"]
        event = await found(https, session, auditID=audit_id)
        assert (event["level"], event["verb"], event["stage"]) == (
            "RequestResponse",
            "create",
            "ResponseComplete",
        )
        assert event["user"]["username"] == "kubernetes-admin"
        assert event["requestObject"]["data"] == event["responseObject"]["data"] == {"x": "y"}
        assert "managedFields" not in event["responseObject"]["metadata"]
        assert event["responseStatus"]["code"] == 201

        headers = {"Impersonate-User": "eve"}
        async with session.get(https.base + "/api/v1/secrets", headers=headers) as answer:
            assert answer.status == 403
        event = await found(https, session, requestURI="/api/v1/secrets")
        assert event["impersonatedUser"]["username"] == "eve"
        assert event["annotations"] == {
            "authorization.k8s.io/decision": "forbid",
            "authorization.k8s.io/reason": "",
        }
        assert event["responseStatus"]["reason"] == "Forbidden"
        assert event["level"] == "Metadata"

        headers = {"Impersonate-User": "mallory"}
        async with https.client("scheduler") as other, other.get("/api/v1/events", headers=headers) as answer:
            assert answer.status == 403
        event = await found(https, session, requestURI="/api/v1/events")
        assert event["user"]["username"] == "system:kube-scheduler"  # who tried in vain is known
        assert (event["responseStatus"]["code"], "impersonatedUser" in event) == (403, False)

        headers = {"Authorization": "Bearer x.y.z"}
        async with (
            https.client("") as other,
            other.get(https.base + "/api/v1/nodes", headers=headers) as answer,
        ):
            assert answer.status == 401
        event = await found(https, session, requestURI="/api/v1/nodes")
        assert (event["user"], event["responseStatus"]["code"]) == ({}, 401)

        async with session.get(https.base + CONFIG_MAPS + "?watch=1&timeoutSeconds=1") as answer:
            await answer.read()
        uri = CONFIG_MAPS + "?watch=1&timeoutSeconds=1"
        began = await found(https, session, requestURI=uri, stage="ResponseStarted")
        ended = await found(https, session, requestURI=uri, stage="ResponseComplete")
        assert began["auditID"] == ended["auditID"]
        assert not [each for each in events(https) if each["requestURI"] == "/healthz"]
    assert https.log.with_name("audit.jsonl").stat().st_mode & 0o077 == 0


async def test_components_are_on_record_too(https: Https) -> None:
    async with (
        https.client() as session,
        connect(https.grpc, user_agent="component") as client,
    ):
        await client.create(ConfigMap(metadata=ObjectMeta(name="b", namespace="default"), data={"k": "v"}))
        event = await found(https, session, userAgent="component", verb="create")
    assert event["requestURI"] == CONFIG_MAPS
    assert event["requestObject"]["data"] == {"k": "v"}
    assert event["responseObject"]["metadata"]["name"] == "b"


async def test_what_a_component_reads_of_a_pod_is_on_record(https: Https) -> None:
    options = (("grpc.primary_user_agent", "reader"),)
    async with (
        https.client() as session,
        grpc.aio.insecure_channel(https.grpc, options=options) as channel,
    ):
        with pytest.raises(ApiError):
            await anext(NodeStreams(channel).logs("default", "none", LogOptions()))
        uri = "/api/v1/namespaces/default/pods/none/log"
        event = await found(https, session, requestURI=uri, stage="ResponseComplete")
    assert event["userAgent"].startswith("reader")
    assert event["responseStatus"]["code"] == 404
    assert event["annotations"]["authorization.k8s.io/decision"] == "allow"
