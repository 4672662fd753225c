"""All kubelets of one process: one, as on a real machine, or hundreds of hollow ones.

They share the connection to the API server, one informer per kind, the timers, the recorder and
the status manager; each has a runtime, workers and heartbeats of its own. A node that is alone
watches its own Pods; many together watch all Pods that are bound anywhere, and take theirs.
Faults of the API server or of a runtime are waited out here; nothing else ends the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from services.api.core_v1 import Node, Pod, Service
from services.api.object import ObjectKey
from services.client.client import Client
from services.client.informer import Informer, InformerFactory
from services.client.recorder import EventRecorder
from services.kubelet import node_status, volumes
from services.kubelet.configuration import HostUsage, KubeletConfiguration
from services.kubelet.cri import ContainerRecord, Cri, CriError
from services.kubelet.eviction_manager import EvictionManager
from services.kubelet.image_manager import ImageManager
from services.kubelet.kubelet import Kubelet
from services.kubelet.log_rotation import LogRotator
from services.kubelet.mirror_statuses import MirrorStatuses
from services.kubelet.node_agent import NodeAgent
from services.kubelet.node_context import NodeContext
from services.kubelet.node_status import Machine
from services.kubelet.pod_worker import PodWorker
from services.kubelet.prober import Prober
from services.kubelet.references import References
from services.kubelet.runtime_config import pod_log_directory
from services.kubelet.sharing import Shared
from services.kubelet.shutdown import ShutdownManager
from services.kubelet.static_pods import StaticPods, is_mirror
from services.kubelet.status_manager import StatusManager
from services.kubelet.timers import Timers
from services.kubelet.tokens import Tokens
from services.machinery.clock import Clock
from services.process.logging import Logger

RELIST_SECONDS = 300.0  # With events a relist only makes up for what nobody can miss.
RELIST_WITHOUT_EVENTS_SECONDS = 1.0
RECONNECT_SECONDS = 1.0
NODES_STARTING_MAX = 32
STATIC_WAIT_SECONDS = 3.0
BY_NODE = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfig:
    names: Sequence[str]
    ip: str
    port: int
    root: Path
    machine: Machine
    labels: dict[str, str]
    kubelet: KubeletConfiguration = field(default_factory=KubeletConfiguration)
    boot_id: str = ""
    # What a machine uses beside its Pods, and where a path of it lies here.
    usage: Callable[[str], HostUsage] = lambda name: HostUsage()
    machine_path: Callable[[str, str], Path] = lambda name, path: Path(path)


@dataclass(slots=True)
class Member:
    """One node of the process."""

    kubelet: Kubelet
    agent: NodeAgent
    eviction: EvictionManager
    shutdown: ShutdownManager
    static: StaticPods
    accepts: bool = False  # it has seen what its runtime holds, and may start things


class Fleet:
    def __init__(
        self,
        config: FleetConfig,
        client: Client,
        cri_of: Callable[[str], Cri],
        *,
        clock: Clock,
        random: Random,
        log: Logger,
    ) -> None:
        self._config, self._client, self._cri_of = config, client, cri_of
        self._clock, self._random, self._log = clock, random, log
        self._informers = InformerFactory(client, clock, random, log)
        self._recorder = EventRecorder(client, clock, "kubelet", log=log)
        self._timers = Timers(clock)
        self._references = References(client, clock, random, log, self._timers)
        self._tokens = Tokens(client, clock, random)
        self._statuses = StatusManager(client, self._timers, clock, log)
        self._shared = Shared()
        self.members: dict[str, Member] = {}
        self._pods: Informer[Pod]
        self._services: Informer[Service]
        self._nodes: Informer[Node]

    def _log_rotator(self) -> LogRotator:
        limits = self._config.kubelet
        return LogRotator(
            self._running, self._clock, self._log,
            size_max=limits.container_log_bytes_max, files_max=limits.container_log_files_max,
        )  # fmt: skip

    async def run(self, on_ready: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled. `on_ready` runs once every node has registered."""
        self._choose_informers()
        async with asyncio.TaskGroup() as group:
            for name in self._config.names:
                self.members[name] = self._member(name, group)
            group.create_task(self._timers.run())
            group.create_task(self._recorder.run())
            group.create_task(self._statuses.run())
            group.create_task(self._log_rotator().run())
            group.create_task(self._references.run())
            group.create_task(self._informers.run())
            gate = asyncio.Semaphore(NODES_STARTING_MAX)
            async with asyncio.TaskGroup() as starting:
                for member in self.members.values():
                    starting.create_task(self._start(member, gate, group))
            self._remove_orphaned_folders()
            await on_ready()

    def _running(self) -> Iterator[tuple[Cri, ContainerRecord]]:
        for member in self.members.values():
            cri = member.kubelet.context.cri
            for worker in member.kubelet.workers.values():
                for record in worker.view.current.values():
                    yield cri, record

    def _remove_orphaned_folders(self) -> None:
        """What Pods left on the disk that went while this process was away."""
        known = {pod.metadata.uid or "" for pod in self._pods.store.list()}
        for member in self.members.values():
            known |= member.kubelet.known()
        if removed := volumes.remove_orphans(self._config.root, known):
            self._log.info("Removed the files of Pods that are gone", pods=len(removed))

    def find(self, namespace: str, name: str) -> tuple[Kubelet, PodWorker] | None:
        """The kubelet here that has a Pod of that name, and what it knows of the Pod."""
        key = ObjectKey(namespace, name)
        pod = self._pods.store.get(key)
        if (pod is None or is_mirror(pod)) and len(self.members) == 1:
            # A static Pod is not the one that the API server shows, if it shows one at all.
            pod = next(iter(self.members.values())).static.find(key) or pod
        member = self.members.get(pod.spec.node_name or "") if pod is not None else None
        if pod is None or member is None:
            return None
        worker = member.kubelet.workers.get(pod.metadata.uid or "")
        return (member.kubelet, worker) if worker is not None else None

    def _choose_informers(self) -> None:
        alone = self._config.names[0] if len(self._config.names) == 1 else ""
        pods = f"spec.nodeName={alone}" if alone else "spec.nodeName!="
        self._pods = self._informers.informer(Pod, fields=pods, transform=self._share)
        self._pods.store.add_index(BY_NODE, lambda pod: (pod.spec.node_name or "",))
        self._services = self._informers.informer(Service)
        self._nodes = self._informers.informer(Node, fields=f"metadata.name={alone}" if alone else "")
        self._pods.add_handler(
            self._pod_set, lambda old, new, cause: self._pod_set(new, cause), self._pod_removed
        )
        self._nodes.add_handler(self._node_set, lambda old, new, cause: self._node_set(new, cause))

    def _member(self, name: str, group: asyncio.TaskGroup) -> Member:
        config = self._config
        statuses = MirrorStatuses(self._statuses)
        context = NodeContext(
            name=name,
            ip=config.ip,
            root=config.root,
            cri=self._cri_of(name),
            client=self._client,
            recorder=self._recorder.named("kubelet", name),
            clock=self._clock,
            random=self._random,
            log=self._log if len(config.names) == 1 else self._log.bind(node=name),
            timers=self._timers,
            group=group,
            statuses=statuses,
            references=self._references,
            tokens=self._tokens,
            services=lambda: self._services.store.list(),
            capacity=node_status.capacity(config.machine),
            allocatable=node_status.allocatable(
                config.machine, config.kubelet.system_reserved, config.kubelet.kube_reserved
            ),
            labels=config.labels,
        )
        agent = NodeAgent(context, config.machine, config.port, config.boot_id)
        images = ImageManager(
            context.cri, self._clock, agent.images_changed, parallel_pulls=config.kubelet.parallel_pulls
        )
        kubelet = Kubelet(context, images, Prober(context.cri, self._timers, group))
        eviction = EvictionManager(
            kubelet,
            config.kubelet,
            lambda: config.usage(name),
            lambda pod: config.machine_path(name, pod_log_directory(pod)),
            agent.reference(),
            agent.report,
            periodic=len(config.names) == 1,
        )
        static = StaticPods(
            context,
            statuses,
            lambda pod: kubelet.pod_set(pod, ""),
            lambda pod: kubelet.pod_removed(pod, ""),
            lambda uid: uid in kubelet.workers,
        )
        kubelet.ended = static.ended
        return Member(
            kubelet, agent, eviction, ShutdownManager(kubelet, config.kubelet, agent.report), static
        )

    # ---- Config ------------------------------------------------------------------------------

    def _share(self, pod: Pod) -> Pod:
        return self._shared.pod(pod, self._pods.store.get(pod.key))

    def _pod_set(self, pod: Pod, cause: str) -> None:
        member = self.members.get(pod.spec.node_name or "")
        if member is not None and is_mirror(pod):
            member.static.mirror_set(pod)
        elif member is not None and member.accepts:
            member.kubelet.pod_set(pod, cause)

    def _pod_removed(self, pod: Pod, cause: str) -> None:
        member = self.members.get(pod.spec.node_name or "")
        if member is not None and is_mirror(pod):
            member.static.mirror_removed(pod)
        elif member is not None:
            member.kubelet.pod_removed(pod, cause)

    def _node_set(self, node: Node, cause: str) -> None:
        member = self.members.get(node.metadata.name or "")
        if member is not None:
            member.agent.node_seen(node)

    # ---- PLEG --------------------------------------------------------------------------------

    async def _start(self, member: Member, gate: asyncio.Semaphore, group: asyncio.TaskGroup) -> None:
        """Registers; looks at what runs already; only then takes Pods in."""
        context = member.kubelet.context
        async with gate:
            listed = asyncio.Event()
            group.create_task(self._follow_runtime(member, listed))
            await listed.wait()
            await self._start_static(member, group)
            await member.agent.start()
            member.static.registered()
            await self._pods.wait_synced()
            await self._services.wait_synced()
            member.accepts = True
            for pod in self._pods.store.by_index(BY_NODE, context.name):
                self._pod_set(pod, "")
            await member.kubelet.remove_orphans()
            group.create_task(member.eviction.run())

    async def _start_static(self, member: Member, group: asyncio.TaskGroup) -> None:
        """They need no API server; but where there is one, it tells how their containers were counted."""
        config = self._config.kubelet
        if config.manifests is None:
            return
        try:
            async with self._clock.timeout(STATIC_WAIT_SECONDS):
                await self._pods.wait_synced()
        except TimeoutError:
            pass
        group.create_task(member.static.run(config.manifests, config.file_check_seconds))
        await member.static.listed.wait()

    async def _follow_runtime(self, member: Member, listed: asyncio.Event) -> None:
        """Events for as long as they come; a list after each gap; lists alone where there are none."""
        context = member.kubelet.context
        pause = RELIST_SECONDS
        while True:
            lost: CriError | None = None
            try:
                async with asyncio.TaskGroup() as both:
                    if pause == RELIST_SECONDS:
                        both.create_task(self._read_events(member))
                    both.create_task(self._relist(member, listed, pause))
            except* CriError as errors:
                lost = _first(errors)
            if lost is not None and lost.code == "Unimplemented":
                pause = RELIST_WITHOUT_EVENTS_SECONDS
                continue
            context.log.debug("Lost the runtime's events", node=context.name, error=str(lost))
            await context.clock.sleep(RECONNECT_SECONDS)
            member.agent.runtime_restarted()

    async def _read_events(self, member: Member) -> None:
        async for event in member.kubelet.context.cri.events():
            member.kubelet.runtime_event(event)
        raise CriError("Unavailable", "the runtime ended its events")

    async def _relist(self, member: Member, listed: asyncio.Event, pause: float) -> None:
        context = member.kubelet.context
        while True:
            since = member.kubelet.news
            member.kubelet.relisted(await context.cri.list_pods(), since)
            listed.set()
            await context.clock.sleep(pause)


def _first(errors: BaseExceptionGroup[CriError]) -> CriError:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
