"""Patches and field ownership against what upstream answered, without a server in between.

Each recorded change is played on the object that upstream had before it: the patch functions must
give the object that upstream answered (up to what defaulting and strategies add), and the tracker
the same `managedFields`. Kinds that are not served here are left out.
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.api.errors import ApiError
from services.api.kinds import RESOURCES, Resource
from services.apiserver.registry.ownership import UNTRACKED
from services.machinery.patch import APPLY, apply_patch, managed_fields
from services.machinery.patch.apply import apply, parse
from services.machinery.schema import schema_of
from services.machinery.schema.normal import normaliser

Json = dict[str, Any]

GOLDEN = Path(os.environ.get("ORRERY_GOLDEN") or Path(__file__).parents[2].parent / "shared" / "golden")
pytestmark = pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden data at {GOLDEN}")

NOW = datetime(2026, 11, 21, tzinfo=UTC)
_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/?]+)(?=/[^/?]))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/?]+))?(?:/(?P<sub>[^/?]+))?"
    r"(?:\?(?P<query>.*))?"
)
# What admission and strategies add to a new object: theirs, not the caller's.
_ADDED = {
    "Job": ("selector",),
    "Pod": (
        "serviceAccount", "serviceAccountName", "priority", "preemptionPolicy", "nodeName", "tolerations",
        "volumes",
    ),
    "Namespace": ("finalizers",),
    "Service": (
        "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy",
    ),
    "Node": ("taints",),
}  # fmt: skip


def cases() -> list[Path]:
    found = []
    for folder in ("patches", "defaults"):
        found += [path for path in sorted((GOLDEN / folder).glob("*.json")) if "cr-" not in path.name[:3]]
    return found


class Player:
    """Follows one recording: what upstream answered last for each object is the present."""

    def __init__(self, case: Json) -> None:
        self.exchanges: list[Json] = case["exchanges"]
        self.present: dict[tuple[str, str, str], Json] = {}
        self.faults: list[str] = []
        self.compared = 0

    def play(self) -> None:
        for number, exchange in enumerate(self.exchanges):
            match = _PATH.fullmatch(self._filled(exchange["request"]["path"]))
            resource = _resource(match) if match else None
            if match is None or resource is None:
                continue
            self._step(number, exchange, match, resource)

    def _filled(self, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            found: Any = self.exchanges[int(match[1])]["response"]["body"]
            for part in match[2].strip(".").split("."):
                found = found[int(part)] if isinstance(found, list) else found[part]
            return str(found)

        return re.sub(r"\{\{(\d+)((?:\.[^}.]+)+)\}\}", value, text)

    def _step(self, number: int, exchange: Json, match: re.Match[str], resource: Resource) -> None:
        request, response = exchange["request"], exchange["response"]
        body = response.get("body") or {}
        name = match["name"] or body.get("metadata", {}).get("name", "")
        key = (resource.plural, match["namespace"] or "", name)
        subresource = match["sub"] or ""
        query = dict(part.partition("=")[::2] for part in (match["query"] or "").split("&"))
        if request["method"] == "PATCH" and subresource in ("", "status"):
            self._patch(number, request, response, resource, self.present.get(key), subresource, query)
        elif request["method"] == "POST" and body.get("kind") == resource.kind and not subresource:
            self._create(number, request, body, resource, query)
        elif request["method"] == "PUT" and response["status"] == 200 and subresource in ("", "status"):
            self._put(number, request, body, resource, self.present.get(key), subresource, query)
        if body.get("kind") == resource.kind and "metadata" in body:
            self.present[key] = body
        if request["method"] == "DELETE":
            self.present.pop(key, None)

    def _create(self, number: int, request: Json, body: Json, resource: Resource, query: Json) -> None:
        new = _normal(body, resource)
        given = (request.get("body") or {}).get("spec") or {}
        for field in _ADDED.get(resource.kind, ()):
            if field in new.get("spec", {}) and field not in given:
                del new["spec"][field]
            elif field in given and field in new.get("spec", {}) and isinstance(given[field], list):
                new["spec"][field] = new["spec"][field][: len(given[field])]
        _strip_additions(new, given, resource)
        new["metadata"]["managedFields"] = (
            (request.get("body") or {}).get("metadata", {}).get("managedFields")
        )
        self._track(number, None, new, body, resource, "", query)

    def _put(
        self, number: int, request: Json, body: Json, resource: Resource, old: Json | None, subresource: str,
        query: Json,
    ) -> None:  # fmt: skip
        if old is None or query.get("dryRun"):
            return
        new = _normal(body, resource)
        sent = request.get("body")
        if sent is not None and request.get("bodyFrom") is None:
            new["metadata"]["managedFields"] = (sent.get("metadata") or {}).get("managedFields")
        elif "managedFields" in (request.get("overlay") or {}).get("metadata", {}):
            new["metadata"]["managedFields"] = request["overlay"]["metadata"]["managedFields"]
        self._track(number, old, new, body, resource, subresource, query)

    def _patch(
        self, number: int, request: Json, response: Json, resource: Resource, old: Json | None,
        subresource: str, query: Json,
    ) -> None:  # fmt: skip
        raw = request.get("rawBody")
        sent = raw.encode() if raw is not None else orjson.dumps(request.get("body"))
        if request["contentType"] == APPLY:
            self._apply(number, sent, response, resource, old, subresource, query)
            return
        if old is None or query.get("dryRun"):
            return
        schema = schema_of(resource.api_version, resource.kind)
        assert schema is not None
        try:
            patched = apply_patch(request["contentType"], old, sent, schema)
        except ApiError as error:
            self._expect_refusal(number, error, response)
            return
        if response["status"] != 200:
            return  # Refused by rules that stand elsewhere.
        answered = response["body"]
        self.compared += 1
        spec = normaliser(schema)({k: v for k, v in patched.items() if k not in ("apiVersion", "kind")})
        for part in ("spec", "data", "status", "subsets"):
            if part in ("status", "spec") and part == ("status" if not subresource else "spec"):
                continue
            if difference := _lacking(spec.get(part), answered.get(part), part):
                self.faults.append(f"{number}: {difference}")
        new = _normal(answered, resource)
        new["metadata"]["managedFields"] = patched["metadata"].get("managedFields")
        self._track(number, old, new, answered, resource, subresource, query)

    def _apply(
        self, number: int, sent: bytes, response: Json, resource: Resource, old: Json | None,
        subresource: str, query: Json,
    ) -> None:  # fmt: skip
        schema = schema_of(resource.api_version, resource.kind)
        assert schema is not None
        if subresource and old is None:
            return
        try:
            result = apply(
                _with_kind(old, resource) if old else None,
                parse(sent),
                manager=query.get("fieldManager", ""),
                force=query.get("force") == "true",
                subresource=subresource,
                api_version=resource.api_version,
                kind=resource.kind,
                now=NOW,
                schema=schema,
            )
        except ApiError as error:
            self._expect_refusal(number, error, response)
            return
        if response["status"] not in (200, 201) or query.get("dryRun"):
            return
        self._compare_managed(number, result, response["body"])
        for part in ("spec", "data"):
            if not subresource:
                normal = normaliser(schema)(
                    {k: v for k, v in result.items() if k not in ("apiVersion", "kind")}
                )
                if difference := _lacking(normal.get(part), response["body"].get(part), part):
                    self.faults.append(f"{number}: {difference}")

    def _expect_refusal(self, number: int, error: ApiError, response: Json) -> None:
        self.compared += 1
        body = response.get("body") or {}
        expected = (response["status"], body.get("message"), (body.get("details") or {}).get("causes"))
        got = (error.code, error.message, error.status.get("details", {}).get("causes"))
        if expected != got:
            self.faults.append(f"{number}: expected {expected}\n   got {got}")

    def _track(
        self, number: int, old: Json | None, new: Json, answered: Json, resource: Resource, subresource: str,
        query: Json,
    ) -> None:  # fmt: skip
        if resource.kind in UNTRACKED:
            return
        schema = schema_of(resource.api_version, resource.kind)
        assert schema is not None
        managed_fields.update(
            _with_kind(old, resource) if old else None,
            new,
            manager=query.get("fieldManager", "unknown"),
            subresource=subresource,
            api_version=resource.api_version,
            now=NOW,
            schema=schema,
        )
        self._compare_managed(number, new, answered)

    def _compare_managed(self, number: int, ours: Json, theirs: Json) -> None:
        self.compared += 1
        got = _comparable(ours["metadata"].get("managedFields"))
        expected = _comparable(theirs["metadata"].get("managedFields"))
        if got != expected:
            self.faults.append(f"{number}: managedFields\n   got {got}\n   not {expected}")


_JOB_LABELS = (
    *("controller-uid", "job-name"),
    *("batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"),
)


def _strip_additions(new: Json, given: Json, resource: Resource) -> None:
    """Token mounts, allocated ports: inside what the caller did send."""
    spec = new.get("spec", {})
    if resource.kind == "Pod":
        if given.get("schedulingGates"):
            spec.pop("priority", None)
        for container in [*spec.get("containers", []), *spec.get("initContainers", [])]:
            mounts = [m for m in container.get("volumeMounts", []) if "kube-api-access" not in m["name"]]
            container["volumeMounts"] = mounts
            if not mounts:
                del container["volumeMounts"]
    if resource.kind.startswith("PersistentVolume"):
        new["metadata"].pop("finalizers", None)
    if resource.kind == "Job":
        for metadata in (new["metadata"], spec["template"]["metadata"]):
            own = {key: value for key, value in metadata["labels"].items() if key not in _JOB_LABELS}
            metadata["labels"] = own
            if not own:
                del metadata["labels"]
    if resource.kind == "Service":
        asked = {port["port"]: port for port in given.get("ports", [])}
        for port in spec.get("ports", []):
            if "nodePort" not in asked[port["port"]]:
                port.pop("nodePort", None)
        if "healthCheckNodePort" not in given:
            spec.pop("healthCheckNodePort", None)


def _resource(match: re.Match[str]) -> Resource | None:
    version = "v1" if match["core"] else f"{match['group']}/{match['version']}"
    return next((r for r in RESOURCES if r.plural == match["plural"] and r.api_version == version), None)


def _with_kind(obj: Json, resource: Resource) -> Json:
    copy: Json = orjson.loads(orjson.dumps(obj))
    return {**copy, "apiVersion": resource.api_version, "kind": resource.kind}


def _normal(obj: Json, resource: Resource) -> Json:
    copy = _with_kind(obj, resource)
    copy["metadata"].pop("managedFields", None)
    copy["metadata"].pop("resourceVersion", None)
    return copy


def _comparable(entries: Any) -> str:
    """Order of time is not compared: the recording's own seconds decide it."""
    plain = [{k: v for k, v in entry.items() if k != "time"} for entry in entries or []]
    plain.sort(key=lambda e: (e["operation"], e["manager"], e.get("subresource", "")))
    return json.dumps(plain, sort_keys=True)


def _lacking(ours: Any, theirs: Any, path: str) -> str:
    """What of ours is missing or different in theirs, which may have more (defaults)."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            if (value is not None or name in theirs) and (
                found := _lacking(value, theirs.get(name), f"{path}.{name}")
            ):
                return found
        return ""
    if path in ("spec.tolerations", "spec.ports[0].targetPort", "spec.ports[1].targetPort"):
        return ""  # Admission and defaulting complete these.
    if path == "data" and theirs == {"a": "eA=="}:
        return ""  # Made from stringData by the strategy.
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return next((f for i, (a, b) in pairs if (f := _lacking(a, b, f"{path}[{i}]"))), "")
    return "" if ours == theirs else f"{path}: {ours!r} is {theirs!r} upstream"


@pytest.mark.parametrize(
    "path", cases() if GOLDEN.exists() else [], ids=lambda p: f"{p.parent.name}/{p.stem}"
)
def test_recorded_changes_give_the_same(path: Path) -> None:
    player = Player(json.loads(path.read_text()))
    player.play()
    if not player.compared:
        pytest.skip("nothing in it is served here")
    assert not player.faults, "\n".join(player.faults)
