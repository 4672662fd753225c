"""Session affinity: the endpoint that a client was led to last, for as long as it keeps coming. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from services.api.object import ObjectKey
from services.kube_proxy.model import PortName, Rule
from services.machinery.clock import Clock

CLIENTS_MAX = 65536  # of one node; the one that has not come for longest is forgotten first


class Affinity:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: OrderedDict[tuple[PortName, str], tuple[str, float]] = OrderedDict()

    def target(self, rule: Rule, source: str) -> str | None:
        found = self._held.get((rule.name, source))
        if found is None or self._clock.monotonic() - found[1] > rule.affinity_seconds:
            return None
        return found[0]

    def hold(self, rule: Rule, source: str, target: str) -> None:
        key = (rule.name, source)
        self._held[key] = (target, self._clock.monotonic())
        self._held.move_to_end(key)
        while len(self._held) > CLIENTS_MAX:
            self._held.popitem(last=False)

    def keep(self, service: ObjectKey, rules: Iterable[Rule]) -> None:
        """Forgets what was held for ports that are gone or want no affinity any more."""
        wanted = {rule.name for rule in rules if rule.affinity_seconds}
        if not self._held:
            return
        for key in [key for key in self._held if key[0].service == service and key[0] not in wanted]:
            del self._held[key]
