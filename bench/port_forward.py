"""How fast bytes come through one `ok port-forward`: `python -m bench.port_forward`.

A Pod's web server sends a file of 15 MB again and again over one connection: through the node's process
(runtime and kubelet), the API server and `ok`. The processor time of each tells where the time goes.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from bench.cluster import Cluster, cpu_seconds, running_cluster
from bench.scenarios import Figure, difference

FILE_BYTES = 15_000_000
FILES = 20
BUDGET_SECONDS_A_GIGABYTE = 5.0  # 200 MB/s
REQUEST = b"GET /big HTTP/1.1\r\nHost: bench\r\n\r\n"


def port_forward(cluster: Cluster) -> Iterator[Figure]:
    environment = {**os.environ, "ORRERY_HOME": str(cluster.home.path)}
    ok = (sys.executable, "-m", "services.kubectl")

    def run(*words: str) -> None:
        subprocess.run((*ok, *words), env=environment, check=True, stdout=subprocess.DEVNULL)

    run("run", "bench-web", "--image=nginx")
    run("wait", "--for=condition=ready", "pod/bench-web", "--timeout=60s")
    run("exec", "bench-web", "--", "sh", "-c", f"head -c {FILE_BYTES} /dev/zero > /usr/share/nginx/html/big")
    forward = (*ok, "port-forward", "bench-web", ":80", "--address=127.0.0.1")
    with subprocess.Popen(forward, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().split(":")[1].split(" ")[0])
            download(port, 1)
            before = {**cluster.cpu_seconds(), "ok": cpu_seconds(process.pid)}
            began = time.perf_counter()
            size = download(port, FILES)
            seconds = time.perf_counter() - began
            used = difference({**cluster.cpu_seconds(), "ok": cpu_seconds(process.pid)}, before)
        finally:
            process.kill()
    gigabytes = size / 1e9
    yield Figure("port-forward, one gigabyte", seconds / gigabytes, "s", BUDGET_SECONDS_A_GIGABYTE)
    yield Figure("port-forward, throughput", size / seconds / 1e6, "MB/s")
    for name, value in used.items():
        if value / gigabytes > 0.5:
            yield Figure(f"port-forward, processor time of {name} for it", value / gigabytes, "s")


def download(port: int, files: int) -> int:
    """The bytes that came; one request after the other."""
    total, buffer = 0, bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port)) as peer:
        for _ in range(files):
            peer.sendall(REQUEST)
            left = FILE_BYTES  # and the head, which is less than what a read of the end may leave
            while left > 0:
                count = peer.recv_into(buffer)
                if not count:
                    raise ConnectionError("the connection ended early")
                left -= count
                total += count
    return total


def main() -> int:
    with running_cluster("--nodes", "1") as cluster:
        for figure in port_forward(cluster):
            print(figure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
