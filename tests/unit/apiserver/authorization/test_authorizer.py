"""Who may what: roles, bindings, nodes; decided from caches that follow a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import orjson
import pytest

from services.api import errors
from services.api.errors import ApiError
from services.api.kinds import resource_of_kind
from services.apiserver.authentication.users import User
from services.apiserver.authorization import bootstrap, default_roles, escalation
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.authorization.authorizer import Authorizer
from services.apiserver.registry.caches import Caches
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.storage.memory import MemoryStorage
from services.process.clock import SystemClock
from services.process.logging import get_logger

Json = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"
JANE = User("jane", ("devs", "system:authenticated"))
NODE = User("system:node:n1", ("system:nodes", "system:authenticated"))


class World:
    def __init__(self) -> None:
        clock, log = SystemClock(), get_logger("test")
        storage = MemoryStorage()
        self.caches = Caches(storage, clock, log)
        self.registry = Registry(storage, self.caches, clock, Random(1), log)
        self.authorizer = Authorizer(lambda resource: self.registry.store(resource).cache)

    async def put(
        self, kind: str, name: str, namespace: str = "", api: str = f"{RBAC}/v1", **body: Any
    ) -> None:
        resource = resource_of_kind(api, kind)
        assert resource is not None
        meta = {"name": name, **({"namespace": namespace} if namespace else {})}
        obj = {"apiVersion": api, "kind": kind, "metadata": meta, **body}
        await self.registry.create(Target(resource, namespace), orjson.dumps(obj), WriteOptions())
        await self.registry.store(resource).cache.catch_up()

    async def drop(self, kind: str, name: str, namespace: str = "") -> None:
        resource = resource_of_kind(f"{RBAC}/v1", kind)
        assert resource is not None
        await self.registry.delete(Target(resource, namespace, name), b"")
        await self.registry.store(resource).cache.catch_up()

    def may(self, user: User, verb: str, resource: str, namespace: str = "", name: str = "") -> bool:
        part, _, subresource = resource.partition("/")
        return self.authorizer.decide(
            Attributes(user, verb, namespace, "", "v1", part, subresource, name)
        ).allowed


@asynccontextmanager
async def running() -> AsyncIterator[World]:
    world = World()
    task = asyncio.ensure_future(world.caches.run())
    try:
        await world.caches.ready()
        await world.put("Namespace", "default", api="v1")
        yield world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def rule(*resources: str, verbs: str = "get") -> Json:
    return {"apiGroups": [""], "resources": list(resources), "verbs": verbs.split()}


def bound(kind: str, role: str, *subjects: Json) -> Json:
    return {"roleRef": {"apiGroup": RBAC, "kind": kind, "name": role}, "subjects": list(subjects)}


async def test_roles_hold_where_they_are_bound_and_no_longer() -> None:
    async with running() as world:
        assert not world.may(JANE, "get", "pods", "default")
        await world.put("Role", "reader", "default", rules=[rule("pods")])
        await world.put(
            "RoleBinding", "b", "default", **bound("Role", "reader", {"kind": "Group", "name": "devs"})
        )
        assert world.may(JANE, "get", "pods", "default", "a")
        assert not world.may(JANE, "get", "pods", "other")
        assert not world.may(JANE, "get", "pods")
        assert not world.may(JANE, "get", "pods/log", "default")
        await world.put("ClusterRole", "logs", rules=[rule("pods/log")])
        await world.put(
            "ClusterRoleBinding", "c", **bound("ClusterRole", "logs", {"kind": "User", "name": "jane"})
        )
        assert world.may(JANE, "get", "pods/log", "other")
        await world.drop("RoleBinding", "b", "default")
        assert not world.may(JANE, "get", "pods", "default", "a")
        decision = world.authorizer.decide(Attributes(JANE, "get", "x", "", "v1", "pods", "log"))
        assert decision.reason == (
            'RBAC: allowed by ClusterRoleBinding "c" of ClusterRole "logs" to User "jane"'
        )


async def test_a_binding_without_its_role_says_so() -> None:
    async with running() as world:
        subject = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}
        await world.put("ClusterRoleBinding", "c", **bound("ClusterRole", "gone", subject))
        user = User("system:serviceaccount:default:robot")
        decision = world.authorizer.decide(Attributes(user, "get", path="/x"))
        assert decision == (False, f'RBAC: clusterrole.{RBAC} "gone" not found')


async def test_nobody_grants_what_he_does_not_have() -> None:
    async with running() as world:
        resource = resource_of_kind(f"{RBAC}/v1", "Role")
        assert resource is not None
        assert escalation.guard(world.authorizer, User("root", ("system:masters",)), resource) is None
        check = escalation.guard(world.authorizer, JANE, resource)
        assert check is not None
        role: dict[str, Any] = {"metadata": {"name": "r", "namespace": "default"}, "rules": [rule("secrets")]}
        with pytest.raises(ApiError, match="attempting to grant RBAC permissions not currently held"):
            check(role, None)
        check({**role, "metadata": {**role["metadata"], "finalizers": ["x/y"]}}, role)
        labelled = {**role, "metadata": {**role["metadata"], "labels": {"aggregate": "me"}}}
        with pytest.raises(ApiError, match="attempting to grant"):  # by its labels it may become another's
            check(labelled, role)
        aggregating = {**role, "rules": [], "aggregationRule": {"clusterRoleSelectors": [{}]}}
        for new, old in ((aggregating, None), ({**role, "rules": []}, aggregating)):
            with pytest.raises(ApiError, match="must have cluster-admin privileges"):
                check(new, old)
        await world.put("ClusterRole", "s", rules=[rule("secrets")])
        await world.put(
            "ClusterRoleBinding", "s", **bound("ClusterRole", "s", {"kind": "User", "name": "jane"})
        )
        check(role, None)
        bindings = resource_of_kind(f"{RBAC}/v1", "RoleBinding")
        assert bindings is not None
        bind = escalation.guard(world.authorizer, JANE, bindings)
        assert bind is not None
        binding = {"metadata": {"name": "b", "namespace": "default"}, **bound("ClusterRole", "s")}
        bind(binding, None)
        with pytest.raises(ApiError, match="not found"):
            bind({**binding, **bound("ClusterRole", "nowhere")}, None)


async def test_a_node_reaches_what_is_its_own() -> None:
    async with running() as world:
        await world.put("ServiceAccount", "default", "default", api="v1")
        volume = {"name": "v", "secret": {"secretName": "s"}}
        container = {"name": "c", "image": "i", "envFrom": [{"configMapRef": {"name": "settings"}}]}
        spec = {"containers": [container], "volumes": [volume], "nodeName": "n1"}
        await world.put("Pod", "p", "default", api="v1", spec=spec)
        assert world.may(NODE, "get", "secrets", "default", "s")
        assert world.may(NODE, "get", "configmaps", "default", "settings")
        assert not world.may(NODE, "get", "secrets", "default", "other")
        assert not world.may(NODE, "list", "secrets", "default")
        assert not world.may(User("system:node:n2", NODE.groups), "get", "secrets", "default", "s")
        assert world.may(NODE, "get", "pods", "default", "p")
        assert world.may(NODE, "create", "serviceaccounts/token", "default", "default")
        assert world.may(NODE, "get", "nodes", "", "n1")
        refused = world.authorizer.decide(Attributes(NODE, "list", "", "", "v1", "nodes"))
        assert refused == (False, "node 'n1' cannot read all nodes, only its own Node object")
        source = {"attacher": "x.example.com", "source": {"persistentVolumeName": "pv"}}
        for node in ("n1", "n2"):
            spec = {**source, "nodeName": node}
            await world.put("VolumeAttachment", f"of-{node}", api="storage.k8s.io/v1", spec=spec)
        attachment = ("storage.k8s.io", "v1", "volumeattachments", "")
        for verb, name, allowed in (("get", "of-n1", True), ("get", "of-n2", False), ("list", "", False)):
            decision = world.authorizer.decide(Attributes(NODE, verb, "", *attachment, name))
            assert decision.allowed is allowed


async def test_default_roles_are_made_and_given_back() -> None:
    async with running() as world:
        for name in ("kube-system", "kube-public"):
            await world.put("Namespace", name, api="v1")
        clock, log = SystemClock(), get_logger("test")
        await bootstrap.reconcile(world.registry, clock, log)
        roles = resource_of_kind(f"{RBAC}/v1", "ClusterRole")
        assert roles is not None
        cache = world.registry.store(roles).cache
        await cache.catch_up()
        assert len(cache.entries) == len(default_roles.CLUSTER_ROLES)
        assert world.may(User("x", ("system:authenticated",)), "create", "selfsubjectaccessreviews") is False
        before = cache.revision
        await bootstrap.reconcile(world.registry, clock, log)
        await cache.catch_up()
        assert cache.revision == before  # what lacks nothing is not written
        target = Target(roles, "", "system:basic-user")
        await world.registry.patch(target, b'{"rules":[]}', "application/merge-patch+json", WriteOptions())
        await cache.catch_up()
        await bootstrap.reconcile(world.registry, clock, log)
        await cache.catch_up()
        entry = cache.get(f"{cache.prefix}system:basic-user")
        assert entry is not None
        assert orjson.loads(entry.value)["rules"] == list(default_roles.rules_of("system:basic-user"))


async def test_the_default_roles_wait_for_a_store_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [errors.unavailable("etcd cannot be reached: Connection reset by peer"), TimeoutError()]
    revision = MemoryStorage.revision

    async def away(storage: MemoryStorage) -> int:
        if answers:
            raise answers.pop()
        return await revision(storage)

    async with running() as world:
        monkeypatch.setattr(MemoryStorage, "revision", away)
        await bootstrap.reconcile(
            world.registry, SystemClock(), get_logger("test"), bootstrap.for_controllers()
        )
    assert not answers
