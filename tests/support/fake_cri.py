"""A scripted container runtime: does what it is asked at once, and what the test says otherwise.

Keeps sandboxes and containers in memory and tells of each change in `events`, as a real one
does. `pull_errors`, `start_errors` and `http_answers` script its failures; `exit` ends a container.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import count

from msgspec.structs import replace

from services.kubelet.cri import (
    Connection,
    ContainerConfig,
    ContainerRecord,
    ContainerState,
    CriError,
    ExecResult,
    FilesystemUsage,
    HttpAnswer,
    ImageRecord,
    PodRecord,
    RegistryAuth,
    Removed,
    Resources,
    RuntimeInfo,
    SandboxConfig,
    SandboxRecord,
    SandboxUsage,
    Usage,
)
from services.machinery.clock import Clock


class FakeCri:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls: list[str] = []
        self.local: dict[str, ImageRecord] = {}
        self.pull_errors: dict[str, CriError] = {}
        self.start_errors: dict[str, CriError] = {}
        self.http_answers: list[HttpAnswer | CriError] = []
        self.exec_results: list[ExecResult | CriError] = []
        self.configs: dict[str, ContainerConfig] = {}
        self.sandbox_configs: dict[str, SandboxConfig] = {}
        self.pods: dict[str, PodRecord] = {}
        self.usages: list[Usage] = []
        self.cidr = ""
        self.grace: list[int] = []
        self.hold_pulls = asyncio.Event()
        self.hold_pulls.set()
        self.hold_stops = asyncio.Event()
        self.hold_stops.set()
        self.logs: dict[str, bytes] = {}
        self.auths: list[RegistryAuth | None] = []
        self.image_uids: dict[str, int | None] = {}
        self.dial_errors: dict[tuple[str, int], CriError] = {}
        self.connections: list[Connection] = []
        self._ids = count(1)
        self._listeners: list[asyncio.Queue[PodRecord | Removed]] = []

    # ---- What a test does --------------------------------------------------------------------

    def container(self, name: str) -> ContainerRecord:
        """The newest container of that name in any sandbox."""
        found = [c for pod in self.pods.values() for c in pod.containers if c.name == name]
        return max(found, key=lambda c: (c.created_at, c.id))

    def exit(self, name: str, code: int = 0, reason: str = "") -> None:
        record = self.container(name)
        self._change(
            record.id,
            state=ContainerState.EXITED,
            exit_code=code,
            finished_at=self._now(),
            reason=reason or ("Completed" if code == 0 else "Error"),
        )

    def lose_everything(self) -> None:
        """The runtime was restarted, and all that ran in it is gone."""
        for identifier in [*self.pods]:
            del self.pods[identifier]
            self._tell(Removed(identifier))

    # ---- Cri ---------------------------------------------------------------------------------

    async def info(self) -> RuntimeInfo:
        message = "" if self.cidr else "no Pod CIDR yet"
        return RuntimeInfo(name="containerd", version="2.1.4", network_message=message)

    async def set_pod_cidr(self, cidr: str) -> None:
        self.cidr = cidr

    async def run_sandbox(self, config: SandboxConfig) -> str:
        self.calls.append("run_sandbox")
        number = next(self._ids)
        identifier = f"sandbox-{number}"
        self.sandbox_configs[identifier] = config
        sandbox = SandboxRecord(
            id=identifier,
            uid=config.uid,
            name=config.name,
            namespace=config.namespace,
            attempt=config.attempt,
            ready=True,
            created_at=self._now(),
            ip=f"10.244.0.{number}",
        )
        self._put(PodRecord(sandbox=sandbox))
        return identifier

    async def stop_sandbox(self, sandbox_id: str) -> None:
        self.calls.append("stop_sandbox")
        pod = self.pods.get(sandbox_id)
        if pod is not None:
            self._put(PodRecord(sandbox=replace(pod.sandbox, ready=False), containers=pod.containers))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        self.calls.append("remove_sandbox")
        if self.pods.pop(sandbox_id, None) is not None:
            self._tell(Removed(sandbox_id))

    async def pod(self, sandbox_id: str) -> PodRecord:
        if sandbox_id not in self.pods:
            raise CriError("NotFound", f"sandbox {sandbox_id!r} not found")
        return self.pods[sandbox_id]

    async def list_pods(self) -> list[PodRecord]:
        return [*self.pods.values()]

    async def events(self) -> AsyncIterator[PodRecord | Removed]:
        queue: asyncio.Queue[PodRecord | Removed] = asyncio.Queue()
        self._listeners.append(queue)
        while True:
            yield await queue.get()

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        self.calls.append(f"create {config.name}")
        identifier = f"container-{next(self._ids)}"
        self.configs[identifier] = config
        record = ContainerRecord(
            id=identifier,
            name=config.name,
            attempt=config.attempt,
            image=f"docker.io/{config.user_image}",
            image_ref=f"docker.io/{config.user_image}@sha256:abc",
            created_at=self._now(),
            annotations=config.annotations,
            resources=config.resources,
        )
        pod = self.pods[sandbox_id]
        self._put(PodRecord(sandbox=pod.sandbox, containers=(*pod.containers, record)))
        return identifier

    async def start_container(self, container_id: str) -> None:
        name = self.configs[container_id].name
        self.calls.append(f"start {name}")
        if name in self.start_errors:
            now = self._now()
            self._change(
                container_id,
                state=ContainerState.EXITED,
                exit_code=128,
                reason="StartError",
                finished_at=now,
            )
            raise self.start_errors[name]
        self._change(container_id, state=ContainerState.RUNNING, started_at=self._now())

    async def stop_container(self, container_id: str, grace_seconds: int) -> None:
        self.grace.append(grace_seconds)
        await self.hold_stops.wait()
        self.calls.append(f"stop {self.configs[container_id].name}")
        self._change(
            container_id,
            state=ContainerState.EXITED,
            exit_code=137,
            reason="Error",
            finished_at=self._now(),
        )

    async def remove_container(self, container_id: str) -> None:
        self.calls.append(f"remove {self.configs[container_id].name}")
        for pod in self.pods.values():
            left = tuple(c for c in pod.containers if c.id != container_id)
            if len(left) != len(pod.containers):
                self._put(PodRecord(sandbox=pod.sandbox, containers=left))
                return

    async def image(self, name: str) -> ImageRecord | None:
        return self.local.get(name)

    async def images(self) -> list[ImageRecord]:
        return [*self.local.values()]

    async def remove_image(self, image: str) -> None:
        self.calls.append(f"remove_image {image}")
        self.local = {name: record for name, record in self.local.items() if record.id != image}

    async def update_resources(self, container_id: str, resources: Resources) -> None:
        self.calls.append(f"update {self.configs[container_id].name}")
        self._change(container_id, resources=resources)

    async def pull_image(self, name: str, auth: RegistryAuth | None = None) -> str:
        self.calls.append(f"pull {name}")
        self.auths.append(auth)
        await self.hold_pulls.wait()
        if name in self.pull_errors:
            raise self.pull_errors[name]
        self.local[name] = ImageRecord(
            id=f"sha256:{name}", tags=(name,), size_bytes=1234, uid=self.image_uids.get(name, 0)
        )
        return f"sha256:{name}"

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_seconds: int) -> ExecResult:
        self.calls.append("exec " + " ".join(command))
        answer = self.exec_results.pop(0) if self.exec_results else ExecResult()
        if isinstance(answer, CriError):
            raise answer
        return answer

    async def http(
        self,
        ip: str,
        port: int,
        path: str,
        *,
        scheme: str,
        headers: Sequence[tuple[str, str]],
        timeout_seconds: float,
    ) -> HttpAnswer:
        self.calls.append(f"http {ip}:{port}{path}")
        answer = self.http_answers.pop(0) if self.http_answers else HttpAnswer(status=200)
        if isinstance(answer, CriError):
            raise answer
        return answer

    async def dial(self, ip: str, port: int, timeout_seconds: float) -> None:
        self.calls.append(f"dial {ip}:{port}")
        if (ip, port) in self.dial_errors:
            raise self.dial_errors[ip, port]

    async def connect(self, ip: str, port: int) -> Connection:
        self.calls.append(f"connect {ip}:{port}")
        if (ip, port) in self.dial_errors:
            raise self.dial_errors[ip, port]
        return self.connections.pop(0)

    async def forward(self, sandbox_id: str, port: int) -> object:
        raise NotImplementedError

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool, stderr: bool
    ) -> object:
        raise NotImplementedError

    async def attach(self, container_id: str, *, stdin: bool, tty: bool, stderr: bool) -> object:
        raise NotImplementedError

    async def reopen_log(self, container_id: str) -> None:
        self.calls.append(f"reopen_log {container_id}")

    async def read_log(
        self, container_id: str, *, follow: bool, tail_lines: int | None = None
    ) -> AsyncIterator[bytes]:
        yield self.logs.get(container_id, b"")

    async def sandbox_usage(self) -> list[SandboxUsage]:
        return []

    async def image_filesystem(self) -> FilesystemUsage:
        return FilesystemUsage()

    async def usage(self) -> list[Usage]:
        alive = {p.sandbox.uid for p in self.pods.values() if any(c.running for c in p.containers)}
        return [one for one in self.usages if one.pod_uid in alive]

    # ---- Inside ------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self.clock.now().timestamp() * 1e9)

    def _put(self, pod: PodRecord) -> None:
        self.pods[pod.sandbox.id] = pod
        self._tell(pod)

    def _tell(self, event: PodRecord | Removed) -> None:
        for queue in self._listeners:
            queue.put_nowait(event)

    def _change(self, container_id: str, **fields: object) -> None:
        for pod in self.pods.values():
            if any(c.id == container_id for c in pod.containers):
                containers = tuple(
                    replace(c, **fields) if c.id == container_id else c for c in pod.containers
                )
                self._put(PodRecord(sandbox=pod.sandbox, containers=containers))
                return
