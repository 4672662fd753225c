"""The volumes of one node's Pods: mounts them, keeps what they show current, and takes them away.

A volume shows a new ConfigMap at its Pod's next sync, which comes once a minute as upstream's; nothing
runs in between, since a change is what sets the timer. What was missing is shown at once. A restarted
kubelet finds the folders again by their names and goes on from there. Upstream: pkg/kubelet/volumemanager.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.api.core_v1 import (
    Container,
    PersistentVolume,
    PersistentVolumeSpec,
    Pod,
    ServiceAccountTokenProjection,
    Volume,
    VolumeMount,
)
from services.api.errors import ApiError
from services.kubelet.cri import Mount
from services.kubelet.environment import expand
from services.kubelet.node_context import NodeContext
from services.kubelet.references import ConfigError
from services.kubelet.timers import Timer
from services.kubelet.volumes import atomic, claims, empty_dir, host_path, payload, subpath
from services.kubelet.volumes.claims import NotProcessed
from services.kubelet.volumes.directory import FILLED, PodDirectory, machine_path, plugin_of

SYNC_SECONDS = 60.0
PATIENCE_SECONDS = 123.0  # then an event names all that is missing
RETRY_SECONDS = 0.5
RETRY_SECONDS_MAX = 122.0


@dataclass(frozen=True, slots=True)
class MountFailure:
    """One event of a Pod that cannot have its volumes."""

    reason: str
    message: str


@dataclass(slots=True)
class _PodVolumes:
    places: dict[str, str] = field(default_factory=dict)  # by name: what a mount of it shows
    mounted_at: float = 0.0
    failing_since: float = 0.0
    failures: int = 0
    timer: Timer | None = None
    stale: Callable[[], None] | None = None


class VolumeManager:
    """One node's."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._pods: dict[str, _PodVolumes] = {}
        self._serial = 0
        self._follower = self._changed  # one object for all Pods

    # ---- Mounting ----------------------------------------------------------------------------

    async def mount(self, pod: Pod, stale: Callable[[], None]) -> tuple[bool, list[MountFailure]]:
        """Brings every volume to what it shall show now. Whether that is done, and what to tell the user.

        `stale` is called when a volume has something new to show. ApiError when the server cannot be asked.
        """
        uid = pod.metadata.uid or ""
        known = self._pods.setdefault(uid, _PodVolumes())
        known.stale = stale
        now = self._context.clock.monotonic()
        self._context.references.follow(pod, self._follower)
        failures: list[MountFailure] = []
        missing: list[str] = []
        unprocessed: list[str] = []
        ground = await self._ground(pod, failures)
        for volume in pod.spec.volumes:
            try:
                known.places[volume.name] = await self._mount_one(pod, volume, ground)
            except NotProcessed as why:
                missing.append(volume.name)
                unprocessed.append(f"{volume.name}: {why}")
            except ConfigError as why:
                missing.append(volume.name)
                failures.append(_failed(volume.name, why))
        if not missing:
            known.mounted_at, known.failures = now, 0
            self._arm(uid, known, self._until_renewal(uid))
            return True, []
        known.failing_since = known.failing_since if known.failures else now
        known.failures += 1
        if now - known.failing_since >= PATIENCE_SECONDS or (unprocessed and known.failures > 1):
            failures.append(_impatient(missing, unprocessed))
        return False, failures

    def retry_seconds(self, uid: str) -> float:
        """How long a Pod whose volumes failed waits before the next attempt."""
        failures = self._pods[uid].failures if uid in self._pods else 1
        return float(min(RETRY_SECONDS * 2 ** min(failures - 1, 10), RETRY_SECONDS_MAX))

    async def _ground(self, pod: Pod, failures: list[MountFailure]) -> payload.Ground | ConfigError:
        """What the kubelet's own volumes are made from; the error where it cannot be had."""
        tokens: dict[ServiceAccountTokenProjection, bytes] = {}
        directory = PodDirectory(self._context.root, pod.metadata.uid or "")
        try:
            sources = await self._context.references.fetch(pod)
            for volume, wanted in payload.token_requests(pod):
                shown = f"{directory.volume(volume)}/{wanted.path}"
                tokens[wanted] = await self._context.tokens.get(pod, wanted, shown)
        except ApiError as error:
            if error.code < 400 or error.code >= 500:
                raise
            return ConfigError(f"failed to fetch token: {error.message}")
        except ConfigError as error:
            return error
        return payload.Ground(sources, self._context.allocatable, tokens.__getitem__)

    async def _mount_one(self, pod: Pod, volume: Volume, ground: payload.Ground | ConfigError) -> str:
        plugin = plugin_of(volume)
        directory = PodDirectory(self._context.root, pod.metadata.uid or "")
        if plugin == "empty_dir":
            place = directory.volume(volume)
            empty_dir.make(place)
            return place
        if plugin in FILLED:
            if isinstance(ground, ConfigError):
                raise ground
            place = directory.volume(volume)
            self._serial += 1
            now = self._context.clock.now()
            files = payload.files_of(pod, volume, ground)
            atomic.write(place, files, now, self._serial, sticky=plugin in ("secret", "projected"))
            return place
        if volume.host_path:
            return self._host_path(volume.host_path.path, volume.host_path.type or "")
        if plugin in ("persistent_volume_claim", "ephemeral"):
            found = await claims.volume_of(self._context.client, pod, volume)
            return self._persistent(found, pod)
        raise ConfigError(_unreachable(volume, volume.name, pod))

    def _host_path(self, path: str, kind: str) -> str:
        real = machine_path(self._context.root, self._context.name, path)
        host_path.prepare(real, path, kind)
        return real

    def _persistent(self, found: PersistentVolume, pod: Pod) -> str:
        spec, name = found.spec, found.metadata.name or ""
        try:
            claims.check_node(found, self._context.node)
        except ConfigError as error:
            what = f'MountVolume.NodeAffinity check failed for volume "{name}"'
            raise _Said(f"{what} : {error}") from error
        if spec.host_path:
            return self._host_path(spec.host_path.path, spec.host_path.type or "")
        if spec.local:
            real = machine_path(self._context.root, self._context.name, spec.local.path)
            try:
                host_path.prepare(real, spec.local.path, "Directory")
            except ConfigError as error:
                what = f'MountVolume.NewMounter initialization failed for volume "{name}"'
                raise _Said(f'{what} : path "{spec.local.path}" does not exist') from error
            return real
        if not spec.nfs and not spec.csi:
            raise ConfigError("no volume plugin matched")
        raise ConfigError(_unreachable(spec, name, pod))

    # ---- Containers --------------------------------------------------------------------------

    def mounts(self, pod: Pod, container: Container, environment: Mapping[str, str]) -> tuple[Mount, ...]:
        """One mount for each volumeMount of the container, in order. ConfigError where one cannot be."""
        volumes = {volume.name: volume for volume in pod.spec.volumes}
        return tuple(
            self._container_mount(pod, container, volumes.get(mount.name), mount, index, environment)
            for index, mount in enumerate(container.volume_mounts)
        )

    def _container_mount(
        self,
        pod: Pod,
        container: Container,
        volume: Volume | None,
        mount: VolumeMount,
        index: int,
        environment: Mapping[str, str],
    ) -> Mount:
        uid = pod.metadata.uid or ""
        places = self._pods[uid].places if uid in self._pods else {}
        if volume is None or volume.name not in places:
            raise ConfigError(f'cannot find volume "{mount.name}" to mount into container "{container.name}"')
        place, filled = places[volume.name], plugin_of(volume) in FILLED
        part = mount.sub_path or ""
        if mount.sub_path_expr:
            part = expand(mount.sub_path_expr, environment)
        if part and filled:
            own = PodDirectory(self._context.root, uid).subpath(volume.name, container.name, index)
            place = subpath.of_files(place, part, own, mount.name, container.name)
        elif part:
            place = subpath.of_folder(place, part, mount.name, container.name)
        claim = volume.persistent_volume_claim
        readonly = bool(mount.read_only) or filled or bool(claim and claim.read_only)
        return Mount(container_path=mount.mount_path, host_path=place, readonly=readonly)

    # ---- Changes -----------------------------------------------------------------------------

    def _changed(self, uid: str, new: bool) -> None:
        """Something that the Pod names has changed; `new`: it was not there before."""
        known = self._pods.get(uid)
        if known is None:
            return
        if new or known.failures:
            self._arm(uid, known, 0.0)
            return
        since = self._context.clock.monotonic() - known.mounted_at
        self._arm(uid, known, SYNC_SECONDS - since % SYNC_SECONDS)

    def _until_renewal(self, uid: str) -> float | None:
        return self._context.tokens.renew_in(uid)

    def _arm(self, uid: str, known: _PodVolumes, seconds: float | None) -> None:
        if known.timer is not None:
            known.timer.cancel()
            known.timer = None
        if seconds is None:
            return
        renewal = self._until_renewal(uid)
        wait = seconds if renewal is None else min(seconds, renewal)
        if known.stale is not None:
            known.timer = self._context.timers.after(wait, known.stale)

    # ---- The end -----------------------------------------------------------------------------

    def release(self, uid: str) -> None:
        """The Pod's containers have ended: what its volumes show need not change any more."""
        known = self._pods.pop(uid, None)
        if known is not None and known.timer is not None:
            known.timer.cancel()
        self._context.references.forget(uid)
        self._context.tokens.forget(uid)

    def unmount(self, uid: str) -> None:
        """Leaves nothing of a Pod's volumes on the node; what is not the Pod's own stays."""
        self.release(uid)
        path = PodDirectory(self._context.root, uid).path
        shutil.rmtree(path, ignore_errors=True)


class _Said(ConfigError):
    """Carries its whole message: it failed before SetUp."""


def _failed(name: str, why: ConfigError) -> MountFailure:
    if isinstance(why, _Said):
        return MountFailure("FailedMount", str(why))
    return MountFailure("FailedMount", f'MountVolume.SetUp failed for volume "{name}" : {why}')


def _impatient(missing: list[str], unprocessed: list[str]) -> MountFailure:
    """What upstream says when a Pod has waited too long for its volumes."""
    names = " ".join(sorted(missing))
    failed = " ".join(sorted(text.partition(":")[0] for text in unprocessed))
    why = ", ".join(text.partition(": ")[2] for text in unprocessed) or "context deadline exceeded"
    message = f"Unable to attach or mount volumes: unmounted volumes=[{names}], unattached volumes=[], "
    return MountFailure("FailedMount", message + f"failed to process volumes=[{failed}]: {why}")


def _unreachable(volume: Volume | PersistentVolumeSpec, name: str, pod: Pod) -> str:
    """Why a volume of a machine that is not in this cluster cannot be had, as a real node would say."""
    if volume.nfs:
        where = f"{volume.nfs.server}:{volume.nfs.path}"
        place = f"/var/lib/kubelet/pods/{pod.metadata.uid}/volumes/kubernetes.io~nfs/{name}"
        return (
            "mount failed: exit status 32\nMounting command: mount\n"
            f"Mounting arguments: -t nfs {where} {place}\nOutput: mount.nfs: Failed to resolve server "
            f"{volume.nfs.server}: Name or service not known\n"
        )
    driver = volume.csi.driver if volume.csi else ""
    return (
        "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: "
        f"driver name {driver} not found in the list of registered CSI drivers"
    )
