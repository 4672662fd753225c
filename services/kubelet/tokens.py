"""Service account tokens: asked for when a volume shows one, renewed when most of their time is over.

One per Pod, audience and lifetime; a restarted kubelet asks again. Upstream: pkg/kubelet/token.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from services.api.authentication_v1 import BoundObjectReference, TokenRequest, TokenRequestSpec
from services.api.core_v1 import Pod, ServiceAccount, ServiceAccountTokenProjection
from services.client.client import Client
from services.machinery.clock import Clock, parse_time

LIFETIME_SECONDS = 3600
RENEW_SHARE = 0.8
RENEW_SECONDS_MAX = 24 * 3600.0
JITTER_SECONDS_MAX = 10.0

_Key = tuple[str, int]  # audience, lifetime


@dataclass(frozen=True, slots=True)
class _Held:
    token: bytes
    renew_at: float  # seconds since 1970


class Tokens:
    """Of all nodes of a process."""

    def __init__(self, client: Client, clock: Clock, random: Random) -> None:
        self._client, self._clock, self._random = client, clock, random
        self._held: dict[str, dict[_Key, _Held]] = {}  # by the Pod's uid

    async def get(self, pod: Pod, wanted: ServiceAccountTokenProjection) -> bytes:
        """The present token. ApiError when there is none to be had."""
        uid = pod.metadata.uid or ""
        key = (wanted.audience or "", wanted.expiration_seconds or LIFETIME_SECONDS)
        held = self._held.get(uid, {}).get(key)
        if held is None or held.renew_at <= self._clock.now().timestamp():
            held = await self._request(pod, *key)
            self._held.setdefault(uid, {})[key] = held
        return held.token

    def renew_in(self, uid: str) -> float | None:
        """Seconds until the first of a Pod's tokens wants to be renewed. None: it has none."""
        due = [held.renew_at for held in self._held.get(uid, {}).values()]
        return max(0.0, min(due) - self._clock.now().timestamp()) if due else None

    def forget(self, uid: str) -> None:
        self._held.pop(uid, None)

    async def _request(self, pod: Pod, audience: str, seconds: int) -> _Held:
        spec = TokenRequestSpec(
            audiences=[audience] if audience else [],
            expiration_seconds=seconds,
            bound_object_ref=BoundObjectReference(
                api_version="v1", kind="Pod", name=pod.metadata.name, uid=pod.metadata.uid
            ),
        )
        account = pod.spec.service_account_name or "default"
        namespace = pod.metadata.namespace or ""
        wanted = TokenRequest(spec=spec)
        answer = await self._client.ask(ServiceAccount, account, namespace, "token", wanted)
        now = self._clock.now().timestamp()
        expires = answer.status.expiration_timestamp
        lifetime = parse_time(expires).timestamp() - now if expires else float(seconds)
        share = min(lifetime * RENEW_SHARE, RENEW_SECONDS_MAX)
        early = min(self._random.random() * JITTER_SECONDS_MAX, share / 2)
        return _Held((answer.status.token or "").encode(), now + share - early)
