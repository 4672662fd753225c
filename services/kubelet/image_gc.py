"""Takes images away that no container uses: when the disk fills up, and when it is short.

Above the high threshold it frees down to the low one, the longest unused first; an image is let alone for
two minutes after it was first seen. Upstream: `pkg/kubelet/images/image_gc_manager.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from services.api.core_v1 import ObjectReference
from services.kubelet.configuration import KubeletConfiguration
from services.kubelet.cri import ContainerRecord, CriError, ImageRecord
from services.kubelet.node_context import NodeContext

PERIOD_SECONDS = 300.0


class ImageGc:
    """One node's. `in_use` gives all containers that the runtime holds, dead ones too."""

    def __init__(
        self,
        context: NodeContext,
        configuration: KubeletConfiguration,
        in_use: Callable[[], Iterable[ContainerRecord]],
        node: ObjectReference,
    ) -> None:
        self._context, self._configuration, self._in_use, self._node = context, configuration, in_use, node
        self._last_used: dict[str, float] = {}
        self._first_seen: dict[str, float] = {}

    async def collect(self, used_bytes: int, capacity_bytes: int) -> None:
        """The periodic look. `used_bytes` of the file system that holds the images."""
        images = await self._detect()
        high, low = self._configuration.image_gc_high_percent, self._configuration.image_gc_low_percent
        if not capacity_bytes or 100 * used_bytes < high * capacity_bytes:
            return
        wanted = used_bytes - capacity_bytes * low // 100
        freed = await self._free(images, wanted, self._configuration.image_minimum_age_seconds)
        if freed < wanted:
            text = (
                "Failed to garbage collect required amount of images. "
                f"Attempted to free {wanted} bytes, but only found {freed} bytes eligible to free."
            )
            self._context.recorder.event(self._node, "Warning", "FreeDiskSpaceFailed", text)

    async def free_all(self) -> int:
        """Every unused image, whatever its age: the node is short of disk. How many bytes that gave."""
        return await self._free(await self._detect(), None, 0.0)

    async def _detect(self) -> list[ImageRecord]:
        now = self._context.clock.monotonic()
        images = await self._context.cri.images()
        names = {name for record in self._in_use() for name in (record.image_ref, record.image) if name}
        for image in images:
            self._first_seen.setdefault(image.id, now)
            if {image.id, *image.tags, *image.digests} & names:
                self._last_used[image.id] = now
        known = {image.id for image in images}
        self._first_seen = {key: at for key, at in self._first_seen.items() if key in known}
        self._last_used = {key: at for key, at in self._last_used.items() if key in known}
        return images

    async def _free(self, images: list[ImageRecord], wanted: int | None, least_age: float) -> int:
        now = self._context.clock.monotonic()
        freed = 0
        candidates = [i for i in images if self._last_used.get(i.id) != now]
        for image in sorted(
            candidates, key=lambda i: (self._last_used.get(i.id, 0.0), self._first_seen[i.id])
        ):
            if wanted is not None and freed >= wanted:
                break
            if now - self._first_seen[image.id] < least_age:
                continue
            try:
                await self._context.cri.remove_image(image.id)
            except CriError as error:
                self._context.log.warning(
                    "Could not remove an unused image", image=image.id, error=str(error)
                )
                continue
            freed += image.size_bytes
            name = image.tags[0] if image.tags else image.id
            self._context.log.info("Removed an unused image", image=name, bytes=image.size_bytes)
        return freed
