"""What a plugin answers: a code, and for a refusal the reasons in the words the user will read.

Upstream: `k8s.io/kube-scheduler/framework.Status`.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Code(Enum):
    SUCCESS = "Success"
    ERROR = "Error"
    """Something broke, which is nobody's decision: the Pod is retried after a backoff."""
    UNSCHEDULABLE = "Unschedulable"
    """Not now; without some other Pods it might be."""
    UNSCHEDULABLE_AND_UNRESOLVABLE = "UnschedulableAndUnresolvable"
    """Not now, and removing Pods from the node would change nothing."""
    WAIT = "Wait"
    """Permit only: hold the Pod until somebody allows or rejects it."""
    SKIP = "Skip"
    """This plugin has nothing to say about this Pod; do not ask it again in this cycle."""


class Status(NamedTuple):
    code: Code
    reasons: tuple[str, ...] = ()
    plugin: str = ""
    wait_seconds: float = 0.0

    @classmethod
    def unschedulable(cls, *reasons: str) -> Status:
        return cls(Code.UNSCHEDULABLE, reasons)

    @classmethod
    def unresolvable(cls, *reasons: str) -> Status:
        return cls(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, reasons)

    @classmethod
    def error(cls, *reasons: str) -> Status:
        return cls(Code.ERROR, reasons)

    @classmethod
    def wait(cls, seconds: float) -> Status:
        return cls(Code.WAIT, wait_seconds=seconds)

    def by(self, plugin: str) -> Status:
        """The same answer, signed."""
        return self._replace(plugin=plugin)

    @property
    def ok(self) -> bool:
        return self.code is Code.SUCCESS

    @property
    def rejected(self) -> bool:
        """A decision against the Pod, as opposed to an error."""
        return self.code in (Code.UNSCHEDULABLE, Code.UNSCHEDULABLE_AND_UNRESOLVABLE)

    @property
    def message(self) -> str:
        return ", ".join(self.reasons)


SUCCESS = Status(Code.SUCCESS)
SKIP = Status(Code.SKIP)
