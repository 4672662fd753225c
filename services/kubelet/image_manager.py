"""Sees to it that an image is on the machine before a container needs it.

Pulls one image at a time per node, as upstream does by default; `parallel_pulls` lets more go on
together. A pull that failed is not tried again before its back-off is over. `ImageError` carries
the reason that the container then waits for (ErrImagePull, ImagePullBackOff, …) and when to ask again.
Upstream: `pkg/kubelet/images/image_manager.go`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from services.api.core_v1 import Container
from services.kubelet import pull_secrets
from services.kubelet.cri import Cri, CriError, ImageRecord, RegistryAuth
from services.kubelet.restart_backoff import RestartBackoff, go_milliseconds
from services.machinery.clock import Clock

# After a failed pull the container is looked at again this soon, and then says ImagePullBackOff.
AFTER_FAILURE_SECONDS = 4.0
NEVER_PULL_RETRY_SECONDS = 10.0

Emit = Callable[[str, str, str], None]  # type, reason, message of an event

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?"
_TAG = r"(?P<tag>:[\w][\w.-]{0,127})?"
_DIGEST = r"(?P<digest>@[a-z0-9+._-]+:[0-9a-fA-F]{32,})?"
_REFERENCE = re.compile(rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*{_TAG}{_DIGEST}")


class ImageError(Exception):
    """The container must wait. `reason` is the one its status shows."""

    def __init__(self, reason: str, message: str, retry_seconds: float) -> None:
        super().__init__(message)
        self.reason, self.message, self.retry_seconds = reason, message, retry_seconds


def with_default_tag(image: str) -> str:
    """The name with `:latest` where it has neither tag nor digest. ValueError when it is no name."""
    match = _REFERENCE.fullmatch(image)
    if match is None:
        detail = "invalid reference format"
        if image != image.lower() and _REFERENCE.fullmatch(image.lower()):
            name = image.partition(":")[0]
            full = name if "/" in name else f"library/{name}"
            detail += f": repository name ({full}) must be lowercase"
        raise ValueError(f'couldn\'t parse image name "{image}": {detail}')
    return image if match["tag"] or match["digest"] else f"{image}:latest"


class ImageManager:
    """One node's."""

    def __init__(
        self,
        cri: Cri,
        clock: Clock,
        on_pulled: Callable[[], None] = lambda: None,
        *,
        parallel_pulls: int = 1,
    ) -> None:
        self._cri, self._clock, self._on_pulled = cri, clock, on_pulled
        self._backoff = RestartBackoff()
        self._failures: dict[str, str] = {}
        self._records: dict[str, ImageRecord] = {}  # by id: what an id stands for never changes
        self._pulling = asyncio.Semaphore(parallel_pulls)

    async def ensure(
        self, pod_uid: str, container: Container, emit: Emit, keys: pull_secrets.Keyring
    ) -> ImageRecord:
        """The image as it is on the machine. `keys` are the Pod's credentials. Raises ImageError."""
        spoken = container.image or ""
        try:
            name = with_default_tag(spoken)
        except ValueError as error:
            message = f'Failed to apply default image tag "{spoken}": {error}'
            emit("Warning", "InspectFailed", message)
            raise ImageError("InvalidImageName", message, NEVER_PULL_RETRY_SECONDS) from error
        policy = container.image_pull_policy or "IfNotPresent"
        present = None if policy == "Always" else await self._inspect(spoken, name, emit)
        if present is not None:
            emit(
                "Normal",
                "Pulled",
                f'Container image "{spoken}" already present on machine and can be accessed by the pod',
            )
            return present
        if policy == "Never":
            message = f'Container image "{spoken}" is not present with pull policy of Never'
            emit("Warning", "ErrImageNeverPull", message)
            raise ImageError("ErrImageNeverPull", message, NEVER_PULL_RETRY_SECONDS)
        auths = pull_secrets.matching(keys, name) if keys else []
        return await self._pull(f"{pod_uid}_{spoken}", spoken, name, emit, auths)

    def forget(self, pod_uid: str, containers: list[Container]) -> None:
        for container in containers:
            self._clear(f"{pod_uid}_{container.image}")

    async def _inspect(self, spoken: str, name: str, emit: Emit) -> ImageRecord | None:
        try:
            return await self._cri.image(name)
        except CriError as error:
            message = f'Failed to inspect image "{spoken}": {error}'
            emit("Warning", "InspectFailed", message)
            raise ImageError("ImageInspectError", message, NEVER_PULL_RETRY_SECONDS) from error

    async def _pull(
        self, key: str, spoken: str, name: str, emit: Emit, auths: list[RegistryAuth]
    ) -> ImageRecord:
        now = self._clock.monotonic()
        if remaining := self._backoff.remaining_since_failure(key, now):
            message = f'Back-off pulling image "{spoken}"'
            emit("Normal", "BackOff", message)
            if failure := self._failures.get(key):
                message = f"{message}: {failure}"
            raise ImageError("ImagePullBackOff", message, remaining)
        emit("Normal", "Pulling", f'Pulling image "{spoken}"')
        asked = now
        async with self._pulling:
            started = self._clock.monotonic()
            try:
                image = await self._record(await self._fetch(name, auths), name)
            except CriError as error:
                raise self._failed(key, spoken, error, emit) from error
        took, waited = self._clock.monotonic() - started, self._clock.monotonic() - asked
        emit(
            "Normal",
            "Pulled",
            f'Successfully pulled image "{spoken}" in {go_milliseconds(took)} '
            f"({go_milliseconds(waited)} including waiting). "
            f"Image size: {image.size_bytes} bytes.",
        )
        self._clear(key)
        return image

    async def _fetch(self, name: str, auths: list[RegistryAuth]) -> str:
        """Its id. Each of the credentials is tried; without any, it is asked for as nobody."""
        for auth in auths[:-1]:
            try:
                return await self._cri.pull_image(name, auth)
            except CriError:
                continue  # The last one's refusal is the one that is told.
        return await self._cri.pull_image(name, auths[-1] if auths else None)

    async def _record(self, identifier: str, name: str) -> ImageRecord:
        record = self._records.get(identifier)
        if record is None:
            record = await self._cri.image(name) or ImageRecord(id=identifier)
            self._records[identifier] = record
            self._on_pulled()
        return record

    def _failed(self, key: str, spoken: str, error: CriError, emit: Emit) -> ImageError:
        emit("Warning", "Failed", f'Failed to pull image "{spoken}": {error}')
        self._backoff.grow(key, self._clock.monotonic())
        self._failures[key] = f"ErrImagePull: {error}"
        return ImageError("ErrImagePull", str(error), AFTER_FAILURE_SECONDS)

    def _clear(self, key: str) -> None:
        self._backoff.forget(key)
        self._failures.pop(key, None)
