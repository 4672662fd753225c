"""Which checks a level consists of in which version of Kubernetes, and what is wrong with a Pod by them.

A check has forms, each from a minor version on. `restricted` is all of `baseline`, but for those of its
checks that a stricter one stands for.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from services.apiserver.rules.pod_security import baseline, restricted
from services.apiserver.rules.pod_security.pod import Check, Finding, Json

LEVELS = ("privileged", "baseline", "restricted")
LATEST = -1
_NEWEST = 36  # nothing has changed since: a version to come is judged as this one

Forms = tuple[tuple[int, Check], ...]  # from which minor version on, in rising order

# By upstream's identifiers, in whose order the findings are told.
_BASELINE: dict[str, Forms] = {
    "appArmorProfile": ((0, baseline.app_armor),),
    "capabilities_baseline": ((0, baseline.capabilities),),
    "hostNamespaces": ((0, baseline.host_namespaces),),
    "hostPathVolumes": ((0, baseline.host_path),),
    "hostPorts": ((0, baseline.host_ports),),
    "hostProbesAndHostLifecycle": ((34, baseline.host_probes),),
    "privileged": ((0, baseline.privileged),),
    "procMount": ((0, baseline.proc_mount), (35, baseline.proc_mount_35)),
    "seLinuxOptions": ((0, baseline.selinux), (31, baseline.selinux_31)),
    "seccompProfile_baseline": ((0, baseline.seccomp_annotations), (19, baseline.seccomp)),
    "sysctls": (
        (0, baseline.sysctls),
        (27, baseline.sysctls_27),
        (29, baseline.sysctls_29),
        (32, baseline.sysctls_32),
    ),
    "windowsHostProcess": ((0, baseline.windows_host_process),),
}
_RESTRICTED: dict[str, Forms] = {
    "allowPrivilegeEscalation": (
        (8, restricted.privilege_escalation),
        (25, restricted.not_on_windows(restricted.privilege_escalation)),
    ),
    "capabilities_restricted": (
        (22, restricted.capabilities),
        (25, restricted.not_on_windows(restricted.capabilities)),
    ),
    "procMount_restricted": ((35, baseline.proc_mount),),
    "restrictedVolumes": ((0, restricted.volumes),),
    "runAsNonRoot": ((0, restricted.run_as_non_root),),
    "runAsUser": ((23, restricted.run_as_user),),
    "seccompProfile_restricted": (
        (19, restricted.seccomp),
        (25, restricted.not_on_windows(restricted.seccomp)),
    ),
}
_STANDS_FOR = {
    "capabilities_restricted": "capabilities_baseline",
    "procMount_restricted": "procMount",
    "restrictedVolumes": "hostPathVolumes",
    "seccompProfile_restricted": "seccompProfile_baseline",
}


class Policy(NamedTuple):
    """A level in a minor version (or `LATEST`)."""

    level: str = "privileged"
    minor: int = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor == LATEST else f'v1.{self.minor}'}"


def judge(policy: Policy, meta: Json, spec: Json) -> list[Finding]:
    """Everything that keeps a Pod from being of that level."""
    minor = _NEWEST if policy.minor == LATEST else min(policy.minor, _NEWEST)
    found = (check(meta, spec) for check in _checks(policy.level, minor))
    return [each for each in found if each is not None]


def details(findings: list[Finding]) -> str:
    return ", ".join(f"{reason} ({detail})" if detail else reason for reason, detail in findings)


def reasons(findings: list[Finding]) -> str:
    return ", ".join(each.reason for each in findings)


@lru_cache(maxsize=128)
def _checks(level: str, minor: int) -> tuple[Check, ...]:
    if level == "privileged":
        return ()
    basic, strict = _at(_BASELINE, minor), {}
    if level == "restricted":
        strict = _at(_RESTRICTED, minor)
        for name in strict:
            basic.pop(_STANDS_FOR.get(name, ""), None)
    return (*basic.values(), *strict.values())


def _at(checks: dict[str, Forms], minor: int) -> dict[str, Check]:
    found = {name: [check for since, check in forms if since <= minor] for name, forms in checks.items()}
    return {name: forms[-1] for name, forms in found.items() if forms}
