"""Statuses of static Pods go to their mirrors: the API server knows a static Pod under another uid.

Stands before the status manager with its interface. What a static Pod reports before its mirror is there is
kept, and written when it comes. All other Pods pass through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.api.core_v1 import Pod
from services.kubelet.container_status import Status

if TYPE_CHECKING:
    from services.kubelet.status_manager import StatusManager

SOURCE, MIRROR = "kubernetes.io/config.source", "kubernetes.io/config.mirror"


class MirrorStatuses:
    def __init__(self, inner: StatusManager) -> None:
        self._inner = inner
        self._mirrors: dict[str, Pod] = {}  # by the static Pod's uid
        self._held: dict[str, Status] = {}

    def set(self, pod: Pod, status: Status) -> None:
        if not _is_static(pod):
            self._inner.set(pod, status)
            return
        uid = pod.metadata.uid or ""
        self._held[uid] = status
        mirror = self._mirrors.get(uid)
        if mirror is not None:
            self._inner.set(mirror, status)

    def delete(self, pod: Pod) -> None:
        if not _is_static(pod):  # A mirror is its own keeper's to delete.
            self._inner.delete(pod)

    def forget(self, uid: str) -> None:
        mirror = self._mirrors.pop(uid, None)
        self._held.pop(uid, None)
        self._inner.forget(mirror.metadata.uid or "" if mirror is not None else uid)

    def reconcile(self, pod: Pod) -> None:
        if not _is_static(pod):
            self._inner.reconcile(pod)

    async def settled(self) -> None:
        await self._inner.settled()

    # ---- Mirrors -----------------------------------------------------------------------------

    def found(self, pod: Pod, mirror: Pod) -> None:
        """The API server has this mirror of that Pod."""
        uid = pod.metadata.uid or ""
        known = self._mirrors.get(uid)
        self._mirrors[uid] = mirror
        status = self._held.get(uid)
        if known is not None and known.metadata.uid == mirror.metadata.uid:
            self._inner.reconcile(mirror)
        elif status is not None:
            self._inner.set(mirror, status)

    def lost(self, mirror: Pod) -> None:
        self._inner.forget(mirror.metadata.uid or "")
        for uid, known in [*self._mirrors.items()]:
            if known.metadata.uid == mirror.metadata.uid:
                del self._mirrors[uid]


def _is_static(pod: Pod) -> bool:
    annotations = pod.metadata.annotations
    return annotations.get(SOURCE, "api") != "api" and MIRROR not in annotations
