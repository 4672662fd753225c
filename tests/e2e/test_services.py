"""Services and their names on a real cluster: asked from containers and, as dig does, from this machine."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.reversename
import pytest

from services.api.core_v1 import Endpoints, Pod, Service
from services.machinery.pods import is_ready
from tests.e2e.cluster import PATIENCE_SECONDS, Cluster, eventually, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DNS_PORT = 30053
PAUSE_SECONDS = 0.2
ZONE = "svc.cluster.local"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: peers, namespace: shop}
spec:
  clusterIP: None
  selector: {app: web}
  ports: [{name: http, port: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: out, namespace: shop}
spec: {type: ExternalName, externalName: web.shop.svc.cluster.local}
---
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: shop, labels: {app: web}}
spec:
  hostname: first
  subdomain: peers
  terminationGracePeriodSeconds: 0
  containers: [{name: web, image: luksa/kubia}]
---
apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: curlimages/curl, command: [sleep, "1000000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: own}
spec:
  terminationGracePeriodSeconds: 0
  dnsPolicy: None
  dnsConfig:
    nameservers: [10.96.0.10]
    searches: [shop.svc.cluster.local]
    options: [{name: ndots, value: "2"}]
  containers: [{name: main, image: curlimages/curl, command: [sleep, "1000000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: bare}
spec:
  terminationGracePeriodSeconds: 0
  dnsPolicy: Default
  containers: [{name: main, image: curlimages/curl, command: [sleep, "1000000"]}]
"""
COREFILE = """.:53 {
    hosts {
        192.0.2.7 legacy.example.com
        fallthrough
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    ready
    health
}
"""


class Names:
    """Asks the cluster's DNS over real sockets."""

    def __init__(self, cluster: Cluster) -> None:
        addresses = cluster.get("node", "node-1")["status"]["addresses"]
        self.server = next(each["address"] for each in addresses if each["type"] == "InternalIP")

    def ask(self, name: str, kind: str = "A", *, tcp: bool = False) -> dns.message.Message | None:
        """None where nobody answered."""
        query = dns.message.make_query(name, kind)
        send = dns.query.tcp if tcp else dns.query.udp
        try:
            answer: dns.message.Message = send(query, self.server, port=DNS_PORT, timeout=15)
        except (dns.exception.DNSException, OSError, EOFError):
            return None
        return answer

    def until(
        self, name: str, kind: str, met: Callable[[list[str]], bool], *, tcp: bool = False
    ) -> list[str]:
        """The texts of the records, as soon as they are what is wanted. Endpoints need a moment."""
        end, texts = time.monotonic() + PATIENCE_SECONDS, list[str]()
        while time.monotonic() < end:
            answer = self.ask(name, kind, tcp=tcp)
            if answer is not None:
                texts = [item.to_text() for rrset in answer.answer for item in rrset]
                if met(texts):
                    return texts
            time.sleep(PAUSE_SECONDS)  # a DNS server tells nobody that it has news
        raise AssertionError(f"{kind} of {name}: at last there was {texts}")


@pytest.fixture(scope="module")
def services() -> Iterator[Cluster]:
    with running("--nodes", "2") as cluster:
        cluster.ok("apply", "-f", "-", stdin=MANIFEST)
        cluster.until(Pod, lambda pods: len(pods) == 3 and all(map(is_ready, pods.values())))
        cluster.until(Pod, lambda pods: bool(pods) and all(map(is_ready, pods.values())), "shop")
        resolves(cluster)
        yield cluster


def resolves(cluster: Cluster) -> None:
    """CoreDNS answers: its Pods are ready, and every node has heard so."""
    cluster.until(Pod, lambda pods: len(pods) == 2 and all(map(is_ready, pods.values())), "kube-system")
    Names(cluster).until(f"kubernetes.default.{ZONE}", "A", bool)


def hits(cluster: Cluster, pod: str, url: str) -> None:
    """The Pod called `first` answers there; the node of the one that asks need not know it at once."""

    def answered() -> None:
        assert "first" in cluster.ok("exec", pod, "--", "curl", "-s", url)

    eventually(answered)


def cluster_ip(cluster: Cluster, name: str, namespace: str) -> str:
    return str(cluster.get("service", name, "-n", namespace)["spec"]["clusterIP"])


def test_the_cluster_answers_on_this_machine(services: Cluster) -> None:
    names = Names(services)
    ip, pod = cluster_ip(services, "web", "shop"), services.get("pod", "one", "-n", "shop")["status"]["podIP"]
    for tcp in (False, True):
        assert names.until(f"web.shop.{ZONE}", "A", bool, tcp=tcp) == [ip]
    assert names.until(f"peers.shop.{ZONE}", "A", bool) == [pod]
    assert names.until(f"first.peers.shop.{ZONE}", "A", bool) == [pod]
    assert names.until(f"_http._tcp.web.shop.{ZONE}", "SRV", bool) == [f"0 100 80 web.shop.{ZONE}."]
    assert names.until(f"_http._tcp.peers.shop.{ZONE}", "SRV", bool) == [
        f"0 100 8080 first.peers.shop.{ZONE}."
    ]
    assert names.until(f"out.shop.{ZONE}", "CNAME", bool)[0] == f"web.shop.{ZONE}."
    backwards = dns.reversename.from_address(ip).to_text()
    assert names.until(backwards, "PTR", bool) == [f"web.shop.{ZONE}."]
    nobody = names.ask(f"nobody.shop.{ZONE}")
    assert nobody is not None
    assert nobody.rcode() == dns.rcode.NXDOMAIN


@pytest.mark.skipif(not shutil.which("dig"), reason="asks with dig")
def test_dig_understands_the_answers(services: Cluster) -> None:
    names = Names(services)
    command = ["dig", f"@{names.server}", "-p", str(DNS_PORT), "+short", f"web.shop.{ZONE}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.stdout.strip() == cluster_ip(services, "web", "shop")


def test_containers_reach_services_by_name(services: Cluster) -> None:
    for name in ("web.shop", f"web.shop.{ZONE}", "out.shop", "first.peers.shop:8080"):
        hits(services, "shell", f"http://{name}")


def test_how_a_pod_resolves_is_its_own_choice(services: Cluster) -> None:
    written = services.ok("exec", "own", "--", "cat", "/etc/resolv.conf").split("\n")
    assert written[:3] == [f"search shop.{ZONE}", "nameserver 10.96.0.10", "options ndots:2"]
    hits(services, "own", "http://web")
    refused = services.ok_refused("exec", "shell", "--", "curl", "-sS", "http://web")
    assert "Could not resolve host: web" in refused
    refused = services.ok_refused("exec", "bare", "--", "curl", "-sS", "http://web.shop")
    assert "Could not resolve host: web.shop" in refused


def test_pods_reach_the_api_by_its_service(services: Cluster) -> None:
    endpoints = services.until(Endpoints, lambda found: bool(found), "default")
    assert any(key.name == "kubernetes" and each.subsets for key, each in endpoints.items())
    ask = ("exec", "shell", "--", "sh", "-c")
    version = services.ok(*ask, "curl -sk https://kubernetes.default/version")
    assert '"gitVersion": "v1.36' in version
    who = f'curl -sk -H "Authorization: Bearer $(cat {TOKEN})" https://kubernetes.default/api/v1/pods'
    assert "system:serviceaccount:default:default" in services.ok(*ask, who)


def test_a_changed_corefile_is_taken_into_use(services: Cluster) -> None:
    names = Names(services)

    def write(text: str) -> None:
        made = ("create", "configmap", "coredns", "-n", "kube-system", "--from-file=Corefile=/dev/stdin")
        manifest = services.ok(*made, "--dry-run=client", "-o", "yaml", stdin=text)
        services.ok("replace", "-f", "-", stdin=manifest)

    write(COREFILE)
    # A kubelet looks at mounted ConfigMaps once a minute, and whenever the Pod itself changes.
    poke = ("annotate", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns", "--overwrite")
    services.ok(*poke, "poked=once")
    names.until("legacy.example.com", "A", lambda found: found == ["192.0.2.7"])
    resolves(services)


def test_names_end_with_coredns_and_come_back_with_it(services: Cluster) -> None:
    names = Names(services)
    services.ok("scale", "deployment", "coredns", "-n", "kube-system", "--replicas=0")
    services.until(Pod, lambda pods: not pods, "kube-system")
    end = time.monotonic() + PATIENCE_SECONDS
    while names.ask(f"web.shop.{ZONE}", tcp=True) is not None:
        assert time.monotonic() < end, "somebody still answers"
    services.ok_refused("exec", "shell", "--", "curl", "-sS", "http://web.shop")
    services.ok("scale", "deployment", "coredns", "-n", "kube-system", "--replicas=2")
    resolves(services)
    hits(services, "shell", "http://web.shop")


def test_a_service_that_is_made_again_has_its_endpoints_at_once(services: Cluster) -> None:
    services.ok("delete", "service", "web", "-n", "shop")
    services.ok("expose", "pod", "one", "--name=web", "--port=80", "--target-port=8080", "-n", "shop")
    found = services.until(
        Endpoints, lambda all_: any(key.name == "web" and each.subsets for key, each in all_.items()), "shop"
    )
    assert found
    made = services.until(Service, lambda all_: any(key.name == "web" for key in all_), "shop")
    ip = next(each.spec.cluster_ip for key, each in made.items() if key.name == "web")
    Names(services).until(f"web.shop.{ZONE}", "A", lambda texts: texts == [ip])
    hits(services, "shell", "http://web.shop")
