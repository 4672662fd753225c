"""Ingress as a reader of the book meets it: several names, real TLS, and nothing when its Pod is gone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.api.core_v1 import Pod, Service
from services.api.networking_v1 import Ingress
from services.machinery.pods import is_ready
from tests.e2e.cluster import PATIENCE_SECONDS, Cluster, eventually, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not shutil.which("curl"), reason="asks with curl"),
]
NAMESPACE = "ingress-nginx"
NODE_PORTS = 32080, 32443
MANIFEST = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  tls: [{hosts: [kubia.example.com], secretName: kubia-tls}]
  rules:
  - host: kubia.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: kubia, port: {name: web}}}}
  - host: plain.example.com
    http:
      paths:
      - {path: /, pathType: Exact, backend: {service: {name: kubia, port: {number: 80}}}}
      - {path: /gone, pathType: Prefix, backend: {service: {name: nobody, port: {number: 80}}}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: kubia}
spec:
  selector: {app: kubia}
  ports: [{name: web, port: 80, targetPort: 8080}]
"""


class Front:
    """curl at the controller's node ports, which everybody may use."""

    def __init__(self, cluster: Cluster, certificate: Path) -> None:
        self.cluster, self.certificate = cluster, certificate
        addresses = cluster.get("node", "node-1")["status"]["addresses"]
        self.ip = next(each["address"] for each in addresses if each["type"] == "InternalIP")

    def get(self, url: str, *words: str) -> str:
        """What comes back, and the status behind it."""
        name = url.split("/")[2].partition(":")[0]
        resolve = [word for port in NODE_PORTS for word in ("--resolve", f"{name}:{port}:{self.ip}")]
        done = subprocess.run(
            ("curl", "-sS", "-m", "30", "-w", " %{http_code} %{redirect_url}", *resolve, *words, url),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        return done.stdout if done.returncode == 0 else f"curl: {done.stderr}"

    def until(self, url: str, wanted: str, *words: str) -> str:
        """Rules and endpoints are taken in a moment after they are written."""

        def answered() -> str:
            said = self.get(url, *words)
            assert wanted in said, f"{url} never answered {wanted!r}: {said}"
            return said

        return str(eventually(answered))


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=kubia.example.com",
         "-addext", "subjectAltName=DNS:kubia.example.com", "-keyout", str(key), "-out", str(certificate)),
        check=True, capture_output=True,
    )  # fmt: skip
    with running("--nodes", "1") as cluster:
        cluster.ok("create", "deployment", "kubia", "--image=luksa/kubia", "--replicas=2")
        cluster.ok("create", "secret", "tls", "kubia-tls", f"--cert={certificate}", f"--key={key}")
        cluster.ok("apply", "-f", "-", stdin=SERVICE)
        cluster.until(Pod, lambda pods: any(map(is_ready, pods.values())), NAMESPACE)
        cluster.ok("apply", "-f", "-", stdin=MANIFEST)
        cluster.until(Pod, lambda pods: len(pods) == 2 and all(map(is_ready, pods.values())))
        yield Front(cluster, certificate)


def test_names_and_paths_lead_to_services(front: Front) -> None:
    assert front.until("http://plain.example.com:32080/", "You've hit kubia-").endswith(" 200 ")

    def all_hit() -> None:
        hit = {front.get("http://plain.example.com:32080/").split()[2] for _ in range(4)}
        assert len(hit) == 2  # one after the other

    eventually(all_hit)
    assert "404 Not Found" in front.get("http://plain.example.com:32080/other")
    assert "503 Service Temporarily Unavailable" in front.get("http://plain.example.com:32080/gone")
    assert "404 Not Found" in front.get("http://other.example.com:32080/")


def test_tls_with_the_certificate_of_its_secret(front: Front) -> None:
    trusting = "--cacert", str(front.certificate)
    said = front.until("https://kubia.example.com:32443/", "You've hit kubia-", *trusting)
    assert said.endswith(" 200 ")
    redirect = front.get("http://kubia.example.com:32080/a?b=c")
    assert redirect.endswith(" 308 https://kubia.example.com/a?b=c")
    stranger = front.get("https://plain.example.com:32443/", *trusting)
    assert stranger.startswith("curl:")
    assert "You've hit" in front.get("https://plain.example.com:32443/", "--insecure")
    assert "The plain HTTP request was sent to HTTPS port" in front.get("http://plain.example.com:32443/")


def test_its_class_address_and_event_are_told(front: Front) -> None:
    cluster = front.cluster
    assert cluster.get("ingress", "web")["spec"]["ingressClassName"] == "nginx"
    services = cluster.until(Service, lambda all_: any(map(_is_settled, all_.values())), NAMESPACE)
    given = next(iter(services.values())).status.load_balancer
    if given is not None and given.ingress:  # ports 80 and 443 are free, and we may listen there
        cluster.until(
            Ingress, lambda all_: all(each.status.load_balancer is not None for each in all_.values())
        )
        assert str(given.ingress[0].ip) in cluster.ok("get", "ingress", "web")
    assert "Scheduled for sync" in cluster.ok("describe", "ingress", "web")


def _is_settled(service: Service) -> bool:
    """An address, or the finalizer of a cloud that tries to give one."""
    return bool(service.metadata.finalizers)


def test_what_changes_counts_at_once(front: Front) -> None:
    front.cluster.ok("delete", "service", "kubia")
    front.until("http://plain.example.com:32080/", "503 Service Temporarily Unavailable")
    front.cluster.ok("apply", "-f", "-", stdin=SERVICE)
    front.until("http://plain.example.com:32080/", "You've hit kubia-")


def test_without_its_pod_there_is_no_ingress_and_a_new_one_heals_it(front: Front) -> None:
    cluster = front.cluster
    cluster.ok("-n", NAMESPACE, "scale", "deployment", "ingress-nginx-controller", "--replicas=0")
    cluster.until(Pod, lambda pods: not pods, NAMESPACE)
    front.until("http://plain.example.com:32080/", "curl: ")
    cluster.ok("-n", NAMESPACE, "scale", "deployment", "ingress-nginx-controller", "--replicas=1")
    front.until("http://plain.example.com:32080/", "You've hit kubia-")


def test_a_nodes_proxy_rules_can_be_read(front: Front) -> None:
    rules = front.cluster.orrery("proxy-rules", "node-1")
    assert rules.startswith("*filter\n")
    assert '"ingress-nginx/ingress-nginx-controller:http" -m tcp --dport 32080 -j KUBE-EXT-' in rules
