"""What runs on in kubectl: logs, exec, attach, cp, run, debug, port-forward and proxies, over REST.

The oldest kubectl here speaks SPDY/3.1, the newest WebSockets; both must see the same.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import socket
import ssl
import struct
import subprocess
import termios
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.api.core_v1 import Pod
from services.machinery.pods import is_ready
from tests.e2e.cluster import PATIENCE_SECONDS, Cluster, running
from tests.support import kubectl as real

CHOSEN = [Path(path) for path in real.ENDS.values()]
BYTES = bytes(range(256)) * 2000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not CHOSEN, reason="no kubectl here"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running("--nodes", "1") as cluster:
        cluster.ok("create", "deployment", "kubia", "--image=luksa/kubia")
        cluster.ok("expose", "deployment", "kubia", "--port=80", "--target-port=8080")
        cluster.until(Pod, lambda pods: any(map(is_ready, pods.values())))
        yield cluster


@pytest.fixture(params=CHOSEN, ids=lambda path: str(path.name))
def kubectl(request: pytest.FixtureRequest, cluster: Cluster) -> Kubectl:
    return Kubectl(request.param, cluster)


class Kubectl:
    def __init__(self, path: Path, cluster: Cluster) -> None:
        self.path, self.cluster = path, cluster
        self.environment = {**os.environ, "KUBECONFIG": str(cluster.home / "kubeconfig")}
        self.pod = cluster.ok("get", "pods", "-l", "app=kubia", "-o", "name").splitlines()[0].split("/")[1]

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen((self.path, *words), env=self.environment, **options)

    def run(self, *words: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
        """Exit code, stdout and stderr."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with self.start(*words, **pipes) as process:
            out, error = process.communicate(stdin, timeout=PATIENCE_SECONDS)
            return process.returncode, out, error.decode()

    def raw(self, path: str) -> str:
        code, out, error = self.run("get", "--raw", path)
        return out.decode() if code == 0 else error


# -- logs ------------------------------------------------------------------------------------------


def test_logs(kubectl: Kubectl) -> None:
    assert kubectl.run("logs", kubectl.pod)[1].startswith(b"Kubia server starting...\n")
    assert len(kubectl.run("logs", kubectl.pod, "--tail=1", "--timestamps")[1].splitlines()) == 1
    assert kubectl.run("logs", kubectl.pod, "--limit-bytes=5")[1] == b"Kubia"
    _, _, error = kubectl.run("logs", kubectl.pod, "--previous")
    assert error == (
        f'Error from server (BadRequest): previous terminated container "kubia" in pod "{kubectl.pod}" '
        "not found\n"
    )
    _, _, error = kubectl.run("logs", "nope")
    assert error == 'error: error from server (NotFound): pods "nope" not found in namespace "default"\n' or (
        error == 'Error from server (NotFound): pods "nope" not found\n'
    )
    assert "is not valid for pod" in kubectl.run("logs", kubectl.pod, "-c", "x")[2]


def test_logs_are_followed(kubectl: Kubectl) -> None:
    with kubectl.start("logs", "-f", kubectl.pod, stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == b"Kubia server starting...\n"
        kubectl.raw(f"/api/v1/namespaces/default/pods/{kubectl.pod}:8080/proxy/")
        while not following.stdout.readline().startswith(b"Received request from"):
            pass
        following.kill()


# -- exec, attach, cp, run -------------------------------------------------------------------------


def test_exec_ends_as_its_command(kubectl: Kubectl) -> None:
    command = "echo out; echo err >&2; exit 3"
    code, out, error = kubectl.run("exec", kubectl.pod, "--", "sh", "-c", command)
    assert (code, out) == (3, b"out\n")
    assert sorted(error.splitlines()) == ["command terminated with exit code 3", "err"]


def test_exec_carries_any_bytes_both_ways(kubectl: Kubectl) -> None:
    assert kubectl.run("exec", "-i", kubectl.pod, "--", "cat", stdin=BYTES)[1] == BYTES


def test_exec_is_refused_in_words(kubectl: Kubectl) -> None:
    assert (
        kubectl.run("exec", "nope", "--", "ls")[2] == 'Error from server (NotFound): pods "nope" not found\n'
    )
    code, _, error = kubectl.run("exec", kubectl.pod, "--", "nosuch")
    assert code == 1
    assert 'exec: "nosuch": executable file not found in $PATH' in error


def test_a_terminal(kubectl: Kubectl) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    standard = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    process = kubectl.start("exec", "-it", kubectl.pod, "--", "sh", start_new_session=True, **standard)
    os.close(theirs)
    try:
        screen = Screen(ours)
        screen.until(b"# ")
        os.write(ours, b"tty; cat\n")
        screen.until(b"/dev/pts/0\r\n")
        os.write(ours, b"abc\n\x04")
        screen.until(b"abc\r\nabc\r\n")
        screen.until(b"# ")
        os.write(ours, b"exit 5\n")
        screen.until(b"exit code 5\r\n")
        assert process.wait(PATIENCE_SECONDS) == 5
    finally:
        process.kill()
        process.wait()
        os.close(ours)


class Screen:
    """What a terminal shows, of which each part is waited for in turn."""

    def __init__(self, terminal: int) -> None:
        self._terminal, self._seen = terminal, b""

    def until(self, wanted: bytes) -> None:
        while wanted not in self._seen:
            assert select.select([self._terminal], [], [], PATIENCE_SECONDS)[0], self._seen
            self._seen += os.read(self._terminal, 65536)
        self._seen = self._seen.partition(wanted)[2]


def test_a_command_ends_with_its_client(kubectl: Kubectl) -> None:
    mark = f"4{CHOSEN.index(kubectl.path)}4242"
    with kubectl.start("exec", "-i", kubectl.pod, "--", "sh", "-c", f"echo on; cat; touch /tmp/{mark}",
                       stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        process.kill()
    # Its input has ended with the client, and so `cat` has: what comes after it is done.
    wait = f"until test -e /tmp/{mark}; do sleep 0.1; done"
    assert kubectl.run("exec", kubectl.pod, "--", "sh", "-c", wait)[0] == 0


def test_files_are_copied_both_ways(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(BYTES)
    assert kubectl.run("cp", str(tmp_path / "there"), f"{kubectl.pod}:/tmp/copied")[0] == 0
    assert kubectl.run("cp", f"{kubectl.pod}:/tmp/copied", str(tmp_path / "back"))[0] == 0
    assert (tmp_path / "back").read_bytes() == BYTES


def test_run_attached_and_removed(kubectl: Kubectl) -> None:
    words = ("run", "-i", "--rm", "guest", "--image=busybox", "--restart=Never", "--", "sh")
    code, out, _ = kubectl.run(*words, stdin=b"echo in $((1+1))\n")
    assert code == 0
    assert b"in 2\n" in out
    assert kubectl.run("get", "pod", "guest")[0] == 1


def test_debug_container(kubectl: Kubectl) -> None:
    words = ("debug", "-i", kubectl.pod, "--image=busybox", "--", "sh")
    code, out, error = kubectl.run(*words, stdin=b"hostname; exit 0\n")
    assert code == 0, error
    assert kubectl.pod.encode() in out


# -- port-forward ----------------------------------------------------------------------------------


@contextmanager
def forwarding(kubectl: Kubectl, port: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    words = ("port-forward", kubectl.pod, port, "--address=127.0.0.1")
    with kubectl.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            found = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) ->", line)
            assert found, line
            yield int(found[1]), process
        finally:
            process.kill()


def ask(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as answer:
        body: bytes = answer.read()
        return body


def test_ports_are_forwarded(kubectl: Kubectl) -> None:
    with forwarding(kubectl, ":8080") as (port, _):
        answers = list[bytes]()
        threads = [threading.Thread(target=lambda: answers.append(ask(port))) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [f"You've hit {kubectl.pod}\n".encode()] * 5


def test_a_port_where_nobody_listens(kubectl: Kubectl) -> None:
    with forwarding(kubectl, ":81") as (port, process):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as peer:
            assert peer.recv(1) == b""
        _, error = process.communicate(timeout=PATIENCE_SECONDS)
        assert f"error forwarding port 81 to pod {kubectl.pod}".encode() in error
        assert b"connection refused" in error
        assert error.endswith(b"error: lost connection to pod\n")


# -- proxies ---------------------------------------------------------------------------------------


def test_proxies(kubectl: Kubectl) -> None:
    hit, pods = f"You've hit {kubectl.pod}\n", "/api/v1/namespaces/default/pods"
    assert kubectl.raw(f"{pods}/{kubectl.pod}:8080/proxy/") == hit
    assert kubectl.raw(f"{pods}/http:{kubectl.pod}:8080/proxy/a?b=c") == hit
    services = "/api/v1/namespaces/default/services"
    assert [kubectl.raw(f"{services}/{name}/proxy") for name in ("kubia", "kubia:80")] == [hit, hit]
    refused = "Error from server (ServiceUnavailable): "
    assert kubectl.raw(f"{services}/kubia:99/proxy/") == (
        f'{refused}no service port 99 found for service "kubia"\n'
    )
    assert kubectl.raw(f"{pods}/{kubectl.pod}:81/proxy/").startswith(
        f"{refused}error trying to reach service: dial tcp "
    )


def test_nodes_tell(kubectl: Kubectl) -> None:
    node = "/api/v1/nodes/node-1/proxy"
    assert kubectl.raw(f"{node}/healthz") == "ok"
    assert json.loads(kubectl.raw(f"{node}/stats/summary"))["node"]["nodeName"] == "node-1"
    names = [pod["metadata"]["name"] for pod in json.loads(kubectl.raw(f"{node}/pods"))["items"]]
    assert kubectl.pod in names


# -- what nobody should send -----------------------------------------------------------------------


def connection(cluster: Cluster, tmp_path: Path) -> socket.socket:
    """As the administrator, without kubectl."""
    import base64

    import yaml

    config = yaml.safe_load((cluster.home / "kubeconfig").read_text())
    user, server = config["users"][0]["user"], config["clusters"][0]["cluster"]["server"]
    for name in ("certificate", "key"):
        (tmp_path / name).write_bytes(base64.b64decode(user[f"client-{name}-data"]))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    host, port = server.removeprefix("https://").split(":")
    plain = socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)
    return context.wrap_socket(plain)


def upgraded(peer: socket.socket, path: str, headers: str) -> bytes:
    """The head of the answer."""
    peer.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{headers}\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        data = peer.recv(65536)
        if not data:
            break
        head += data
    return head


SPDY = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: {}\r\n"


def test_nonsense_ends_one_connection(cluster: Cluster, tmp_path: Path) -> None:
    kubectl = Kubectl(CHOSEN[-1], cluster)
    path = f"/api/v1/namespaces/default/pods/{kubectl.pod}"
    forward, run = f"{path}/portforward", f"{path}/exec?command=cat&stdin=true&stdout=true"
    for where, protocol in ((forward, "portforward.k8s.io"), (run, "v4.channel.k8s.io")):
        for garbage in (b"GET / HTTP/1.1\r\n\r\n" * 5, os.urandom(4096), b"\x80\x03\x00\x01\x00\xff\xff\xff"):
            with connection(cluster, tmp_path) as peer:
                assert upgraded(peer, where, SPDY.format(protocol)).startswith(b"HTTP/1.1 101 ")
                try:
                    peer.sendall(garbage)
                    while peer.recv(65536):
                        pass
                except (ConnectionError, ssl.SSLError):
                    continue
        with connection(cluster, tmp_path) as peer:  # half open: it leaves without a word
            assert upgraded(peer, where, SPDY.format(protocol)).startswith(b"HTTP/1.1 101 ")
    refused = [
        (run, SPDY.format("v9.channel.k8s.io"), b"403 "),
        (run, "", b"400 "),
        (run, "Connection: Upgrade\r\nUpgrade: h2c\r\n", b"400 "),
        (f"{path}/exec?stdout=true", SPDY.format("v4.channel.k8s.io"), b"400 "),
        (run, "X-Long: " + "a" * 200_000 + "\r\n", b"400 "),
    ]
    for where, headers, status in refused:
        with connection(cluster, tmp_path) as peer:
            assert upgraded(peer, where, headers).partition(b" ")[2].startswith(status)
    code, out, error = kubectl.run("exec", kubectl.pod, "--", "echo", "on")
    assert (code, out) == (0, b"on\n"), error  # which may say that one of several containers was meant
    assert "fault of ours" not in cluster.log("apiserver")
