"""What of a request is written down, in which form, and what becomes of the file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from services.apiserver.audit import policy
from services.apiserver.audit.audit import Audit, annotate
from services.apiserver.audit.log import QUEUED_BYTES_MAX, AuditLog, Limits
from services.apiserver.audit.policy import BadPolicy
from services.apiserver.authentication.users import User
from services.apiserver.authorization.attributes import Attributes
from services.process.logging import get_logger
from tests.support.clock import ManualClock, settle

Json = dict[str, Any]
BOB = User("bob", ("devs", "system:authenticated"))


def asked(verb: str = "get", resource: str = "pods", user: User = BOB, **more: str) -> Attributes:
    if "path" in more:
        return Attributes(user, verb, **more)
    return Attributes(user, verb, **{"namespace": "default", "version": "v1", **more}, resource=resource)


def made(*rules: Json, **more: Any) -> policy.Policy:
    return policy.parse({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [*rules], **more})


@pytest.mark.parametrize(
    ("rule", "request_", "matches"),
    [
        ({}, asked(), True),
        ({"users": ["bob"]}, asked(), True),
        ({"users": ["eve"]}, asked(), False),
        ({"userGroups": ["devs", "x"]}, asked(), True),
        ({"userGroups": ["x"]}, asked(), False),
        ({"verbs": ["create"]}, asked(), False),
        ({"namespaces": ["default"]}, asked(), True),
        ({"namespaces": [""]}, asked(namespace=""), True),
        ({"namespaces": ["kube-system"]}, asked(), False),
        ({"namespaces": ["default"]}, asked(path="/version"), False),
        ({"resources": [{"group": ""}]}, asked(), True),
        ({"resources": [{"group": "apps"}]}, asked(), False),
        ({"resources": [{"group": "", "resources": ["pods"]}]}, asked(), True),
        ({"resources": [{"group": "", "resources": ["pods"]}]}, asked(subresource="log"), False),
        ({"resources": [{"group": "", "resources": ["pods/*"]}]}, asked(subresource="log"), True),
        ({"resources": [{"group": "", "resources": ["pods/*"]}]}, asked(), True),
        ({"resources": [{"group": "", "resources": ["*/log"]}]}, asked(subresource="log"), True),
        ({"resources": [{"group": "", "resources": ["*"]}]}, asked(subresource="log"), True),
        (
            {"resources": [{"group": "", "resources": ["pods"], "resourceNames": ["a"]}]},
            asked(name="a"),
            True,
        ),
        (
            {"resources": [{"group": "", "resources": ["pods"], "resourceNames": ["a"]}]},
            asked(name="b"),
            False,
        ),
        ({"nonResourceURLs": ["/healthz*"]}, asked(path="/healthz/etcd"), True),
        ({"nonResourceURLs": ["/healthz*"]}, asked(path="/version"), False),
        ({"nonResourceURLs": ["*"]}, asked(), False),
    ],
)
def test_which_requests_a_rule_is_about(rule: Json, request_: Attributes, matches: bool) -> None:
    decided = made({"level": "Request", **rule}).decide(request_)
    assert decided.name == ("Request" if matches else "None")


def test_the_first_rule_that_matches_counts() -> None:
    found = made({"level": "None", "users": ["bob"]}, {"level": "Metadata"}, omitStages=["RequestReceived"])
    assert found.decide(asked()).level == 0
    other = found.decide(asked(user=User("eve")))
    assert (other.name, [*other.omitted]) == ("Metadata", ["RequestReceived"])


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "no manifest"),
        ({"kind": "Policy", "apiVersion": "v1"}, "apiVersion must be"),
        ({"kind": "Policy", "apiVersion": "audit.k8s.io/v1", "rules": []}, "at least one"),
        (
            {"kind": "Policy", "apiVersion": "audit.k8s.io/v1", "rules": [{"level": "All"}]},
            "'All' is none of",
        ),
        (
            {
                "kind": "Policy",
                "apiVersion": "audit.k8s.io/v1",
                "rules": [{"level": "None", "nonResourceURLs": ["/a"], "namespaces": ["x"]}],
            },
            "cannot apply to both",
        ),
        (
            {"kind": "Policy", "apiVersion": "audit.k8s.io/v1", "rules": [{"level": "None", "users": "bob"}]},
            "must be a list of texts",
        ),
        (
            {
                "kind": "Policy",
                "apiVersion": "audit.k8s.io/v1",
                "omitStages": ["Never"],
                "rules": [{"level": "None"}],
            },
            "'Never' is none of",
        ),
    ],
)
def test_bad_policies_say_what_is_wrong(document: Any, words: str) -> None:
    with pytest.raises(BadPolicy, match=words):
        policy.parse(document)


class Written:
    def __init__(self, found: policy.Policy) -> None:
        self.lines: list[bytes] = []
        self.audit = Audit(found, self.lines.append, ManualClock(), Random(1))

    @property
    def events(self) -> list[Json]:
        return [orjson.loads(line) for line in self.lines]


def test_what_an_event_says() -> None:
    seen = Written(made({"level": "RequestResponse", "omitManagedFields": True}))
    wanted = asked("create", name="p", group="apps", subresource="scale")
    record = seen.audit.begin(
        wanted, uri="/x", user_agent="kubectl/1", source="127.0.0.1", impersonator=User("admin")
    )
    assert record is not None
    with record.current():
        annotate("a/b", "c")
    obj = {"kind": "Pod", "metadata": {"name": "p", "managedFields": [{}]}}
    record.complete(201, orjson.dumps(obj), orjson.dumps(obj))
    first, last = seen.events
    assert first["stage"] == "RequestReceived"
    assert (last["stage"], last["level"], last["verb"]) == ("ResponseComplete", "RequestResponse", "create")
    assert last["user"] == {"username": "admin"}
    assert last["impersonatedUser"]["username"] == "bob"
    assert last["objectRef"] == {
        "resource": "pods",
        "namespace": "default",
        "name": "p",
        "apiGroup": "apps",
        "apiVersion": "v1",
        "subresource": "scale",
    }
    assert last["requestObject"] == last["responseObject"] == {"kind": "Pod", "metadata": {"name": "p"}}
    assert last["annotations"] == {"a/b": "c"}
    assert last["responseStatus"] == {"metadata": {}, "code": 201}
    assert last["requestReceivedTimestamp"].endswith("Z")
    assert len({event["auditID"] for event in seen.events}) == 1


def test_rules_are_about_who_really_asks() -> None:
    lines: list[bytes] = []
    policy = made({"level": "None", "users": ["bob"]}, {"level": "Metadata"}, omitStages=["RequestReceived"])
    audit = Audit(policy, lines.append, ManualClock(), Random(1))
    record = audit.begin(asked(), uri="/x", impersonator=User("eve"), user_agent="x" * 5000)
    assert record is not None
    record.complete(200)
    event = orjson.loads(lines[0])
    assert (event["user"]["username"], event["impersonatedUser"]["username"]) == ("eve", "bob")
    assert event["userAgent"] == "x" * 1024 + "...TRUNCATED"
    assert audit.begin(asked(), uri="/x") is None


def test_metadata_says_nothing_of_bodies_but_why_it_was_refused() -> None:
    seen = Written(policy.of_level("Metadata"))
    record = seen.audit.begin(asked(), uri="/x")
    assert record is not None
    refusal = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403}
    record.complete(403, b'{"secret":1}', orjson.dumps(refusal))
    (event,) = seen.events
    assert event["responseStatus"] == {"status": "Failure", "reason": "Forbidden", "code": 403}
    assert "requestObject" not in event
    assert "responseObject" not in event
    assert Written(policy.of_level("None")).audit.begin(asked(), uri="/x") is None


# -- the file ------------------------------------------------------------------------------------


async def written(path: Path, limits: Limits, *batches: bytes) -> None:
    clock = ManualClock()
    log = AuditLog(str(path), limits, clock, get_logger("test"))
    for batch in batches:
        task = asyncio.ensure_future(log.run())
        await settle()
        log.write(batch)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await clock.advance(1)


def old_files(folder: Path) -> list[bytes]:
    return [each.read_bytes() for each in sorted(folder.glob("audit-*.jsonl"))]


async def test_files_are_bounded_in_size_and_number(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    await written(path, Limits(bytes_max=10, backups_max=2), *(b"%d234567\n" % number for number in range(6)))
    assert path.read_bytes() == b"5234567\n"
    assert [each[:1] for each in old_files(tmp_path)] == [b"3", b"4"]


async def test_a_disk_that_is_too_slow_stops_nobody(tmp_path: Path) -> None:
    log = AuditLog(str(tmp_path / "audit.jsonl"), Limits(), ManualClock(), get_logger("test"))
    line = b"x" * (QUEUED_BYTES_MAX // 4)
    for _ in range(6):
        log.write(line)
    assert log.dropped == 2
