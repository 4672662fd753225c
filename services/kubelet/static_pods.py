"""Static Pods: manifests in a folder of the node, run by its kubelet whether or not there is an API server.

The Pod's uid is made of the file's content, so that an edited manifest is another Pod: the old one
ends first. The API server is shown a mirror Pod that nobody can run or edit; when somebody deletes it, it
comes again, and the containers never notice. A file that is no Pod is told once, and left alone.
Upstream: `pkg/kubelet/config/file.go`, `config/common.go`, `pkg/kubelet/pod/mirror_client.go`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from services.api import errors, meta_v1
from services.api.core_v1 import Pod, Toleration
from services.api.errors import ApiError
from services.api.object import ObjectKey
from services.kubelet.file_watch import watching
from services.kubelet.mirror_statuses import MirrorStatuses
from services.kubelet.node_context import NodeContext
from services.machinery.clock import rfc3339_micro
from services.machinery.pods import compute_qos_class, is_terminated

HASH, MIRROR = "kubernetes.io/config.hash", "kubernetes.io/config.mirror"
SEEN, SOURCE = "kubernetes.io/config.seen", "kubernetes.io/config.source"
FILE_BYTES_MAX = 10 * 1024 * 1024
FILES_MAX = 500
RETRY_SECONDS = 5.0


class NotAPod(Exception):
    """What is wrong with a manifest."""


class StaticPods:
    """One node's. `put` and `drop` hand Pods to its kubelet as a watch would."""

    def __init__(
        self,
        context: NodeContext,
        statuses: MirrorStatuses,
        put: Callable[[Pod], None],
        drop: Callable[[Pod], None],
        alive: Callable[[str], bool],
    ) -> None:
        """`alive`: whether the kubelet still has something of a Pod with that uid."""
        self._context, self._statuses = context, statuses
        self._put, self._drop, self._alive = put, drop, alive
        self.pods: dict[ObjectKey, Pod] = {}
        self._running: dict[ObjectKey, Pod] = {}  # what the kubelet was told
        self._mirrors: dict[ObjectKey, Pod] = {}
        self._busy: set[ObjectKey] = set()
        self._complaints: dict[str, str] = {}  # by file
        self._changed = asyncio.Event()
        self.listed = asyncio.Event()  # the folder was looked at for the first time

    async def run(self, folder: Path, check_seconds: float) -> None:
        """Until cancelled: follows the folder by its events, and looks every so often all the same."""
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        with watching(folder, self._changed.set):
            while True:
                self._changed.clear()
                self._take(await asyncio.to_thread(_read, folder))
                self.listed.set()
                try:
                    async with self._context.clock.timeout(check_seconds):
                        await self._changed.wait()
                except TimeoutError:
                    pass

    def find(self, key: ObjectKey) -> Pod | None:
        return self.pods.get(key)

    # ---- Manifests ---------------------------------------------------------------------------

    def _take(self, files: dict[str, bytes | str]) -> None:
        found: dict[ObjectKey, Pod] = {}
        for name, data in files.items():
            try:
                if isinstance(data, str):
                    raise NotAPod(data)
                pod = static_pod(data, name, self._context.name, rfc3339_micro(self._context.clock.now()))
            except NotAPod as error:
                self._complain(name, str(error))
                continue
            self._complaints.pop(name, None)
            known = self.pods.get(pod.key)
            same = known is not None and known.metadata.uid == pod.metadata.uid
            found[pod.key] = known if same and known is not None else pod
        for key in self.pods.keys() - found.keys():
            self._log("A static Pod's manifest is gone", key)
        self.pods = found
        for key in {*self._running, *found, *self._mirrors}:
            self.settle(key)

    def _complain(self, name: str, text: str) -> None:
        if self._complaints.get(name) != text:
            self._complaints[name] = text
            self._context.log.warning(
                "A manifest in the folder of static Pods is no Pod", file=name, why=text
            )

    def _log(self, sentence: str, key: ObjectKey) -> None:
        self._context.log.info(sentence, kind="Pod", namespace=key.namespace, name=key.name)

    def settle(self, key: ObjectKey) -> None:
        """Brings what the kubelet runs, and the mirror, nearer to the manifest."""
        wanted, running = self.pods.get(key), self._running.get(key)
        if running is not None and (wanted is None or wanted.metadata.uid != running.metadata.uid):
            self._drop(running)
            if self._alive(running.metadata.uid or ""):
                return  # It comes again when the old one has ended.
            del self._running[key]
            running = None
        if wanted is not None and running is None:
            self._running[key] = wanted
            self._log("Got a static Pod to run", key)
            mirror = self._mirrors.get(key)
            known = mirror is not None and _mirrors(mirror, wanted) and not is_terminated(mirror)
            self._put(replace(wanted, status=mirror.status) if mirror is not None and known else wanted)
        self._settle_mirror(key)

    def ended(self, pod: Pod) -> None:
        """The kubelet has nothing of that Pod any more."""
        running = self._running.get(pod.key)
        if running is not None and running.metadata.uid == pod.metadata.uid:
            del self._running[pod.key]
            self.settle(pod.key)

    # ---- Mirrors -----------------------------------------------------------------------------

    def mirror_set(self, mirror: Pod) -> None:
        self._mirrors[mirror.key] = mirror
        if self.listed.is_set():
            self._settle_mirror(mirror.key)

    def registered(self) -> None:
        """The node is known to the API server: mirrors can name it as their owner."""
        for key in [*self._running]:
            self._settle_mirror(key)

    def mirror_removed(self, mirror: Pod) -> None:
        self._mirrors.pop(mirror.key, None)
        self._statuses.lost(mirror)
        self._settle_mirror(mirror.key)

    def _settle_mirror(self, key: ObjectKey) -> None:
        if key in self._busy:
            return
        pod, mirror = self._running.get(key), self._mirrors.get(key)
        if mirror is not None and (
            pod is None or mirror.metadata.deletion_timestamp or not _mirrors(mirror, pod)
        ):
            self._do(key, self._delete(mirror), created=False)
        elif mirror is None and pod is not None and self._context.node is not None and key in self.pods:
            self._do(key, self._create(pod), created=True)
        elif mirror is not None and pod is not None:
            self._statuses.found(pod, mirror)

    def _do(self, key: ObjectKey, work: Any, *, created: bool) -> None:
        self._busy.add(key)
        self._context.group.create_task(self._act(key, work, created=created))

    async def _act(self, key: ObjectKey, work: Any, *, created: bool) -> None:
        try:
            await work
        except ApiError as error:
            self._context.log.debug("Could not mirror a static Pod", name=key.name, error=error.message)
            self._context.timers.after(RETRY_SECONDS, lambda: self._again(key))
            return
        self._busy.discard(key)
        if (key in self._mirrors) is created:  # What the watch has shown meanwhile was not looked at.
            self._settle_mirror(key)

    def _again(self, key: ObjectKey) -> None:
        self._busy.discard(key)
        self._settle_mirror(key)

    async def _delete(self, mirror: Pod) -> None:
        name, namespace = mirror.metadata.name or "", mirror.metadata.namespace or ""
        try:
            await self._context.client.delete(
                Pod, name, namespace, grace_seconds=0, uid=mirror.metadata.uid or ""
            )
        except ApiError as error:
            if not errors.is_not_found(error) and not errors.is_conflict(error):
                raise

    async def _create(self, pod: Pod) -> None:
        try:
            await self._context.client.create(mirror_of(pod, self._context.node))
        except ApiError as error:
            if not errors.is_already_exists(error):
                raise
        else:
            self._log("Showed the API server a mirror of the static Pod", pod.key)


def _read(folder: Path) -> dict[str, bytes | str]:
    """The manifests by file name; text is what is wrong with a file."""
    found: dict[str, bytes | str] = {}
    try:
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return found
    for name in names[:FILES_MAX]:
        path = folder / name
        try:
            if not path.is_file():
                continue
            data = path.read_bytes() if path.stat().st_size <= FILE_BYTES_MAX else b""
        except OSError as error:
            found[name] = f"cannot read it: {error.strerror}"
            continue
        found[name] = data or "it is empty, or larger than a manifest may be"
    return found


def static_pod(data: bytes, file: str, node: str, seen: str) -> Pod:
    """The Pod of a manifest, with what a kubelet adds to it. NotAPod when it is none."""
    import yaml  # Few nodes have static Pods.

    try:
        manifest = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise NotAPod(f"couldn't parse as pod, please check config file: {_one_line(error)}") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != "Pod":
        raise NotAPod("couldn't parse as pod, please check config file: it is not of kind Pod")
    try:
        pod = msgspec.convert(manifest, Pod, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        raise NotAPod(f"invalid pod: {_one_line(error)}") from error
    metadata = pod.metadata
    if not metadata.name or not pod.spec.containers:
        raise NotAPod("invalid pod: it needs a metadata.name and at least one container")
    digest = hashlib.md5(f"{node}{file}".encode() + data, usedforsecurity=False).hexdigest()
    uid = metadata.uid or digest
    annotations = {**metadata.annotations, HASH: uid, SEEN: seen, SOURCE: "file"}
    own = replace(
        metadata, name=f"{metadata.name}-{node.lower()}", namespace=metadata.namespace or "default",
        uid=uid, annotations=annotations, generation=None,
    )  # fmt: skip
    tolerations = [*pod.spec.tolerations, Toleration(operator="Exists", effect="NoExecute")]
    spec = replace(
        pod.spec, node_name=node, tolerations=tolerations,
        restart_policy=pod.spec.restart_policy or "Always",
        containers=[_defaulted(c) for c in pod.spec.containers],
        init_containers=[_defaulted(c) for c in pod.spec.init_containers],
    )  # fmt: skip
    whole = replace(pod, metadata=own, spec=spec)
    return replace(whole, status=replace(pod.status, phase="Pending", qos_class=compute_qos_class(whole)))


def _defaulted(container: Any) -> Any:
    """What the API server would have filled in, where the kubelet relies on it."""
    image = container.image or ""
    latest = "@" not in image and (":" not in image.rpartition("/")[2] or image.endswith(":latest"))
    policy = container.image_pull_policy or ("Always" if latest else "IfNotPresent")
    return replace(container, image_pull_policy=policy)


def mirror_of(pod: Pod, node: Any) -> Pod:
    """What the API server is shown."""
    metadata = pod.metadata
    owners = []
    if node is not None and node.metadata.uid:
        owners.append(
            meta_v1.OwnerReference(
                api_version="v1", kind="Node", name=node.metadata.name, uid=node.metadata.uid, controller=True
            )
        )
    annotations = {**metadata.annotations, MIRROR: metadata.annotations[HASH]}
    own = meta_v1.ObjectMeta(
        name=metadata.name,
        namespace=metadata.namespace,
        labels=metadata.labels,
        annotations=annotations,
        owner_references=owners,
    )
    return Pod(metadata=own, spec=pod.spec)


def _mirrors(mirror: Pod, pod: Pod) -> bool:
    return mirror.metadata.annotations.get(MIRROR) == pod.metadata.annotations.get(HASH)


def is_mirror(pod: Pod) -> bool:
    return MIRROR in pod.metadata.annotations


def is_static(pod: Pod) -> bool:
    return pod.metadata.annotations.get(SOURCE, "api") != "api" and not is_mirror(pod)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
