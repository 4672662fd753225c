"""What is registered now: webhooks and policies, compiled once and kept as long as they stay the same.

Told by the watch caches the moment something changes, read when next asked: between changes, asking costs
nothing. Sorted by name, as upstream calls them. A kind's cache that started over is read anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from services.api.errors import ApiError
from services.api.kinds import Resource, resource_of_kind
from services.apiserver.admission.attributes import GROUP
from services.apiserver.storage.entries import Event, Selection
from services.apiserver.storage.watch_cache import WatchCache
from services.apiserver.storage.watchers import Watcher

if TYPE_CHECKING:
    from services.apiserver.admission.conditions import Condition
    from services.apiserver.admission.policy_programs import Policy

Json = dict[str, Any]
CacheOf = Callable[[Resource], WatchCache]
KINDS = (
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook of a configuration; `spec` as it is registered, defaults filled in."""

    uid: str
    configuration: str
    name: str
    spec: Json
    conditions: tuple[Condition, ...]
    review_version: str

    @property
    def ignores_failure(self) -> bool:
        return bool(self.spec.get("failurePolicy") == "Ignore")


@dataclass(frozen=True, slots=True)
class Bound:
    """A policy and its bindings."""

    policy: Policy
    bindings: tuple[Json, ...]


class _Signal(Watcher):
    """Keeps nothing: it only says that something has changed."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__(Selection(), 0, False)
        self._tell = tell

    def offer(self, event: Event) -> None:
        self._tell()

    def end(self, error: ApiError) -> None:
        super().end(error)
        self._tell()


class Registrations:
    """`changed` is called at once when there is something to read anew."""

    def __init__(self, cache_of: CacheOf, changed: Callable[[], None]) -> None:
        self._caches: dict[str, WatchCache] = {}
        for kind in KINDS:
            resource = resource_of_kind(f"{GROUP}/v1", kind)
            assert resource is not None
            self._caches[kind] = cache_of(resource)
        self._changed = changed
        self._signals: dict[str, _Signal] = {}
        self._compiled: dict[str, tuple[int, Any]] = {}
        self.mutating: tuple[Webhook, ...] = ()
        self.validating: tuple[Webhook, ...] = ()
        self.mutations: tuple[Bound, ...] = ()
        self.validations: tuple[Bound, ...] = ()

    def refresh(self) -> bool:
        """Reads what there is; whether there is anything."""
        for kind, cache in self._caches.items():
            signal = self._signals.get(kind)
            if signal is None or signal.ended is not None:
                self._signals[kind] = signal = _Signal(self._changed)
                cache.watchers.join(signal)
        compiled: dict[str, tuple[int, Any]] = {}
        self.mutating = self._webhooks("MutatingWebhookConfiguration", compiled)
        self.validating = self._webhooks("ValidatingWebhookConfiguration", compiled)
        self.mutations = self._bound("MutatingAdmissionPolicy", compiled)
        self.validations = self._bound("ValidatingAdmissionPolicy", compiled)
        self._compiled = compiled
        return any((self.mutating, self.validating, self.mutations, self.validations))

    def _each(
        self, kind: str, compiled: dict[str, tuple[int, Any]], make: Callable[[Json], Any]
    ) -> list[Any]:
        made = []
        for key, entry in sorted(self._caches[kind].entries.items()):
            known = self._compiled.get(key)
            if known is None or known[0] != entry.revision:
                known = entry.revision, make(orjson.loads(entry.value))
            compiled[key] = known
            made.append(known[1])
        return made

    def _webhooks(self, kind: str, compiled: dict[str, tuple[int, Any]]) -> tuple[Webhook, ...]:
        return tuple(webhook for found in self._each(kind, compiled, _webhooks_of) for webhook in found)

    def _bound(self, kind: str, compiled: dict[str, tuple[int, Any]]) -> tuple[Bound, ...]:
        """Only policies that something binds do anything."""
        by_policy: dict[str, list[Json]] = {}
        for binding in self._each(f"{kind}Binding", compiled, lambda obj: obj):
            by_policy.setdefault(binding["spec"].get("policyName") or "", []).append(binding)
        policies = self._each(kind, compiled, _policy_of)
        return tuple(
            Bound(policy, tuple(by_policy[policy.name])) for policy in policies if policy.name in by_policy
        )


def _policy_of(obj: Json) -> Policy:
    """What compiles expressions is loaded with the first one, here and below."""
    from services.apiserver.admission.policy_programs import compile_policy

    return compile_policy(obj)


def _webhooks_of(configuration: Json) -> list[Webhook]:
    from services.apiserver.admission.conditions import compile_conditions
    from services.apiserver.admission.expressions import environment

    seen = environment(params=False, authorizer=True)
    made = []
    for index, spec in enumerate(configuration.get("webhooks") or ()):
        versions = spec.get("admissionReviewVersions") or ()
        version = next((each for each in versions if each in ("v1", "v1beta1")), "")
        configured = configuration["metadata"]["name"]
        uid = f"{configured}/{spec['name']}/{index}"
        conditions = compile_conditions(seen, spec.get("matchConditions"))
        made.append(Webhook(uid, configured, spec["name"], spec, conditions, version))
    return made
