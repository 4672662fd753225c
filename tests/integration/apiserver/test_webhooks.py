"""Admission webhooks, called over HTTPS: what they are asked, what their answers and their failures do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from services.api import kinds
from services.api.core_v1 import ServiceAccount
from services.api.errors import ApiError
from services.apiserver.registry.request import Answer, PatchType, Target, WriteOptions
from services.apiserver.server import ApiServer
from tests.support.apiserver import apiserver_here
from tests.support.custom import GROUP, Custom, definition, widget
from tests.support.etcd import Etcd
from tests.support.webhook import WebhookServer, allow, answer, deny, patching, webhook_server

Json = dict[str, Any]
MERGE: PatchType = "application/merge-patch+json"
PATIENCE_SECONDS = 60.0


class World:
    """One API server and one webhook; what is registered in a test goes with it."""

    def __init__(self, server: ApiServer, hook: WebhookServer) -> None:
        self.server, self.hook, self.registry = server, hook, server.registry
        self.warnings: tuple[str, ...] = ()

    async def create(self, api_version: str, kind: str, name: str, *, dry: bool = False, **body: Any) -> Json:
        resource = kinds.resource_of_kind(api_version, kind)
        assert resource is not None
        namespace = body.pop("namespace", "default") if resource.namespaced else ""
        meta = {"name": name, **({"namespace": namespace} if namespace else {}), **body.pop("metadata", {})}
        obj = {"apiVersion": api_version, "kind": kind, "metadata": meta, **body}
        options = WriteOptions(dry_run=dry)
        made = await self.registry.create(Target(resource, namespace), orjson.dumps(obj), options)
        return self._kept(made)

    async def config_map(self, name: str, *, dry: bool = False, **body: Any) -> Json:
        return await self.create("v1", "ConfigMap", name, dry=dry, **body)

    async def merge(self, name: str, change: Json) -> Json:
        resource = kinds.resource_of_kind("v1", "ConfigMap")
        assert resource is not None
        await self.registry.store(resource).cache.catch_up()  # else a second attempt asks once more
        target = Target(resource, "default", name)
        return self._kept(await self.registry.patch(target, orjson.dumps(change), MERGE, WriteOptions()))

    async def delete(self, name: str) -> None:
        resource = kinds.resource_of_kind("v1", "ConfigMap")
        assert resource is not None
        await self.registry.store(resource).cache.catch_up()
        await self.registry.delete(Target(resource, "default", name), b"")

    def _kept(self, made: Answer) -> Json:
        self.warnings = made.warnings
        found: Json = orjson.loads(made.item.value)
        return found

    async def register(self, kind: str, *paths: str, **more: Any) -> None:
        """A webhook for ConfigMaps for each path, in that order."""
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
        webhooks = [
            {
                "name": f"{path.strip('/')}.example.com",
                "clientConfig": self.hook.client(path),
                "rules": [more.get("rule", rule)],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                **{key: value for key, value in more.items() if key != "rule"},
            }
            for path in paths
        ]
        name = f"{kind.lower()}.{paths[0].strip('/')}"
        made = await self.create(
            "admissionregistration.k8s.io/v1", f"{kind}WebhookConfiguration", name, webhooks=webhooks
        )
        await self._seen(made)

    async def _seen(self, made: Json) -> None:
        """Until the cache shows it."""
        resource = kinds.resource_of_kind(made["apiVersion"], made["kind"])
        assert resource is not None
        await self.registry.store(resource).cache.catch_up()


@pytest.fixture
async def world(etcd: Etcd, tmp_path: Path) -> AsyncIterator[World]:
    async with apiserver_here(etcd) as (server, _), webhook_server(tmp_path) as hook:
        yield World(server, hook)


async def refused(doing: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await doing
    return caught.value


async def test_what_a_validating_webhook_is_asked(world: World) -> None:
    world.hook.answers["/seen"] = lambda review: answer(review, warnings=["mind the gap"])
    await world.register("Validating", "/seen")
    await world.config_map("a", data={"x": "1"})
    assert world.warnings == ("mind the gap",)
    await world.merge("a", {"data": {"x": "2"}})
    await world.delete("a")
    created, updated, deleted = (each["request"] for each in world.hook.asked)
    assert world.hook.asked[0]["apiVersion"] == "admission.k8s.io/v1"
    assert created["kind"] == created["requestKind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert created["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (created["name"], created["namespace"], created["operation"]) == ("a", "default", "CREATE")
    assert created["object"]["data"] == {"x": "1"}
    assert created["oldObject"] is None
    assert created["userInfo"]["username"] == "system:apiserver"
    assert created["dryRun"] is False
    assert created["options"]["kind"] == "CreateOptions"
    assert (updated["operation"], updated["oldObject"]["data"], updated["object"]["data"]) == (
        "UPDATE",
        {"x": "1"},
        {"x": "2"},
    )
    assert updated["oldObject"]["metadata"]["resourceVersion"]
    assert (deleted["operation"], deleted["object"], deleted["oldObject"]["data"]) == (
        "DELETE",
        None,
        {"x": "2"},
    )
    assert deleted["options"]["kind"] == "DeleteOptions"
    assert len(world.hook.connections) == 1  # kept from call to call


async def test_a_refusal_is_told_in_the_webhooks_words(world: World) -> None:
    world.hook.answers["/no"] = deny("not here", reason="Forbidden", code=403)
    await world.register("Validating", "/no")
    error = await refused(world.config_map("a"))
    assert (error.code, error.reason) == (403, "Forbidden")
    assert error.message == 'admission webhook "no.example.com" denied the request: not here'
    world.hook.answers["/no"] = lambda review: answer(review, allowed=False)
    error = await refused(world.config_map("a"))
    assert (error.code, error.message) == (
        400,
        'admission webhook "no.example.com" denied the request without explanation',
    )


async def test_what_a_mutating_webhook_makes_is_stored_and_defaulted(world: World) -> None:
    world.hook.answers["/add"] = patching({"op": "add", "path": "/data", "value": {"added": "yes"}})
    await world.register("Mutating", "/add")
    made = await world.config_map("a")
    assert made["data"] == {"added": "yes"}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["services"]}
    port = {"op": "add", "path": "/spec/ports/-", "value": {"name": "b", "port": 81}}
    world.hook.answers["/port"] = patching(port)
    await world.register("Mutating", "/port", rule=rule)
    service = await world.create("v1", "Service", "s", spec={"ports": [{"name": "a", "port": 80}]})
    assert service["spec"]["ports"][1] == {"name": "b", "port": 81, "protocol": "TCP", "targetPort": 81}


async def test_a_patch_that_breaks_the_object_is_refused_by_validation(world: World) -> None:
    world.hook.answers["/break"] = patching({"op": "add", "path": "/data", "value": {"not/a/key": "x"}})
    await world.register("Mutating", "/break")
    error = await refused(world.config_map("a"))
    assert (error.code, error.reason) == (422, "Invalid")
    assert "data[not/a/key]" in error.message


async def test_mutating_webhooks_see_each_others_work_and_may_be_asked_again(world: World) -> None:
    def label(review: Json) -> Json:
        found = review["request"]["object"].get("data") or {}
        operation = {"op": "add", "path": "/metadata/labels", "value": {"keys": str(len(found))}}
        return patching(operation)(review)  # type: ignore[return-value]

    world.hook.answers |= {
        "/label": label,
        "/data": patching({"op": "add", "path": "/data", "value": {"a": "1", "b": "2"}}),
    }
    await world.register("Mutating", "/label", "/data", reinvocationPolicy="IfNeeded")
    made = await world.config_map("a")
    assert made["metadata"]["labels"] == {"keys": "2"}
    assert len(world.hook.asked) == 4  # each of them once more, as both have changed something


async def test_which_requests_concern_a_webhook(world: World) -> None:
    world.hook.answers["/few"] = deny("no")
    await world.register(
        "Validating",
        "/few",
        objectSelector={"matchLabels": {"checked": "yes"}},
        namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "default"}},
        matchConditions=[
            {"name": "not-free", "expression": "!object.metadata.name.startsWith('free')"},
            {"name": "by-apiserver", "expression": "request.userInfo.username == 'system:apiserver'"},
        ],
        rule={"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["*"]},
    )
    labels = {"labels": {"checked": "yes"}}
    await world.config_map("plain")
    await world.config_map("free-a", metadata=labels)
    await world.config_map("elsewhere", metadata=labels, namespace="kube-system")
    assert not world.hook.asked
    assert "denied" in (await refused(world.config_map("a", metadata=labels))).message
    await world.merge("plain", {"metadata": labels})  # an update, which no rule names


async def test_a_condition_without_a_value_counts_by_the_failure_policy(world: World) -> None:
    world.hook.answers["/x"] = allow
    broken = [{"name": "broken", "expression": "object.data.missing == 'x'"}]
    await world.register("Validating", "/x", matchConditions=broken, failurePolicy="Ignore")
    await world.config_map("a", data={"k": "v"})
    await world.register("Mutating", "/x", matchConditions=broken)
    error = await refused(world.config_map("b", data={"k": "v"}))
    assert (error.code, error.message) == (
        403,
        "configmaps \"b\" is forbidden: expression 'object.data.missing == 'x'' resulted in error:"
        " no such key: missing",
    )
    assert not world.hook.asked


def wrong_uid(review: Json) -> Json:
    return {**answer(review), "response": {"uid": "another", "allowed": True}}


def wrong_version(review: Json) -> Json:
    return {**answer(review), "apiVersion": "admission.k8s.io/v9"}


def empty(review: Json) -> Json:
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}


BAD_ANSWERS = [
    (wrong_uid, "received invalid webhook response: expected response.uid="),
    (wrong_version, "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got"),
    (empty, "webhook response was absent"),
    (lambda review: [1], "received invalid webhook response: expected webhook response of"),
    (lambda review: web.Response(text="<html>"), "couldn't get version/kind; json parse error"),
    (lambda review: web.Response(status=404), "the server could not find the requested resource"),
    (lambda review: web.Response(status=500, text="boom"), 'an error on the server ("boom") has prevented'),
    (lambda review: web.Response(text="x" * (4 << 20)), "the webhook's answer is longer than"),
    (patching(), "validating webhook may not return response.patch"),
]  # fmt: skip


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
async def test_an_answer_that_is_none_counts_by_the_failure_policy(world: World, policy: str) -> None:
    await register_bad(world, policy)
    for index, (handler, why) in enumerate(BAD_ANSWERS):
        world.hook.answers["/bad"] = handler  # type: ignore[assignment]
        if policy == "Ignore":
            await world.config_map(f"a-{index}")
            continue
        error = await refused(world.config_map("a"))
        assert (error.code, error.reason) == (500, "InternalError"), why
        assert error.message.startswith(
            'Internal error occurred: failed calling webhook "bad.example.com": '
        ), why
        assert why in error.message


async def register_bad(world: World, policy: str) -> None:
    await world.register("Validating", "/bad", failurePolicy=policy)


async def test_one_that_hangs_one_that_dies_and_one_that_nobody_trusts(world: World) -> None:
    never = asyncio.Event()

    async def hang(review: Json) -> Json:
        await never.wait()
        return answer(review)

    world.hook.answers["/hangs"] = hang
    await world.register("Validating", "/hangs", timeoutSeconds=1)
    error = await refused(world.config_map("a"))
    assert error.message.endswith(f'Post "{world.hook.url("/hangs")}?timeout=1s": context deadline exceeded')
    never.set()
    world.hook.answers["/hangs"] = allow
    await in_time(world, "a")
    await world.register("Mutating", "/gone", clientConfig={"url": "https://127.0.0.1:1/gone"})
    error = await refused(world.config_map("b"))
    assert error.message.endswith("dial tcp 127.0.0.1:1: connect: connection refused")


async def in_time(world: World, name: str) -> None:
    """On a busy machine an answer may take longer than the second that its webhook has."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(ApiError):
                await world.config_map(name)
                return


async def test_whom_nobody_trusts_is_not_asked(world: World) -> None:
    await world.register("Validating", "/x", clientConfig={"url": world.hook.url("/x")})
    error = await refused(world.config_map("a"))
    assert "tls: failed to verify certificate: x509: certificate signed by unknown authority" in error.message
    assert not world.hook.asked


async def test_a_bad_patch_is_the_webhooks_fault(world: World) -> None:
    world.hook.answers["/p"] = patching({"op": "remove", "path": "/nothing"})
    await world.register("Mutating", "/p")
    error = await refused(world.config_map("a"))
    assert (error.code, error.reason) == (500, "InternalError")


async def test_a_dry_run_stores_nothing_and_says_so(world: World) -> None:
    world.hook.answers["/dry"] = allow
    await world.register("Validating", "/dry")
    await world.config_map("a", dry=True)
    (review,) = world.hook.asked
    assert review["request"]["dryRun"] is True
    assert review["request"]["options"]["dryRun"] == ["All"]
    await world.config_map("a")


async def test_whatever_is_registered_can_be_repaired(world: World) -> None:
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}
    await world.register("Validating", "/x", rule=everything, clientConfig={"url": "https://127.0.0.1:1/x"})
    assert (await refused(world.config_map("a"))).code == 500
    resource = kinds.resource_of_kind("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")
    assert resource is not None
    await world.registry.delete(Target(resource, "", "validating.x"), b"")
    await world.registry.store(resource).cache.catch_up()
    await world.config_map("a")
    extension = world.registry.store(resource).extension
    assert extension is not None
    assert not extension.active  # nothing is asked any more


async def test_a_webhook_may_refuse_that_somebody_connects(world: World) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT"], "resources": ["pods/exec"]}
    world.hook.answers["/exec"] = deny("no shells")
    await world.register("Validating", "/exec", rule=rule)
    pods = kinds.resource_of_kind("v1", "Pod")
    assert pods is not None
    options = {"kind": "PodExecOptions", "apiVersion": "v1", "command": ["sh"]}
    error = await refused(world.registry.connect(Target(pods, "default", "p", "exec"), options))
    assert error.message.endswith("denied the request: no shells")
    await world.registry.connect(Target(pods, "default", "p", "attach"), options)
    (review,) = world.hook.asked
    request = review["request"]
    assert (request["operation"], request["subResource"], request["name"]) == ("CONNECT", "exec", "p")
    assert request["kind"]["kind"] == "PodExecOptions"
    assert request["object"]["command"] == ["sh"]


async def test_a_deletion_is_asked_about_and_nothing_can_be_changed_in_it(world: World) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["configmaps"]}
    world.hook.answers["/gone"] = deny("it stays")
    await world.register("Mutating", "/gone", rule=rule)
    await world.config_map("a")
    assert (await refused(world.delete("a"))).message.endswith("denied the request: it stays")
    world.hook.answers["/gone"] = patching({"op": "add", "path": "/data", "value": {}})
    assert (await refused(world.delete("a"))).code == 500
    world.hook.answers["/gone"] = allow
    await world.delete("a")


async def test_an_injected_container_is_completed_as_if_it_had_been_there(world: World) -> None:
    await world.create("v1", "ServiceAccount", "default")
    sidecar = {"op": "add", "path": "/spec/containers/-", "value": {"name": "sidecar", "image": "proxy"}}
    world.hook.answers["/inject"] = patching(sidecar)
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    await world.register("Mutating", "/inject", rule=rule)
    await world.registry.store(kinds.resource_of(ServiceAccount)).cache.catch_up()
    pod = await world.create("v1", "Pod", "p", spec={"containers": [{"name": "c", "image": "i"}]})
    own, injected = pod["spec"]["containers"]
    assert injected["imagePullPolicy"] == "Always"
    assert injected["volumeMounts"] == own["volumeMounts"]  # the token, from built-in admission's second time
    assert len(pod["spec"]["volumes"]) == 1


async def test_a_scale_is_seen_as_a_scale(world: World) -> None:
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": pod, "replicas": 1}
    await world.create("apps/v1", "Deployment", "d", spec=spec)
    world.hook.answers["/scale"] = patching({"op": "replace", "path": "/spec/replicas", "value": 2})
    parts = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["*/scale"]}
    await world.register("Mutating", "/scale", rule=parts)
    resource = kinds.resource_of_kind("apps/v1", "Deployment")
    assert resource is not None
    target = Target(resource, "default", "d", "scale")
    patch = orjson.dumps({"spec": {"replicas": 9}})
    made = orjson.loads((await world.registry.patch(target, patch, MERGE, WriteOptions())).item.value)
    assert made["spec"]["replicas"] == 2
    request = world.hook.asked[0]["request"]
    assert request["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert (request["oldObject"]["spec"], request["object"]["spec"]) == ({"replicas": 1}, {"replicas": 9})


async def test_a_rule_for_another_version_shows_the_object_in_that(world: World) -> None:
    rule = {
        "apiGroups": ["autoscaling"],
        "apiVersions": ["v1"],
        "operations": ["*"],
        "resources": ["horizontalpodautoscalers"],
    }
    target = "/spec/targetCPUUtilizationPercentage"
    world.hook.answers["/v1"] = patching({"op": "replace", "path": target, "value": 70})
    await world.register("Mutating", "/v1", rule=rule)
    wanted = {"type": "Utilization", "averageUtilization": 50}
    usage = {"type": "Resource", "resource": {"name": "cpu", "target": wanted}}
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    spec = {"scaleTargetRef": reference, "maxReplicas": 3, "metrics": [usage]}
    made = await world.create("autoscaling/v2", "HorizontalPodAutoscaler", "h", spec=spec)
    assert made["apiVersion"] == "autoscaling/v2"
    assert made["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
    request = world.hook.asked[0]["request"]
    assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v1", "v2")
    assert request["object"]["spec"]["targetCPUUtilizationPercentage"] == 50


async def test_custom_resources_are_admitted_alike(world: World) -> None:
    custom = Custom(world.registry)
    await custom.define(definition())
    rule = {"apiGroups": [GROUP], "apiVersions": ["*"], "operations": ["*"], "resources": ["widgets"]}
    world.hook.answers["/w"] = patching({"op": "add", "path": "/spec/color", "value": "blue"})
    await world.register("Mutating", "/w", rule=rule)
    assert (await custom.create(widget("a")))["spec"] == {"color": "blue", "size": 1}
    world.hook.answers["/w"] = patching({"op": "add", "path": "/spec/size", "value": "big"})
    error = await refused(custom.create(widget("b")))
    assert error.code == 422
