"""PrioritySort: the Pod with the higher priority goes first; among equals, the one that waits longer."""

from __future__ import annotations

from typing import Any

from services.scheduler.framework.interface import QueueSort
from services.scheduler.queue import QueuedPod


class PrioritySort(QueueSort):
    name = "PrioritySort"

    def sort_key(self, pod: QueuedPod) -> tuple[Any, ...]:
        return (-pod.info.priority, pod.added_at)
