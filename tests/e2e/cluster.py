"""A real cluster for end-to-end tests: started by `orrery`, used through `ok`, broken on purpose."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc.aio

from services.api.core_v1 import Pod
from services.api.errors import ApiError
from services.api.object import Object, ObjectKey
from services.client.client import Client, connect
from services.client.credentials import KUBELET_SERVER_NAME, Credentials, of_administrator, open_channel
from services.launcher.addresses import Addresses
from services.machinery.pods import is_ready
from services.process.healthcheck import SERVING

T = TypeVar("T", bound=Object)

MANIFESTS = Path(os.environ.get("ORRERY_MANIFESTS") or Path(__file__).parents[3] / "shared" / "manifests")
PATIENCE_SECONDS = 180.0
RETRY_SECONDS = 0.1


class Cluster:
    def __init__(self, home: Path) -> None:
        self.home = home
        self._environment = {**os.environ, "ORRERY_HOME": str(home), "NO_COLOR": "1"}

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.home / "cluster.json").read_text())
        return record

    @property
    def apiserver(self) -> str:
        return str(self.record["apiserver"])

    def connect(self, user_agent: str) -> AbstractAsyncContextManager[Client]:
        """As the administrator."""
        mine = of_administrator(self.home)
        return connect(self.apiserver, user_agent=user_agent, credentials=mine)

    def orrery(self, *words: str, timeout: float = PATIENCE_SECONDS) -> str:
        return self._run("services.launcher", words, timeout=timeout).stdout

    def ok(self, *words: str, stdin: str = "") -> str:
        """What `ok` prints; fails the test when it fails."""
        return self._run("services.kubectl", words, stdin=stdin).stdout

    def ok_refused(self, *words: str, stdin: str = "") -> str:
        """What `ok` says on stderr; fails the test when it does not fail."""
        done = self._run("services.kubectl", words, stdin=stdin, check=False)
        assert done.returncode != 0, f"ok {' '.join(words)} should have failed:\n{done.stdout}"
        return done.stderr

    def get(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ok("get", *words, "-o", "json"))
        return found

    def log(self, component: str) -> str:
        """Its whole lines so far; the last one may still be written."""
        whole, newline, _ = (self.home / "logs" / f"{component}.log").read_bytes().rpartition(b"\n")
        return (whole + newline).decode(errors="replace")

    def told(self, component: str, *words: str) -> str:
        """The first line of its log with all those words: it may be written after what it tells of."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            for line in self.log(component).splitlines():
                if all(word in line for word in words):
                    return line
            assert time.monotonic() < deadline, f"{component} never told of {words}"
            time.sleep(RETRY_SECONDS)  # a file tells nobody that it grows

    def pids(self) -> dict[str, int]:
        from services.launcher import control
        from services.launcher.home import Home

        answer = control.ask(Home(self.home), {"command": "status"})
        return {child["name"]: child["pid"] for child in answer["components"] if child["pid"]}

    def etcd(self, *words: str) -> str:
        """The witness's view of the store, past the API server."""
        return self.orrery("etcd", *words)

    def trouble(self, component: str) -> str:
        """Empty when it says that it serves, over its port and with the administrator's certificate."""
        with_tls = component == "apiserver" or component.startswith("node")
        mine = of_administrator(self.home) if with_tls else None
        return asyncio.run(health(self.address(component), mine, server_name(component)))

    def address(self, component: str) -> str:
        record = self.record
        host = Addresses.from_json(record["addresses"]).node(component)
        return f"{host}:{record['ports'][component]}"

    def until(
        self, kind: type[T], condition: Callable[[dict[ObjectKey, T]], bool], namespace: str = "default"
    ) -> dict[ObjectKey, T]:
        """Follows a collection until it meets the condition, whatever dies meanwhile."""
        return asyncio.run(self._until(kind, condition, namespace))

    async def _until(
        self, kind: type[T], condition: Callable[[dict[ObjectKey, T]], bool], namespace: str
    ) -> dict[ObjectKey, T]:
        objects: dict[ObjectKey, T] = {}
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self.connect("e2e") as client:
                while True:
                    try:
                        page = await client.list_page(kind, namespace, limit=0)
                        objects = {item.key: item for item in page.items}
                        if condition(objects):
                            return objects
                        version = page.resource_version
                        async for events in client.watch(kind, namespace, resource_version=version):
                            for event in events:
                                if event.object is None:
                                    continue
                                if event.type == "DELETED":
                                    objects.pop(event.object.key, None)
                                else:
                                    objects[event.object.key] = event.object
                            if condition(objects):
                                return objects
                    except ApiError:
                        await asyncio.sleep(RETRY_SECONDS)  # killed on purpose; it comes back
        except TimeoutError:
            seen = "\n".join(summary(object_) for object_ in objects.values())
            raise AssertionError(
                f"{kind.kind}s never met the condition; at last there were\n{seen}"
            ) from None

    def _run(
        self,
        module: str,
        words: tuple[str, ...],
        *,
        stdin: str = "",
        check: bool = True,
        timeout: float = PATIENCE_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            (sys.executable, "-m", module, *words),
            env=self._environment,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",  # what a test sends need not be text
            timeout=timeout,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{module} {' '.join(words)} → {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done


def eventually(act: Callable[[], Any]) -> Any:
    """What it gives once it raises neither OSError nor AssertionError any more."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return act()
        except (OSError, AssertionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)


def server_name(component: str) -> str:
    """Whose certificate to ask for, where the address alone does not say it."""
    return KUBELET_SERVER_NAME if component.startswith("node") else ""


async def health(address: str, credentials: Credentials | None, name: str = "") -> str:
    """What is wrong with whoever serves there."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    try:
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            open_channel(address, credentials, options, server_name=name) as channel,
        ):
            answer = await channel.unary_unary("/grpc.health.v1.Health/Check", None, None)(b"")
    except (grpc.aio.AioRpcError, TimeoutError) as error:
        return f"{address}: {error}"
    return "" if answer == SERVING else f"{address} is not serving yet"


def summary(object_: Object) -> str:
    """One line of an object that a failed wait leaves behind."""
    if not isinstance(object_, Pod):
        return f"  {object_.key}: {getattr(object_, 'status', '')}"[:300]
    images = ",".join(container.image or "" for container in object_.spec.containers)
    going = " terminating" if object_.metadata.deletion_timestamp else ""
    state = f"{object_.status.phase} ready={is_ready(object_)}{going}"
    return f"  {object_.key} {state} {images} on {object_.spec.node_name}"


@contextmanager
def running(*flags: str) -> Iterator[Cluster]:
    # A short path: sockets lie below it.
    with tempfile.TemporaryDirectory(prefix="orrery-e2e-") as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.orrery("up", "-d", *flags)
            yield cluster
        finally:
            cluster.orrery("down")
