"""Manifests as people get them wrong, sent to a running cluster: one precise error each, and no trace.

All of them pass through `ok`'s code in this process, twice, so that hundreds fit into seconds; those that
could take the interpreter itself down are also given to the real command.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.api.core_v1 import ServiceAccount
from services.client.credentials import Credentials
from services.client.grpc_transport import GrpcTransport
from services.kubectl.__main__ import run
from services.kubectl.session import World
from services.process.clock import SystemClock
from tests.e2e import malformed
from tests.e2e.cluster import Cluster
from tests.e2e.malformed import CONFIG, DEPLOYMENT, POD, SECRET, SERVICE, changed

pytestmark = [pytest.mark.slow]

# Each error of kubectl's begins in one of these ways.
ERROR = re.compile(r'^(?:error: |Error from server|The \w+ ".*" is invalid|The request is invalid)', re.M)
UNRELATED = ("/registry/events/", "/registry/leases/", "/registry/masterleases/")
GROWTH_KIB_MAX = 4 * 1024
HUGE = [case for case in malformed.MANIFESTS if len(case[0]) > 1 << 20]
HUGE_ROUNDS = 6  # 36 MiB are sent; each of those requests in memory is some 10 MiB
HUGE_GROWTH_KIB_MAX = 40 * 1024  # the allocator keeps the room of two or three of them

EXTREMES = [
    (b"\xff\xfe\x00", "error: error parsing STDIN"),
    (malformed.bomb(), "excessive aliasing"),
    (malformed.nested('{"a":', "}"), "exceeded max depth"),
    (malformed.nested("[", "]"), "exceeded max depth"),
    (changed(CONFIG, "data.a", "x" * (4 << 20)), "limit is 3145728"),
    (changed(POD, "spec.contaners", []), 'unknown field "spec.contaners"'),
]


def ok(cluster: Cluster, text: bytes, *words: str) -> tuple[int, str, str]:
    """The exit code of `ok` with that on stdin, what it printed and what it complained about."""

    @asynccontextmanager
    async def connected(address: str, credentials: Credentials | None = None) -> AsyncIterator[Any]:
        async with GrpcTransport.open(
            address, user_agent="kubectl/test", credentials=credentials
        ) as transport:
            yield transport

    out, err = io.StringIO(), io.StringIO()
    environ = {"ORRERY_HOME": str(cluster.home)}
    world = World(out, err, io.BytesIO(text), environ, SystemClock(), Random(1), connected)
    return run(words, world), out.getvalue(), err.getvalue()


def complaints(cluster: Cluster, namespace: str, cases: Sequence[malformed.Case]) -> list[str]:
    """What came of each manifest that was not refused as it should be."""
    wrong = []
    for text, wanted in cases:
        code, out, err = ok(cluster, text, "create", "-f", "-", "-n", namespace)
        if (code, out) != (1, "") or wanted not in err or len(ERROR.findall(err)) != 1:
            wrong.append(f"{text[:300]!r}\n  wanted {wanted}\n  got {code} {out[:300]} {err[:1000]}")
    return wrong


def stored(cluster: Cluster) -> set[str]:
    """The keys of all objects but those that come and go by themselves."""
    return {key for key in cluster.etcd("ls").splitlines() if not key.startswith(UNRELATED)}


def memory_kib(pid: int) -> int:
    """What is its own: a share of what processes have in common grows when others of them end."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


def test_each_bad_manifest_is_refused_and_nothing_remains(cluster: Cluster, namespace: str) -> None:
    assert len(malformed.MANIFESTS) >= 40
    pid, log = cluster.pids()["apiserver"], len(cluster.log("apiserver"))
    before = stored(cluster)
    assert complaints(cluster, namespace, malformed.MANIFESTS) == []
    warm = memory_kib(pid)
    assert complaints(cluster, namespace, [case for case in malformed.MANIFESTS if case not in HUGE]) == []
    assert memory_kib(pid) - warm < GROWTH_KIB_MAX
    assert complaints(cluster, namespace, HUGE * HUGE_ROUNDS) == []
    assert memory_kib(pid) - warm < HUGE_GROWTH_KIB_MAX
    assert {key for key in stored(cluster) - before if key.endswith("/bad")} == set()
    said = cluster.log("apiserver")[log:]
    assert not re.search(r"Traceback|^\S+ apiserver +(?!INFO| )", said, re.M), said[-3000:]
    assert cluster.pids()["apiserver"] == pid
    code, out, err = ok(cluster, json.dumps(CONFIG).encode(), "create", "-f", "-", "-n", namespace)
    assert (code, out, err) == (0, "configmap/bad created\n", ""), "it still serves who means well"


@pytest.mark.parametrize(("text", "wanted"), EXTREMES, ids=range(len(EXTREMES)))
def test_the_command_itself_survives(cluster: Cluster, text: bytes, wanted: str) -> None:
    said = cluster.ok_refused("create", "-f", "-", stdin=text.decode(errors="surrogateescape"))
    assert wanted in said
    assert "Traceback" not in said
    assert len(ERROR.findall(said)) == 1
    assert not cluster.trouble("apiserver")


def test_a_list_with_one_bad_item(cluster: Cluster, namespace: str) -> None:
    """As upstream: the good items are created, the bad one is named, the exit code tells."""
    good = changed(CONFIG, "metadata.name", "good")
    text = malformed.listing(good, changed(CONFIG, "data", {"a": 1}))
    code, out, err = ok(cluster, text, "create", "-f", "-", "-n", namespace)
    assert (code, out) == (1, "configmap/good created\n")
    assert len(ERROR.findall(err)) == 1
    assert "ConfigMap.data of type string" in err


KEPT = [
    {**CONFIG, "immutable": True},
    {**DEPLOYMENT, "metadata": {"name": "bad", "labels": {"keep": "me"}}},
    {**SECRET, "type": "Opaque"},
    SERVICE,
    POD,
]
CHANGES = [
    (
        ("create", "-f", "-"),
        changed(CONFIG, "data", {}),
        '(AlreadyExists): error when creating "STDIN": config',
    ),
    (("replace", "-f", "-"), changed(CONFIG, "data.a", "c"), "data: Forbidden: field is immutable when"),
    (("replace", "-f", "-"), changed(CONFIG, "metadata.name", "absent"), "(NotFound)"),
    (("replace", "-f", "-"), changed(CONFIG, "metadata.resourceVersion", "1"), "(Conflict)"),
    (("replace", "-f", "-"), changed(CONFIG, "metadata.uid", "x"), "(Conflict)"),
    (("replace", "-f", "-"), changed(SECRET, "type", "a/b"), "type: Invalid value"),
    (
        ("replace", "-f", "-"),
        changed(POD, "spec.containers.0.name", "d"),
        "Forbidden: pod updates may not change fields other than",
    ),
    (
        ("replace", "-f", "-"),
        changed(SERVICE, "spec.clusterIP", "10.96.0.9"),
        "spec.clusterIPs: Invalid value",
    ),
    (
        ("replace", "-f", "-"),
        changed(
            json.loads(changed(DEPLOYMENT, "spec.selector.matchLabels", {"app": "x"})),
            "spec.template.metadata.labels",
            {"app": "x"},
        ),
        "spec.selector: Invalid value",
    ),
    (("apply", "-f", "-"), changed(POD, "spec.nodeName", "node-9"), "Forbidden: pod updates may not change"),
    (("apply", "-f", "-"), changed(DEPLOYMENT, "spec.replicas", -1), "spec.replicas: Invalid value: -1"),
    (("scale", "deploy/bad", "--replicas=-1"), b"", "COUNT must be greater than or equal to 0"),
    (("scale", "deploy/bad", "--replicas=x"), b"", 'parsing "x": invalid syntax'),
    (("patch", "deploy/bad", "-p", "{"), b"", "unexpected end of JSON input"),
    (
        ("patch", "deploy/bad", "-p", '{"spec":{"replicas":"x"}}'),
        b"",
        'patch: Invalid value: "map[spec:map[replicas:x]]": unrecognized type: int32',
    ),
    (
        ("patch", "deploy/bad", "-p", '{"metadata":{"name":"x"}}'),
        b"",
        "the name of the object (x) does not match",
    ),
    (
        ("patch", "deploy/bad", "--type=json", "-p", '[{"op":"remove","path":"/a"}]'),
        b"",
        "The request is invalid",
    ),
    (("patch", "deploy/bad", "--type=huge", "-p", "{}"), b"", "--type must be one of"),
    (("label", "deploy/bad", "a b=c"), b"", "a b"),
    (("label", "deploy/bad", "keep=other"), b"", "already has a value (me), and --overwrite is false"),
    (("get", "pods", "-l", "app in ("), b"", "unable to parse requirement"),
    (("get", "pods", "--field-selector", "spec.colour=red"), b"", "field label not supported"),
    (("get", "nothings"), b"", "the server doesn't have a resource type"),
    (("get", "pods", "-o", "jsonpath={.items["), b"", "error"),
    (("delete", "pods", "-l", "=="), b"", "found '==', expected: !, identifier, or 'end of string'"),
]


def test_changes_that_are_refused_change_nothing(cluster: Cluster, namespace: str) -> None:
    cluster.until(ServiceAccount, bool, namespace)
    for kept in KEPT:
        code, _, err = ok(cluster, json.dumps(kept).encode(), "create", "-f", "-", "-n", namespace)
        assert (code, err) == (0, "")
    wrong = []
    before = versions(cluster, namespace)
    for words, text, wanted in CHANGES:
        code, out, err = ok(cluster, text, *words, "-n", namespace)
        if code != 1 or out or wanted not in err or "Traceback" in err:
            wrong.append(f"ok {' '.join(words)}\n  wanted {wanted}\n  got {code} {out} {err}")
    assert wrong == []
    assert versions(cluster, namespace) == before


def versions(cluster: Cluster, namespace: str) -> dict[str, str]:
    """What was written last, of each object that no controller touches meanwhile."""
    items = cluster.get("configmaps,secrets,services", "-n", namespace)["items"]
    generations = cluster.get("deployments,pods", "-n", namespace)["items"]
    found = {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in items
    }
    found |= {
        f"{item['kind']}/{item['metadata']['name']}": str(item["metadata"].get("generation"))
        for item in generations
    }
    return found


def test_selectors_that_match_nothing(cluster: Cluster, namespace: str) -> None:
    nothing = f"No resources found in {namespace} namespace.\n"
    for words in (("get", "pods", "-l", "app=nothing"), ("get", "all", "-l", "a,!a")):
        assert ok(cluster, b"", *words, "-n", namespace) == (0, "", nothing)
    deleting = ok(cluster, b"", "delete", "pods", "-l", "app=nothing", "-n", namespace)
    assert deleting == (0, "No resources found\n", "")
    text = changed(SERVICE, "spec.selector", {"app": "nothing"})
    assert ok(cluster, text, "create", "-f", "-", "-n", namespace) == (0, "service/bad created\n", "")
