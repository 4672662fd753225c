"""Admission policies in CEL: what they see, what they say, and what bindings make of that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from services.api import kinds
from services.api.errors import ApiError
from services.apiserver.authentication.acting import acting_as
from services.apiserver.authentication.users import AUTHENTICATED, User
from services.apiserver.registry.request import Answer, ListOptions, PatchType, Target, WriteOptions
from services.apiserver.server import ApiServer
from services.apiserver.storage.entries import Selection
from tests.support.apiserver import apiserver_here
from tests.support.etcd import Etcd
from tests.support.strands import in_turns

Json = dict[str, Any]
V1 = "admissionregistration.k8s.io/v1"
CONFIG_MAPS = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["configmaps"],
}


class World:
    def __init__(self, server: ApiServer) -> None:
        self.registry = server.registry
        self.warnings: tuple[str, ...] = ()

    async def create(self, api_version: str, kind: str, name: str, **body: Any) -> Json:
        resource = kinds.resource_of_kind(api_version, kind)
        assert resource is not None
        namespace = body.pop("namespace", "default") if resource.namespaced else ""
        meta = {"name": name, **({"namespace": namespace} if namespace else {}), **body.pop("metadata", {})}
        obj = {"apiVersion": api_version, "kind": kind, "metadata": meta, **body}
        made = await self.registry.create(Target(resource, namespace), orjson.dumps(obj), WriteOptions())
        if resource.group.startswith("admission"):
            await self.registry.store(resource).cache.catch_up()
        return self._kept(made)

    async def config_map(self, name: str = "a", data: Json | None = None, **body: Any) -> Json:
        found = await self.create("v1", "ConfigMap", name, data=data or {}, **body)
        resource = kinds.resource_of_kind("v1", "ConfigMap")
        assert resource is not None
        await self.registry.store(resource).cache.catch_up()
        return found

    async def policy(self, *, binding: Json | None = None, kind: str = "Validating", **spec: Any) -> None:
        name = f"p-{len(self.registry.store(_resource(f'{kind}AdmissionPolicy')).cache.entries)}"
        spec.setdefault("matchConstraints", {"resourceRules": [CONFIG_MAPS]})
        await self.create(V1, f"{kind}AdmissionPolicy", name, spec=spec)
        actions = {"validationActions": ["Deny"]} if kind == "Validating" else {}
        bound = {"policyName": name, **actions, **(binding or {})}
        await self.create(V1, f"{kind}AdmissionPolicyBinding", f"b-{name}", spec=bound)

    async def refused(self, *args: Any, **body: Any) -> ApiError:
        with pytest.raises(ApiError) as caught:
            await self.config_map(*args, **body)
        return caught.value

    def _kept(self, made: Answer) -> Json:
        self.warnings = made.warnings
        found: Json = orjson.loads(made.item.value)
        return found


def _resource(kind: str, api_version: str = V1) -> kinds.Resource:
    found = kinds.resource_of_kind(api_version, kind)
    assert found is not None
    return found


@pytest.fixture
async def world(etcd: Etcd) -> AsyncIterator[World]:
    async with apiserver_here(etcd) as (server, _):
        yield World(server)


def says(expression: str, **more: Any) -> list[Json]:
    return [{"expression": expression, **more}]


DENIED = "ValidatingAdmissionPolicy 'p-0' with binding 'b-p-0' denied request"


async def test_a_policy_sees_the_request_and_its_namespace(world: World) -> None:
    await world.policy(
        variables=[
            {"name": "keys", "expression": "object.?data.orValue({}).map(k, k)"},
            {"name": "few", "expression": "variables.keys.size() < 2"},
        ],
        validations=[
            {"expression": "variables.few", "messageExpression": "'keys: ' + variables.keys.join(',')"},
            {"expression": "namespaceObject.metadata.name == request.namespace"},
            {"expression": "request.userInfo.username == 'system:apiserver'"},
            {"expression": "request.operation == 'CREATE'"},
            {"expression": "oldObject == null", "reason": "Forbidden"},
        ],
    )
    await world.config_map("a", {"x": "1"})
    error = await world.refused("b", {"x": "1", "y": "2"})
    assert (error.code, error.reason) == (422, "Invalid")
    assert error.message == f'configmaps "b" is forbidden: {DENIED}: keys: x,y'
    target = Target(_resource("ConfigMap", "v1"), "default", "a")
    patch = orjson.dumps({"data": {"x": "2"}})
    with pytest.raises(ApiError) as caught:
        await world.registry.patch(target, patch, "application/merge-patch+json", WriteOptions())
    assert caught.value.message.endswith("failed expression: request.operation == 'CREATE'")


async def test_what_has_no_value_counts_by_the_failure_policy(world: World) -> None:
    await world.policy(failurePolicy="Ignore", validations=says("object.nothing == 'x'"))
    await world.config_map("a")
    await world.policy(validations=says("object.nothing == 'x'"))
    error = await world.refused("b")
    assert "expression 'object.nothing == 'x'' resulted in error: no such key: nothing" in error.message


async def test_an_expression_that_costs_too_much_is_a_failure(world: World) -> None:
    loops = "object.data.all(a, object.data.all(b, object.data.all(c, a != b + c)))"
    await world.policy(validations=says(loops))
    await world.config_map("few", {"a": "1"})
    error = await world.refused("many", {f"k{index}": "" for index in range(300)})
    assert "operation cancelled: actual cost limit exceeded" in error.message


async def test_bindings_narrow_and_only_warn(world: World) -> None:
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    await world.policy(
        validations=says("false", message="never here"),
        binding={"validationActions": ["Warn"], "matchResources": where},
    )
    await world.config_map("a")
    assert not world.warnings
    await world.config_map("a", namespace="kube-system")
    told = "Validation failed for ValidatingAdmissionPolicy 'p-0' with binding 'b-p-0': never here"
    assert world.warnings == (told,)
    await world.policy(validations=says("false"))
    assert (await world.refused("b", namespace="kube-system")).warnings == [told]


async def test_match_conditions_and_excluded_rules(world: World) -> None:
    excluded = {**CONFIG_MAPS, "resourceNames": ["free"]}
    await world.policy(
        matchConstraints={"resourceRules": [CONFIG_MAPS], "excludeResourceRules": [excluded]},
        matchConditions=[{"name": "big", "expression": "size(object.?data.orValue({})) > 1"}],
        validations=says("false"),
    )
    await world.config_map("free", {"a": "", "b": ""})
    await world.config_map("small", {"a": ""})
    assert "failed expression: false" in (await world.refused("big", {"a": "", "b": ""})).message


async def test_params_by_name_and_by_selector(world: World) -> None:
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    labels = {"labels": {"limit": "yes"}}
    await world.create(
        "v1", "ConfigMap", "limits", namespace="kube-system", data={"max": "2"}, metadata=labels
    )
    by_name = {"name": "limits", "namespace": "kube-system", "parameterNotFoundAction": "Deny"}
    told = "'at most ' + params.data.max"
    few = says("size(object.?data.orValue({})) <= int(params.data.max)", messageExpression=told)
    await world.policy(paramKind=kind, validations=few, binding={"paramRef": by_name})
    await world.registry.store(_resource("ConfigMap", "v1")).cache.catch_up()
    await world.config_map("a", {"x": ""})
    assert (await world.refused("b", {"x": "", "y": "", "z": ""})).message.endswith(": at most 2")
    by_label = {"selector": {"matchLabels": {"limit": "yes"}}, "parameterNotFoundAction": "Deny"}
    await world.policy(
        paramKind=kind, validations=says("params.data.max == '2'"), binding={"paramRef": by_label}
    )
    why = (
        "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    )
    assert (await world.refused("c")).message.endswith(why)  # those of the request's own namespace are meant


async def test_a_policy_asks_the_authorizer(world: World) -> None:
    mine = "authorizer.group('').resource('secrets').namespace(request.namespace).check('get').allowed()"
    await world.policy(validations=says(mine, message="secrets are not yours"))
    await world.config_map("a")
    with acting_as(User("jane", (AUTHENTICATED,))):
        assert (await world.refused("b")).message.endswith("secrets are not yours")


async def test_nothing_is_done_without_a_binding_or_after_it_is_gone(world: World) -> None:
    await world.create(
        V1,
        "ValidatingAdmissionPolicy",
        "alone",
        spec={"matchConstraints": {"resourceRules": [CONFIG_MAPS]}, "validations": says("false")},
    )
    await world.config_map("a")
    await world.create(
        V1,
        "ValidatingAdmissionPolicyBinding",
        "b",
        spec={"policyName": "alone", "validationActions": ["Deny"]},
    )
    await world.refused("b")
    await world.registry.delete(Target(_resource("ValidatingAdmissionPolicyBinding"), "", "b"), b"")
    await world.registry.store(_resource("ValidatingAdmissionPolicyBinding")).cache.catch_up()
    await world.config_map("b")


async def test_mutating_policies_patch_and_apply(world: World) -> None:
    patch = "[JSONPatch{op: 'add', path: '/data', value: {'by': 'patch', 'key': jsonpatch.escapeKey('a/b')}}]"
    apply = "Object{metadata: Object.metadata{labels: {'seen': string(size(object.data))}}}"
    await world.policy(
        kind="Mutating",
        reinvocationPolicy="Never",
        mutations=[
            {"patchType": "JSONPatch", "jsonPatch": {"expression": patch}},
            {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": apply}},
        ],
    )
    made = await world.config_map("a", metadata={"labels": {"mine": "1"}})
    assert made["data"] == {"by": "patch", "key": "a~1b"}
    assert made["metadata"]["labels"] == {"mine": "1", "seen": "2"}
    assert [each["manager"] for each in made["metadata"]["managedFields"]] == ["unknown"]


async def test_a_mutating_policy_that_fails_refuses(world: World) -> None:
    patch = {"expression": "[JSONPatch{op: 'remove', path: '/nothing'}]"}
    mutation = {"patchType": "JSONPatch", "jsonPatch": patch}
    await world.policy(kind="Mutating", reinvocationPolicy="Never", mutations=[mutation])
    error = await world.refused("a")
    assert "MutatingAdmissionPolicy 'p-0' with binding 'b-p-0' denied request: " in error.message


async def test_a_patch_whose_test_fails_changes_nothing(world: World) -> None:
    patch = "[JSONPatch{op: 'test', path: '/data/a', value: 'b'}, JSONPatch{op: 'remove', path: '/data/a'}]"
    mutation = {"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}
    await world.policy(kind="Mutating", reinvocationPolicy="Never", mutations=[mutation])
    assert (await world.config_map("a", {"a": "c"}))["data"] == {"a": "c"}
    assert not (await world.config_map("b", {"a": "b"})).get("data")


async def test_a_namespace_is_in_none(world: World) -> None:
    rule = {**CONFIG_MAPS, "resources": ["namespaces"]}
    await world.policy(
        validations=says("namespaceObject == null"), matchConstraints={"resourceRules": [rule]}
    )
    await world.create("v1", "Namespace", "n")
    namespaces = _resource("Namespace", "v1")
    await world.registry.store(namespaces).cache.catch_up()
    change: PatchType = "application/merge-patch+json"
    body = orjson.dumps({"metadata": {"labels": {"a": "b"}}})
    await world.registry.patch(Target(namespaces, "", "n"), body, change, WriteOptions())


async def test_policies_are_checked_when_they_are_stored(world: World) -> None:
    bad = [
        ({"expression": "object.x"}, 'expression: Invalid value: "object.x": must evaluate to bool'),
        ({"expression": "x"}, "compilation failed: ERROR: <input>:1:1: undeclared reference to 'x'"),
        ({"expression": "true", "messageExpression": "1"}, "must evaluate to string"),
        ({"expression": "request.nothing == ''"}, "undefined field 'nothing'"),
        ({"expression": "params.x == ''"}, "undeclared reference to 'params'"),
        ({"expression": "true", "reason": "Odd"}, 'Unsupported value: "Odd"'),
    ]  # fmt: skip
    for validation, why in bad:
        with pytest.raises(ApiError) as caught:
            await world.policy(validations=[validation])
        assert why in caught.value.message
        assert caught.value.code == 422


async def test_the_status_tells_of_expressions_that_cannot_fit(world: World) -> None:
    resource = _resource("ValidatingAdmissionPolicy")
    cache = world.registry.store(resource).cache

    async def status() -> Json:
        """Once the policy's present generation was looked at."""
        watcher = cache.watch(Selection(), None)
        try:
            while True:
                for delivery in await watcher.next():
                    found = orjson.loads(delivery.entry.value) if delivery.entry else {"status": {}}
                    seen = (found.get("status") or {}).get("observedGeneration", 0)
                    if seen and seen == found["metadata"]["generation"]:
                        return dict(found["status"])
        finally:
            cache.watchers.leave(watcher)

    await world.policy(validations=says("object.dada['x'] == 'a'"))
    async with asyncio.timeout(60):
        found = await status()
    assert found["observedGeneration"] == 1
    (warning,) = found["typeChecking"]["expressionWarnings"]
    assert warning["fieldRef"] == "spec.validations[0].expression"
    assert warning["warning"].startswith("/v1, Kind=ConfigMap: ERROR: <input>:1:7: undefined field 'dada'")
    change = orjson.dumps({"spec": {"validations": says("object.data['x'] == 'a'")}})
    merge: PatchType = "application/merge-patch+json"
    await world.registry.patch(Target(resource, "", "p-0"), change, merge, WriteOptions())
    await cache.catch_up()
    async with asyncio.timeout(60):
        found = await status()
    assert found["observedGeneration"] == 2
    assert not found.get("typeChecking")


@pytest.mark.parametrize("kind", ["Validating", "Mutating"])
async def test_others_are_answered_while_a_policy_is_judged(world: World, kind: str) -> None:
    endless = "object.data.all(x, object.data.all(y, object.data.all(z, x + y + z != '')))"
    spec: Json = {"validations": says("object.metadata.name == 'a'"), "variables": []}
    if kind == "Mutating":
        made = "[JSONPatch{op: 'add', path: '/data/y', value: 'z'}]"
        patch = {"patchType": "JSONPatch", "jsonPatch": {"expression": made}}
        spec = {"mutations": [patch], "reinvocationPolicy": "Never", "variables": []}
    conditions = [{"name": "long", "expression": endless}]
    await world.policy(kind=kind, **spec, matchConditions=conditions, failurePolicy="Fail")
    data = {f"key-{number}": "x" for number in range(200)}
    judged = asyncio.ensure_future(world.config_map("a", data))
    await in_turns(judged)
    answered = asyncio.ensure_future(
        world.registry.list(
            Target(_resource("ConfigMap", "v1"), "default"), ListOptions(resource_version="0")
        )
    )
    await asyncio.wait([answered, judged], return_when=asyncio.FIRST_COMPLETED)
    assert answered.done()
    assert not judged.done()
    with pytest.raises(ApiError, match="actual cost limit exceeded"):
        await judged
