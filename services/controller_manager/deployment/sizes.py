"""Sizes: how many replicas each ReplicaSet of a Deployment should have now.

Every function takes what the caches say and answers with the resizes to make; none acts. A rolling
update keeps two promises: never more than replicas + maxSurge Pods, never fewer than
replicas - maxUnavailable available ones. Upstream: pkg/controller/deployment/{rolling,recreate,sync}.go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.api.apps_v1 import Deployment, ReplicaSet
from services.controller_manager.deployment.revisions import (
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    active,
    annotated,
    by_age,
)


@dataclass(frozen=True, slots=True)
class Resize:
    replicaset: ReplicaSet
    replicas: int


def wanted(deployment: Deployment) -> int:
    replicas = deployment.spec.replicas
    return 1 if replicas is None else replicas


def size(replicaset: ReplicaSet) -> int:
    replicas = replicaset.spec.replicas
    return 1 if replicas is None else replicas


def available(replicaset: ReplicaSet) -> int:
    return replicaset.status.available_replicas or 0


def total(replicasets: Sequence[ReplicaSet]) -> int:
    return sum(size(replicaset) for replicaset in replicasets)


def is_rolling(deployment: Deployment) -> bool:
    strategy = deployment.spec.strategy
    return strategy is None or strategy.type != "Recreate"


def max_surge(deployment: Deployment) -> int:
    """How many Pods above the wanted number an update may have."""
    return _bounds(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Deployment) -> int:
    """How many of the wanted Pods an update may do without."""
    replicas = wanted(deployment)
    if not is_rolling(deployment) or replicas == 0:
        return 0
    return min(_bounds(deployment)[1], replicas)


def _bounds(deployment: Deployment) -> tuple[int, int]:
    """Surge rounded up, unavailable rounded down; never both 0, or the update could not begin."""
    strategy = deployment.spec.strategy
    rolling = strategy.rolling_update if strategy else None
    replicas = wanted(deployment)
    surge = _resolve(rolling.max_surge if rolling else None, replicas, up=True)
    unavailable = _resolve(rolling.max_unavailable if rolling else None, replicas, up=False)
    return surge, unavailable if surge or unavailable else 1


def _resolve(value: int | str | None, replicas: int, *, up: bool) -> int:
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * replicas
    return -(-share // 100) if up else share // 100


def new_size(deployment: Deployment, new: ReplicaSet | None, everything: Sequence[ReplicaSet]) -> int:
    """How big the new ReplicaSet may be beside all that exist; `None` is one still to be made."""
    replicas, current = wanted(deployment), size(new) if new else 0
    if not is_rolling(deployment):
        return replicas
    room = replicas + max_surge(deployment) - total(everything)
    return current + min(room, replicas - current) if room > 0 else current


def grow_new(deployment: Deployment, new: ReplicaSet, everything: Sequence[ReplicaSet]) -> list[Resize]:
    replicas = wanted(deployment)
    target = replicas if size(new) > replicas else new_size(deployment, new, everything)
    return [Resize(new, target)] if target != size(new) else []


def shrink_old(deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]) -> list[Resize]:
    """Lets go of old Pods: first those that are not available anyway, then as many as the bound allows.

    One ReplicaSet can appear twice, smaller the second time.
    """
    sizes = {replicaset.metadata.uid: size(replicaset) for replicaset in old}
    floor = wanted(deployment) - max_unavailable(deployment)
    not_yet_available = size(new) - available(new)
    budget = total([*old, new]) - floor - not_yet_available
    if budget <= 0 or not any(sizes.values()):
        return []
    resizes: list[Resize] = []

    def lose(replicaset: ReplicaSet, count: int) -> int:
        if count > 0:
            sizes[replicaset.metadata.uid] -= count
            resizes.append(Resize(replicaset, sizes[replicaset.metadata.uid]))
        return max(count, 0)

    for replicaset in by_age(old):
        budget -= lose(replicaset, min(budget, size(replicaset) - available(replicaset)))
    spare = sum(available(replicaset) for replicaset in [*old, new]) - floor
    for replicaset in by_age(old):
        spare -= lose(replicaset, min(spare, sizes[replicaset.metadata.uid]))
    return resizes


def to_zero(replicasets: Sequence[ReplicaSet]) -> list[Resize]:
    return [Resize(replicaset, 0) for replicaset in active(replicasets)]


def is_scaling_event(deployment: Deployment, everything: Sequence[ReplicaSet]) -> bool:
    """Whether spec.replicas moved since the ReplicaSets were last sized."""
    replicas = wanted(deployment)
    sized_for = (annotated(replicaset, DESIRED_REPLICAS) for replicaset in active(everything))
    return any(desired is not None and desired != replicas for desired in sized_for)


def scale(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> list[Resize]:
    """The sizes after a change of spec.replicas: in proportion, while a rollout is under way."""
    everything = [*old, new] if new else list(old)
    replicas = wanted(deployment)
    only = _active_or_latest(new, old)
    if only is not None:
        return [Resize(only, replicas)] if size(only) != replicas else []
    if new is not None and _is_saturated(deployment, new):
        return to_zero(old)
    return _in_proportion(deployment, active(everything)) if is_rolling(deployment) else []


def _active_or_latest(new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> ReplicaSet | None:
    """The one ReplicaSet with replicas, or, when none has any, the newest; None when several have."""
    live = active([*old, new] if new else old)
    if len(live) > 1:
        return None
    if live:
        return live[0]
    return new if new is not None else next(iter(reversed(by_age(old))), None)


def _is_saturated(deployment: Deployment, new: ReplicaSet) -> bool:
    replicas = wanted(deployment)
    return size(new) == annotated(new, DESIRED_REPLICAS) == available(new) == replicas


def _in_proportion(deployment: Deployment, live: Sequence[ReplicaSet]) -> list[Resize]:
    """Spreads the change over all, the largest first; what rounding leaves over goes to the first."""
    replicas = wanted(deployment)
    allowed = replicas + max_surge(deployment) if replicas > 0 else 0
    to_add = allowed - total(live)
    # Growing favours the newer of two equals, shrinking takes from the older.
    oldest_first = by_age(live)
    order = sorted(oldest_first[::-1] if to_add > 0 else oldest_first, key=lambda rs: -size(rs))
    sizes, added = [], 0
    for replicaset in order:
        share = _share(deployment, replicaset, to_add, added)
        added += share
        sizes.append(size(replicaset) + share)
    sizes[0] = max(sizes[0] + to_add - added, 0)
    # Even an unchanged size is answered: the annotations say what the sizes were computed for.
    return [Resize(replicaset, replicas) for replicaset, replicas in zip(order, sizes, strict=True)]


def _share(deployment: Deployment, replicaset: ReplicaSet, to_add: int, added: int) -> int:
    left = to_add - added
    if not left or not size(replicaset):
        return 0
    fraction = _fraction(deployment, replicaset)
    return min(fraction, left) if to_add > 0 else max(fraction, left)


def _fraction(deployment: Deployment, replicaset: ReplicaSet) -> int:
    replicas = wanted(deployment)
    if replicas == 0:
        return -size(replicaset)
    before = annotated(replicaset, MAX_REPLICAS) or deployment.status.replicas or 1
    scaled = size(replicaset) * (replicas + max_surge(deployment)) / before
    return math.floor(scaled + 0.5) - size(replicaset)
