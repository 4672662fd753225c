"""Whether a container that has ended is started again.

Its own rules come first, then its own policy, then the Pod's. Pure.
Upstream: `ContainerShouldRestart` in `pkg/api/v1/pod/util.go`.
"""

from __future__ import annotations

from services.api.core_v1 import Container, Pod


def restarts(container: Container, pod: Pod, exit_code: int) -> bool:
    for rule in container.restart_policy_rules:
        codes = rule.exit_codes
        matches = codes is not None and (exit_code in codes.values) is (codes.operator == "In")
        if rule.action == "Restart" and matches:
            return True
    policy = container.restart_policy or pod.spec.restart_policy or "Always"
    if policy == "OnFailure":
        return exit_code != 0
    return policy != "Never"
