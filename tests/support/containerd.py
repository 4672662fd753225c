"""A real containerd for tests: Debian's, in a folder of its own, with images made here.

It needs root, containerd with its CRI plugin, runc, a static busybox and mounts; where one of them is
missing `why_not` says which, and tests skip with those words. No registry is asked: two images are
made from busybox and imported. Pods get addresses where CNI's `ptp`, `host-local` and `loopback` are
installed; without them only Pods of the host's network start. Everything ends with the block.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import platform
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc.aio

from services.pb.runtime.v1 import api_pb2 as pb
from services.pb.runtime.v1.api_pb2_grpc import RuntimeServiceStub

BUSYBOX = "docker.io/library/busybox:latest"
PAUSE = "registry.k8s.io/pause:3.6"
START_SECONDS_MAX = 60.0
SUBNET = "10.99.7.0/24"  # of no range that a machine here uses
_PLUGINS = ("ptp", "host-local", "loopback")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Containerd:
    socket: Path
    has_network: bool  # whether a Pod may have a network of its own


def why_not() -> str:
    """What keeps this machine from running containers; empty when nothing does."""
    if os.geteuid() != 0:
        return "containerd needs root"
    for program in ("containerd", "ctr", "runc", "containerd-shim-runc-v2"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: containerd, runc)"
    if _busybox() is None:
        return "there is no static busybox to make an image of (Debian: busybox-static)"
    if not _may_mount():
        return "this machine lets nobody mount, so no container can start"
    return ""


@contextmanager
def containerd(root: Path) -> Iterator[Containerd]:
    """A containerd that serves the CRI until the block ends. Raises TimeoutError with its log."""
    # The address of a unix socket is short, a test's folder may not be.
    place = Path(tempfile.mkdtemp(prefix="orrery-"))
    socket, plugins = place / "containerd.sock", _plugins()
    config = root / "config.toml"
    config.write_text(_config(root, socket, plugins or Path("/nonexistent")))
    if plugins is not None:
        (root / "cni").mkdir()
        (root / "cni" / "10-test.conflist").write_text(_network(root))
    log = root / "containerd.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["containerd", "--config", str(config)], stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait(socket, process, log)
        for name, entry in ((BUSYBOX, ["sh"]), (PAUSE, ["sleep", "2147483647"])):
            archive = root / "image.tar"
            archive.write_bytes(_image(name, entry))
            _ctr(socket, "images", "import", str(archive))
        yield Containerd(socket, plugins is not None)
        asyncio.run(_remove_all(socket))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=START_SECONDS_MAX)
        shutil.rmtree(place, ignore_errors=True)


async def _remove_all(socket: Path) -> None:
    """A container of containerd lives on without it: none may be left."""
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        runtime = RuntimeServiceStub(channel)
        for item in (await runtime.ListPodSandbox(pb.ListPodSandboxRequest())).items:
            with suppress(grpc.aio.AioRpcError):  # a kubelet may still be at it
                await runtime.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=item.id))
                await runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=item.id))


def _busybox() -> Path | None:
    for path in (Path("/bin/busybox"), Path("/usr/bin/busybox")):
        if path.exists() and b"ld-linux" not in path.read_bytes()[:4096]:
            return path
    return None


def _may_mount() -> bool:
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    return tried.returncode == 0


def _plugins() -> Path | None:
    for folder in (Path("/opt/cni/bin"), Path("/usr/lib/cni")):
        if all((folder / name).exists() for name in _PLUGINS):
            return folder
    return None


def _wait(socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        if socket.exists():
            found = subprocess.run(
                ["ctr", "--address", str(socket), "version"], capture_output=True, check=False
            )
            if found.returncode == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"containerd does not serve; its log ends: {log.read_text()[-2000:]}")


def _ctr(socket: Path, *words: str) -> None:
    subprocess.run(
        ["ctr", "--address", str(socket), "--namespace", "k8s.io", *words], check=True, capture_output=True
    )


def _config(root: Path, socket: Path, plugins: Path) -> str:
    return f"""
version = 2
root = "{root}/root"
state = "{root}/state"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  stats_collect_period = 1
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{root}/cni"
"""


def _network(root: Path) -> str:
    addresses = {"type": "host-local", "dataDir": f"{root}/addresses", "ranges": [[{"subnet": SUBNET}]]}
    plugin = {"type": "ptp", "ipam": {**addresses, "routes": [{"dst": "0.0.0.0/0"}]}}
    return json.dumps({"cniVersion": "0.4.0", "name": "test", "plugins": [plugin]})


def _image(name: str, command: list[str]) -> bytes:
    """An archive as `docker save` writes it: busybox with all its names."""
    layer = _layer()
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": command},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{}],
    }
    content = json.dumps(config).encode()
    identifier = hashlib.sha256(content).hexdigest()
    manifest = [{"Config": f"{identifier}.json", "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]
    files = {
        f"{identifier}.json": content,
        f"{digest}/layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, data in files.items():
            _add(tar, path, data)
    return archive.getvalue()


def _layer() -> bytes:
    busybox = _busybox()
    assert busybox is not None
    names = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for folder in ("bin", "etc", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        _add(tar, "bin/busybox", busybox.read_bytes())
        for name in names:
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
    return layer.getvalue()


def _add(tar: tarfile.TarFile, path: str, data: bytes) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(data), 0o755
    tar.addfile(entry, io.BytesIO(data))
