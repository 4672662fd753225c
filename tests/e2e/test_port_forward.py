"""`ok port-forward` and `ok proxy` as a person uses them: bytes through a real cluster, their words."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from services.api.core_v1 import Pod
from services.machinery.pods import is_ready
from tests.e2e.cluster import PATIENCE_SECONDS, Cluster, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running("--nodes", "1") as cluster:
        cluster.ok("create", "deployment", "kubia", "--image=luksa/kubia")
        cluster.ok("expose", "deployment", "kubia", "--port=80", "--target-port=8080")
        cluster.until(Pod, lambda pods: any(map(is_ready, pods.values())))
        yield cluster


class Session:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.out = process.stdout

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it said on stderr."""
        _, error = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, error


def forwarding(cluster: Cluster, *words: str) -> AbstractContextManager[Session]:
    return lasting(cluster, "port-forward", *words)


@contextmanager
def lasting(cluster: Cluster, *words: str) -> Iterator[Session]:
    process = subprocess.Popen(
        (sys.executable, "-m", "services.kubectl", *words),
        env={**os.environ, "ORRERY_HOME": str(cluster.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Session(process)
    finally:
        process.kill()
        process.communicate()


def port_of(line: str) -> int:
    assert line.startswith("Forwarding from 127.0.0.1:"), line
    return int(line.split(":")[1].split(" ")[0])


def ask(port: int, path: str = "") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_SECONDS) as answer:
        text: str = answer.read().decode()
        return text


def refused(port: int, path: str, host: str = "localhost") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=PATIENCE_SECONDS)
    with error.value as answer:
        return answer.code, answer.read().decode()


def test_a_service_is_reached_until_the_interrupt(cluster: Cluster) -> None:
    with forwarding(cluster, "svc/kubia", ":80", "--address", "127.0.0.1") as session:
        line = session.out.readline()
        port = port_of(line)
        assert line == f"Forwarding from 127.0.0.1:{port} -> 8080\n"
        assert ask(port).startswith("You've hit kubia-")
        assert session.out.readline() == f"Handling connection for {port}\n"
        session.process.send_signal(signal.SIGINT)
        assert session.end() == (0, "")


def test_several_ports_and_a_side_that_says_no_more(cluster: Cluster) -> None:
    with forwarding(cluster, "deploy/kubia", ":8080", ":8080", "--address=127.0.0.1") as session:
        ports = [port_of(session.out.readline()) for _ in range(2)]
        for port in ports:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as peer:
                peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                peer.shutdown(socket.SHUT_WR)
                assert b"".join(iter(lambda: peer.recv(65536), b"")).startswith(b"HTTP/1.1 200 OK")


def test_a_port_where_nobody_listens_ends_it(cluster: Cluster) -> None:
    with forwarding(cluster, "deploy/kubia", ":81", "--address=127.0.0.1") as session:
        with socket.create_connection(("127.0.0.1", port_of(session.out.readline()))) as peer:
            assert peer.recv(1) == b""
        code, said = session.end()
        assert code == 1
        assert said.endswith("error: lost connection to pod\n")
        assert "an error occurred forwarding" in said
        assert "connection refused" in said


def test_it_ends_with_its_pod(cluster: Cluster) -> None:
    cluster.ok("run", "short", "--image=luksa/kubia")
    cluster.ok("wait", "--for=condition=ready", "pod/short")
    with forwarding(cluster, "short", ":8080", "--address=127.0.0.1") as session:
        port_of(session.out.readline())
        cluster.ok("delete", "pod", "short", "--now")
        assert session.end() == (1, "error: lost connection to pod\n")


def test_the_api_and_what_is_behind_it_through_a_proxy(cluster: Cluster) -> None:
    with lasting(cluster, "proxy", "--port=0") as session:
        line = session.out.readline()
        assert line.startswith("Starting to serve on 127.0.0.1:")
        port = int(line.rpartition(":")[2])
        assert json.loads(ask(port, "/version"))["major"] == "1"
        pods = json.loads(ask(port, "/api/v1/namespaces/default/pods"))
        name = next(pod["metadata"]["name"] for pod in pods["items"] if "kubia" in pod["metadata"]["name"])
        base = "/api/v1/namespaces/default"
        assert ask(port, f"{base}/services/kubia:80/proxy/") == f"You've hit {name}\n"
        assert ask(port, f"{base}/services/http:kubia:/proxy/any?x=1") == f"You've hit {name}\n"
        assert ask(port, f"{base}/pods/{name}:8080/proxy/") == f"You've hit {name}\n"
        assert refused(port, f"{base}/services/nope/proxy/")[0] == 404
        code, said = refused(port, f"{base}/services/kubia:81/proxy/")
        assert (code, json.loads(said)["reason"]) == (503, "ServiceUnavailable")
        code, said = refused(port, f"{base}/pods/{name}:81/proxy/")
        assert code == 503
        assert "error trying to reach service" in json.loads(said)["message"]
        assert refused(port, f"{base}/pods/{name}/exec?command=ls") == (403, "Forbidden\n")
        assert refused(port, "/version", host="example.com") == (403, "Forbidden\n")
        session.process.send_signal(signal.SIGINT)
        assert session.end() == (0, "")


def test_what_cannot_be_is_said_as_kubectl_says_it(cluster: Cluster) -> None:
    fails = cluster.ok_refused
    usage = "error: TYPE/NAME and list of ports are required for port-forward\n"
    assert fails("port-forward", "deploy/kubia").startswith(usage)
    assert fails("port-forward", "nope", "80") == 'Error from server (NotFound): pods "nope" not found\n'
    cluster.ok("run", "pending", "--image=nosuch/image:1")
    assert fails("port-forward", "pending", "80") == (
        "error: unable to forward port because pod is not running. Current status=Pending\n"
    )
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        said = fails("port-forward", "deploy/kubia", f"{taken}:8080", "--address=127.0.0.1")
    assert said == (
        f"Unable to listen on port {taken}: Listeners failed to create with the following errors: [unable to "
        f"create listener: Error listen tcp4 127.0.0.1:{taken}: bind: address already in use]\n"
        f"error: unable to listen on any of the requested ports: [{{{taken} 8080}}]\n"
    )
