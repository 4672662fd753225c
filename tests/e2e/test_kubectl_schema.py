"""What kubectl reads from discovery and OpenAPI: explain, validation, three-way merges, lists of kinds.

Each installed kubectl asks in its own way (the oldest for the second edition as protobuf and for discovery
piece by piece, the newest for the third edition and one document), and all must see the same. There is no
cluster behind the API server: nothing here needs Pods to run.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.launcher import kubeconfig
from tests.support import kubectl as real
from tests.support.apiserver import Https, https

__all__ = ["https"]

VERSIONS = list(real.FOUND)
CHOSEN = sorted({VERSIONS[0], VERSIONS[len(VERSIONS) // 2], VERSIONS[-1]}) if VERSIONS else []
SECONDS_MAX = 90

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not CHOSEN, reason="no kubectl here"),
]

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: a, image: nginx, ports: [{containerPort: 80}]}
      - {name: b, image: busybox, env: [{name: ONE, value: "1"}, {name: TWO, value: "2"}]}
"""


@dataclass(frozen=True)
class Kubectl:
    path: Path
    config: Path
    namespace: str

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        environment = {
            "KUBECONFIG": str(self.config),
            "HOME": str(self.config.parent),
            "PATH": "/usr/bin:/bin",
        }
        return subprocess.run(
            (str(self.path), "-n", self.namespace, *words),
            env=environment, input=stdin, capture_output=True, text=True, timeout=SECONDS_MAX,
        )  # fmt: skip

    def __call__(self, *words: str, stdin: str = "") -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module", params=CHOSEN)
def kubectl(
    request: pytest.FixtureRequest, https: Https, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    home = tmp_path_factory.mktemp("kubectl")
    config = home / "config"
    kubeconfig.write(config, https.keys, int(https.base.rpartition(":")[2]))
    path = Path(real.FOUND[request.param])
    found = Kubectl(path, config, "default")
    name = f"v{request.param.replace('.', '-')}"
    found("create", "namespace", name)
    return Kubectl(path, config, name)


def test_explain_at_every_depth(kubectl: Kubectl) -> None:
    text = kubectl("explain", "deployment")
    assert text.startswith("GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n")
    assert "  metadata\t<ObjectMeta>\n" in text
    text = kubectl("explain", "pod.spec.containers")
    assert text.startswith("KIND:       Pod\nVERSION:    v1\n\nFIELD: containers <[]Container>\n")
    assert "  name\t<string> -required-\n" in text
    assert "  resources\t<ResourceRequirements>\n" in text
    assert "FIELD: maxSurge <IntOrString>" in kubectl(
        "explain", "deploy.spec.strategy.rollingUpdate.maxSurge"
    )
    assert "FIELD: limits <map[string]Quantity>" in kubectl(
        "explain", "pods.spec.containers.resources.limits"
    )
    assert "FIELD: labels <map[string]string>" in kubectl("explain", "namespace.metadata.labels")


def test_explain_recursive_and_by_version(kubectl: Kubectl) -> None:
    text = kubectl("explain", "service", "--recursive")
    assert "\n    ports\t<[]ServicePort>\n" in text
    assert "\n      port\t<integer> -required-\n" in text
    assert "VERSION:    v1\n" in kubectl("explain", "deployments", "--api-version=apps/v1")
    missing = kubectl.run("explain", "deployment.spec.nonsense")
    assert missing.returncode == 1
    assert missing.stderr == 'error: field "nonsense" does not exist\n'


def test_typos_are_refused_by_the_server(kubectl: Kubectl) -> None:
    wrong = DEPLOYMENT.replace("replicas:", "replicaz:").replace("image: nginx", "imag: nginx")
    done = kubectl.run("create", "-f", "-", stdin=wrong)
    assert done.returncode == 1
    assert (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: ' in done.stderr
    )
    assert 'unknown field "spec.replicaz"' in done.stderr
    assert 'unknown field "spec.template.spec.containers[0].imag"' in done.stderr
    done = kubectl.run("create", "--validate=warn", "--dry-run=server", "-f", "-",
                       stdin=DEPLOYMENT.replace("replicas:", "replicaz:"))  # fmt: skip
    assert done.stdout == "deployment.apps/web created (server dry run)\n"
    assert 'Warning: unknown field "spec.replicaz"\n' in done.stderr
    done = kubectl.run("create", "--validate=ignore", "--dry-run=server", "-f", "-",
                       stdin=DEPLOYMENT.replace("replicas:", "replicaz:"))  # fmt: skip
    assert (done.stdout, done.stderr) == ("deployment.apps/web created (server dry run)\n", "")


def test_apply_merges_lists_by_their_keys(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web created\n"
    assert kubectl("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web unchanged\n"
    kubectl("set", "env", "deployment/web", "-c", "b", "THREE=3")  # not applied, so it is to stay
    changed = DEPLOYMENT.replace("busybox", "busybox:1").replace('{name: ONE, value: "1"}, ', "")
    diff = kubectl.run("diff", "-f", "-", stdin=changed)
    assert diff.returncode == 1, diff.stderr
    assert "-        image: busybox\n" in diff.stdout
    assert "+        image: busybox:1\n" in diff.stdout
    done = kubectl.run("apply", "-f", "-", stdin=changed)
    assert (done.stdout, done.stderr) == ("deployment.apps/web configured\n", "")
    names = kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[1].env[*].name}")
    assert sorted(names.split()) == ["THREE", "TWO"]
    images = kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[*].image}")
    assert images == "nginx busybox:1"
    kubectl("delete", "deployment", "web")


def test_server_side_apply_says_who_owns_what(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    out = kubectl(*apply, "--field-manager=one", stdin=DEPLOYMENT.replace("name: web}", "name: owned}"))
    assert out == "deployment.apps/owned serverside-applied\n"
    other = DEPLOYMENT.replace("name: web}", "name: owned}").replace("replicas: 2", "replicas: 3")
    done = kubectl.run(*apply, "--field-manager=two", stdin=other)
    assert done.returncode == 1
    assert 'conflict with "one": .spec.replicas' in done.stderr
    out = kubectl(*apply, "--field-manager=two", "--force-conflicts", stdin=other)
    assert out == "deployment.apps/owned serverside-applied\n"
    kubectl("delete", "deployment", "owned")


def test_what_is_served_is_listed(kubectl: Kubectl) -> None:
    lines = [line.split() for line in kubectl("api-resources", "--no-headers").splitlines()]
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in lines
    assert ["nodes", "no", "v1", "false", "Node"] in lines
    assert "pods\n" in kubectl("api-resources", "--namespaced=true", "-o", "name", "--verbs=list,get")
    versions = kubectl("api-versions").split()
    assert versions == sorted(versions)
    assert {"v1", "apps/v1", "networking.k8s.io/v1"} <= set(versions)


def test_health_and_numbers_are_told(kubectl: Kubectl) -> None:
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert kubectl("get", "--raw", "/livez/ping") == "ok"
    text = kubectl("get", "--raw", "/readyz?verbose&exclude=etcd")
    assert text.startswith("[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\n")
    assert text.endswith("readyz check passed\n")
    metrics = kubectl("get", "--raw", "/metrics")
    assert 'apiserver_request_total{code="201",' in metrics
    assert "process_resident_memory_bytes " in metrics
