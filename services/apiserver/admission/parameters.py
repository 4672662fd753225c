"""The params of a policy: which objects a binding means, for one request.

Upstream: `CollectParams` of `apiserver/pkg/admission/plugin/policy/generic`. Read out of the watch caches,
those of custom resources too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from services.api.kinds import Resource
from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.policies import Misconfigured
from services.apiserver.admission.policy_programs import Policy
from services.apiserver.registry import keys
from services.apiserver.rules.validation.meta import selects
from services.apiserver.storage.entries import Selection
from services.apiserver.storage.watch_cache import WatchCache

Json = dict[str, Any]


class Parameters:
    def __init__(
        self, served: Callable[[], Iterable[Resource]], cache_of: Callable[[Resource], WatchCache]
    ) -> None:
        self._served, self._cache_of = served, cache_of

    def __call__(self, policy: Policy, binding: Json, asked: Attributes) -> list[Json | None]:
        """One None where the policy has no params. Misconfigured."""
        kind, reference = policy.spec.get("paramKind"), binding["spec"].get("paramRef")
        if kind is None or reference is None:
            return [None]
        resource = self._resource(kind)
        namespace = self._namespace(resource, reference, asked)
        found = self._found(resource, namespace, reference)
        if not found and reference.get("parameterNotFoundAction") == "Deny":
            raise Misconfigured("no params found for policy binding with `Deny` parameterNotFoundAction")
        return list(found)

    def _resource(self, kind: Json) -> Resource:
        api_version, name = kind.get("apiVersion"), kind.get("kind")
        for resource in self._served():
            if resource.api_version == api_version and resource.kind == name and "watch" in resource.verbs:
                return resource
        why = f"failed to find resource referenced by paramKind: '{api_version}, Kind={name}'"
        raise Misconfigured(why, of_policy=True)

    def _namespace(self, resource: Resource, reference: Json, asked: Attributes) -> str:
        given = reference.get("namespace") or ""
        if not resource.namespaced:
            if given:
                raise Misconfigured(
                    "paramRef.namespace must not be provided for a cluster-scoped `paramKind`"
                )
            return ""
        if not given and not asked.namespace:
            raise Misconfigured(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
            )
        return given or asked.namespace

    def _found(self, resource: Resource, namespace: str, reference: Json) -> list[Json]:
        cache = self._cache_of(resource)
        if name := reference.get("name"):
            entry = cache.get(keys.key(resource, namespace, name))
            return [orjson.loads(entry.value)] if entry is not None else []
        selector = reference.get("selector")
        return [
            orjson.loads(entry.value)
            for entry in cache.select(Selection(namespace))
            if selects(selector, entry.attributes.labels)
        ]
