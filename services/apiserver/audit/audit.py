"""What a front says of a request to the audit log: that it came, that its answer has begun, how it ended.

    record = audit.begin(asked, …)       None: nothing of it is written down
    record.complete(code, …)

What admission wants to have on record it says by `annotate`, wherever it runs for the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

import orjson

from services.apiserver.audit.policy import API_VERSION, Decision, Policy
from services.apiserver.authentication.users import User
from services.apiserver.authorization.attributes import Attributes
from services.machinery.clock import Clock

Json = dict[str, Any]
Write = Callable[[bytes], None]

_METADATA, _REQUEST, _RESPONSE = 1, 2, 3
ANNOTATIONS_MAX = 64
USER_AGENT_LENGTH_MAX = 1024
AUDIT_ID = "Audit-Id"
_current: ContextVar[Record | None] = ContextVar("audit", default=None)


def annotate(key: str, value: str) -> None:
    """Puts that on record with the present request; the first to say something of a key is believed."""
    record = _current.get()
    if record is not None and len(record.annotations) < ANNOTATIONS_MAX:
        record.annotations.setdefault(key, value)


class Audit:
    def __init__(self, policy: Policy, write: Write, clock: Clock, chance: Random) -> None:
        self._policy, self._write, self._clock, self._random = policy, write, clock, chance

    def begin(
        self,
        asked: Attributes,
        *,
        uri: str,
        user_agent: str = "",
        source: str = "",
        impersonator: User | None = None,
        audit_id: str = "",
    ) -> Record | None:
        """Writes that the request was received; None where nothing is to be written of it."""
        who = impersonator or asked.user
        # Rules are about who really asks: nobody passes unseen in the name of one who is not watched.
        decision = self._policy.decide(replace(asked, user=who))
        if not decision.level:
            return None
        now = _micro(self._clock.now())
        event = {
            "kind": "Event",
            "apiVersion": API_VERSION,
            "level": decision.name,
            "auditID": audit_id or new_id(self._random),
            "stage": "",
            "requestURI": uri,
            "verb": asked.verb,
            "user": who.info(),
            **({"impersonatedUser": asked.user.info()} if impersonator else {}),
            **({"sourceIPs": [source]} if source else {}),
            **({"userAgent": _shortened(user_agent)} if user_agent else {}),
            **({"objectRef": _reference(asked)} if not asked.path else {}),
            "requestReceivedTimestamp": now,
        }
        record = Record(decision, event, self._write, self._clock)
        record.stage("RequestReceived")
        return record


def is_recorded() -> bool:
    """Whether anybody hears what `annotate` is told."""
    return _current.get() is not None


def _shortened(user_agent: str) -> str:
    if len(user_agent) <= USER_AGENT_LENGTH_MAX:
        return user_agent
    return f"{user_agent[:USER_AGENT_LENGTH_MAX]}...TRUNCATED"


def new_id(chance: Random) -> str:
    return str(UUID(int=chance.getrandbits(128), version=4))


class Record:
    """One request on its way."""

    def __init__(self, decision: Decision, event: Json, write: Write, clock: Clock) -> None:
        self._decision, self._event, self._write, self._clock = decision, event, write, clock
        self.annotations: dict[str, str] = {}

    @contextmanager
    def current(self) -> Iterator[Record]:
        """Inside, `annotate` means this request."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    def complete(self, code: int, request: bytes = b"", response: bytes = b"") -> None:
        """The bodies as they were sent, JSON or not."""
        status: Json = {"metadata": {}, "code": code}
        answered = _loaded(response) if code >= 400 or self._decision.level >= _RESPONSE else None
        if code >= 400 and isinstance(answered, dict) and answered.get("kind") == "Status":
            status = {name: value for name, value in answered.items() if name not in ("kind", "apiVersion")}
        more: Json = {"responseStatus": status}
        if self._decision.level >= _REQUEST and (sent := _loaded(request)) is not None:
            more["requestObject"] = self._shown(sent)
        if self._decision.level >= _RESPONSE and answered is not None:
            more["responseObject"] = self._shown(answered)
        self.stage("ResponseComplete", more)

    def stage(self, name: str, more: Json | None = None) -> None:
        if name in self._decision.omitted:
            return
        event = {**self._event, **(more or {}), "stage": name, "stageTimestamp": _micro(self._clock.now())}
        if self.annotations:
            event["annotations"] = dict(self.annotations)
        self._write(orjson.dumps(event) + b"\n")

    def _shown(self, obj: Any) -> Any:
        if self._decision.managed_fields or not isinstance(obj, dict):
            return obj
        for each in (obj, *(obj.get("items") or ())):
            if isinstance(each, dict) and isinstance(each.get("metadata"), dict):
                each["metadata"].pop("managedFields", None)
        return obj


def _loaded(body: bytes) -> Any:
    """None for what is no JSON: what cannot be shown is left out."""
    try:
        return orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return None


def _reference(asked: Attributes) -> Json:
    found = {
        "resource": asked.resource,
        "namespace": asked.namespace,
        "name": asked.name,
        "apiGroup": asked.group,
        "apiVersion": asked.version,
        "subresource": asked.subresource,
    }
    return {name: value for name, value in found.items() if value}


def _micro(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='microseconds')[:26]}Z"
