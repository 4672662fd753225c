"""Service account tokens: asked for when a volume shows one, renewed when most of their time is over.

One per Pod, audience and lifetime; a restarted kubelet asks again. The token itself is kept only in the
file that shows it: thousands of Pods have one each. Upstream: pkg/kubelet/token.
"""

from __future__ import annotations

from pathlib import Path
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


class Tokens:
    """Of all nodes of a process."""

    def __init__(self, client: Client, clock: Clock, random: Random) -> None:
        self._client, self._clock, self._random = client, clock, random
        # By the Pod's uid: when each of its tokens is to be renewed, in seconds since 1970.
        self._renewals: dict[str, dict[_Key, float]] = {}

    async def get(self, pod: Pod, wanted: ServiceAccountTokenProjection, shown: str) -> bytes:
        """The present token, which may be the one in the file `shown`. ApiError when there is none."""
        uid = pod.metadata.uid or ""
        key = (wanted.audience or "", wanted.expiration_seconds or LIFETIME_SECONDS)
        renew_at = self._renewals.get(uid, {}).get(key, 0.0)
        if renew_at > self._clock.now().timestamp():
            present = _content(shown)
            if present is not None:
                return present
        token, renew_at = await self._request(pod, *key)
        self._renewals.setdefault(uid, {})[key] = renew_at
        return token

    def renew_in(self, uid: str) -> float | None:
        """Seconds until the first of a Pod's tokens wants to be renewed. None: it has none."""
        due = self._renewals.get(uid)
        return max(0.0, min(due.values()) - self._clock.now().timestamp()) if due else None

    def forget(self, uid: str) -> None:
        self._renewals.pop(uid, None)

    async def _request(self, pod: Pod, audience: str, seconds: int) -> tuple[bytes, float]:
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
        return (answer.status.token or "").encode(), now + share - early


def _content(path: str) -> bytes | None:
    """None where the first mount failed half-way, or somebody took the file away."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return None
