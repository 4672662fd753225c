"""Who is who in a whole cluster: certificates on request, what users may do, and whom a node lets in."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import yaml

from services.api.certificates_v1 import CertificateSigningRequest
from services.api.core_v1 import Secret
from services.client.credentials import KUBELET_SERVER_NAME, Credentials, open_channel
from services.kubectl.link import UNTRUSTED
from services.process.clock import SystemClock
from services.process.keys import make_missing
from tests.e2e.cluster import PATIENCE_SECONDS, Cluster, running

pytestmark = pytest.mark.slow
GOLDEN = Path(os.environ.get("ORRERY_GOLDEN", Path(__file__).parents[2] / ".." / "shared" / "golden"))


@pytest.fixture(scope="module")
def alone() -> Iterator[Cluster]:
    with running("--nodes", "1") as cluster:
        yield cluster


def request(folder: Path, name: str, group: str) -> tuple[Path, str]:
    """A key of one's own, and the request for a certificate in base64."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    file = folder / f"{name.replace(':', '-')}.key"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(key, hashes.SHA256())
    return file, base64.b64encode(made.public_bytes(Encoding.PEM)).decode()


def manifest(name: str, pem: str, signer: str = "kube-apiserver-client", **spec: object) -> str:
    asked = {"request": pem, "signerName": f"kubernetes.io/{signer}", "usages": ["client auth"], **spec}
    meta = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
    return json.dumps({**meta, "metadata": {"name": name}, "spec": asked})


def issued(cluster: Cluster, name: str) -> bytes:
    def has_one(all_: dict[object, CertificateSigningRequest]) -> bool:
        return any(each.key.name == name and each.status.certificate for each in all_.values())

    found = cluster.until(CertificateSigningRequest, has_one, "")  # type: ignore[arg-type]
    text = next(each.status.certificate for key, each in found.items() if key.name == name)
    return base64.b64decode(text or "")


def test_a_certificate_on_request_works(alone: Cluster, tmp_path: Path) -> None:
    key, pem = request(tmp_path, "jane", "devs")
    alone.ok("create", "-f", "-", stdin=manifest("jane", pem, expirationSeconds=3600))
    row = alone.ok("get", "csr", "jane", "--no-headers").split()
    assert row[2:] == ["kubernetes.io/kube-apiserver-client", "kubernetes-admin", "60m", "Pending"]
    approved = alone.ok("certificate", "approve", "jane")
    assert approved == "certificatesigningrequest.certificates.k8s.io/jane approved\n"
    certificate = tmp_path / "jane.crt"
    certificate.write_bytes(issued(alone, "jane"))
    assert alone.ok("get", "csr", "jane", "--no-headers").split()[-1] == "Approved,Issued"
    refused = alone.ok_refused("certificate", "deny", "jane")
    assert refused == 'error: certificate signing request "jane" is already Approved\n'
    # With the key and the certificate, and nothing else of the cluster's.
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "ca.crt").write_bytes((alone.home / "keys" / "ca.crt").read_bytes())
    (keys / "admin.crt").write_bytes(certificate.read_bytes())
    (keys / "admin.key").write_bytes(key.read_bytes())
    environ = {**os.environ, "ORRERY_HOME": str(alone.home), "ORRERY_KEYS": str(keys)}
    argv = (
        sys.executable,
        "-m",
        "services.kubectl",
        "auth",
        "whoami",
        "-o",
        "jsonpath={.status.userInfo.groups}",
    )
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert (done.stdout, done.stderr) == ('["devs","system:authenticated"]', "")


def test_with_another_cluster_s_keys(alone: Cluster, tmp_path: Path) -> None:
    make_missing(tmp_path, SystemClock().now())
    environ = {**os.environ, "ORRERY_HOME": str(alone.home), "ORRERY_KEYS": str(tmp_path)}
    argv = (sys.executable, "-m", "services.kubectl", "get", "pods")
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 1
    assert done.stderr == f"{UNTRUSTED}\n"


def test_a_signer_does_not_sign_everything(alone: Cluster, tmp_path: Path) -> None:
    _, pem = request(tmp_path, "eve", "system:masters")
    said = alone.ok_refused("create", "-f", "-", stdin=manifest("eve", pem))
    why = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
    assert f'certificatesigningrequests.certificates.k8s.io "eve" is forbidden: {why}' in said
    _, pem = request(tmp_path, "bob", "devs")
    alone.ok("create", "-f", "-", stdin=manifest("bob", pem, "kube-apiserver-client-kubelet"))
    alone.ok("certificate", "approve", "bob")
    failed = alone.until(
        CertificateSigningRequest,
        lambda all_: any(c.type == "Failed" for each in all_.values() for c in each.status.conditions),
        "",
    )
    (bob,) = (each for key, each in failed.items() if key.name == "bob")
    condition = next(c for c in bob.status.conditions if c.type == "Failed")
    assert (condition.reason, condition.message) == (
        "SignerValidationFailure",
        "subject organization is not system:nodes",
    )
    assert alone.ok("get", "csr", "bob", "--no-headers").split()[-1] == "Approved,Failed"


def test_a_kubelet_that_may_is_approved_by_itself(alone: Cluster, tmp_path: Path) -> None:
    _, pem = request(tmp_path, "system:node:new", "system:nodes")
    prefix = "system:certificates.k8s.io:certificatesigningrequests"
    alone.ok("create", "clusterrolebinding", "auto", f"--clusterrole={prefix}:nodeclient", "--user=boot")
    alone.ok("create", "clusterrolebinding", "boot", "--clusterrole=system:node-bootstrapper", "--user=boot")
    usages = ["client auth", "digital signature"]
    asked = manifest("new", pem, "kube-apiserver-client-kubelet", usages=usages)
    alone.ok("--as=boot", "create", "-f", "-", stdin=asked)
    assert issued(alone, "new").startswith(b"-----BEGIN CERTIFICATE-----")
    said = alone.ok_refused("--as=boot", "certificate", "approve", "--force", "new")
    assert 'cannot update resource "certificatesigningrequests/approval"' in said


def test_what_one_may_do(alone: Cluster) -> None:
    assert alone.ok("auth", "can-i", "create", "pods") == "yes\n"
    assert alone.ok("auth", "can-i", "get", "/healthz", "--as=jane") == "yes\n"
    assert alone.ok_refused("auth", "can-i", "list", "secrets", "--as=jane") == ""
    listed = alone.ok("auth", "can-i", "--list", "--as=jane")
    assert re.search(r"^selfsubjectreviews\.authentication\.k8s\.io +\[\] +\[\] +\[create\]$", listed, re.M)
    if (GOLDEN / "kubectl" / "x-auth-can-i-list.json").exists():
        recorded = json.loads((GOLDEN / "kubectl" / "x-auth-can-i-list.json").read_text())
        assert alone.ok("auth", "can-i", "--list") == next(iter(recorded["runs"].values()))["stdout"]


def test_roles_as_a_file_says(alone: Cluster) -> None:
    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    role = {"kind": "Role", "metadata": {"name": "r", "namespace": "fresh"}, "rules": [rule]}
    binding = {
        "kind": "RoleBinding",
        "metadata": {"name": "rb", "namespace": "fresh"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "apiGroup": group, "name": "rita"}],
    }
    text = "---\n".join(json.dumps({"apiVersion": f"{group}/v1", **each}) + "\n" for each in (role, binding))
    told = f"role.{group}/r reconciled\nrolebinding.{group}/rb reconciled\n"
    assert alone.ok("auth", "reconcile", "-f", "-", stdin=text) == told
    assert alone.ok("auth", "reconcile", "-f", "-", stdin=text) == told
    assert alone.ok("set", "subject", "rolebinding", "rb", "-n", "fresh", "--user=carl").endswith("updated\n")
    for user in ("rita", "carl"):
        assert alone.ok("auth", "can-i", "get", "pods", "-n", "fresh", f"--as={user}") == "yes\n"


def test_a_secret_gets_the_token_of_its_account(alone: Cluster) -> None:
    alone.ok("create", "serviceaccount", "robot")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "robot"}},
        "type": "kubernetes.io/service-account-token",
    }
    alone.ok("create", "-f", "-", stdin=json.dumps(secret))
    found = alone.until(
        Secret, lambda all_: any(key.name == "t" and each.data.get("token") for key, each in all_.items())
    )
    token = base64.b64decode(
        next(each.data["token"] for key, each in found.items() if key.name == "t")
    ).decode()
    assert "system:serviceaccount:default:robot" in alone.ok("--token", token, "auth", "whoami")
    alone.ok("delete", "serviceaccount", "robot")
    alone.until(Secret, lambda all_: not any(key.name == "t" for key in all_))
    said = alone.ok_refused("--token", token, "get", "pods")
    assert said == "error: You must be logged in to the server (Unauthorized)\n"


@pytest.mark.parametrize(
    ("name", "method", "code"),
    [
        ("nodes/node-1", "/node.v1.NodeService/Stats", grpc.StatusCode.PERMISSION_DENIED),
        ("kube-proxy", "/node.v1.MachineService/ProxyRules", grpc.StatusCode.PERMISSION_DENIED),
        ("admin", "/network.v1.PodNetwork/Exchange", grpc.StatusCode.PERMISSION_DENIED),
        ("apiserver-kubelet-client", "/node.v1.NodeService/Stats", grpc.StatusCode.OK),
    ],
)
async def test_a_node_s_door(alone: Cluster, name: str, method: str, code: grpc.StatusCode) -> None:
    mine = Credentials.of(alone.home / "keys", name)
    async with open_channel(alone.address("node-1"), mine, server_name=KUBELET_SERVER_NAME) as channel:
        call = channel.unary_unary(method, None, None)(b"", timeout=60)
        assert await call.code() is code


def test_no_component_lacks_a_right(alone: Cluster) -> None:
    """After all of the above: what components did, they were allowed to."""
    for component in ("scheduler", "controller-manager", "cloud-controller-manager", "node-1"):
        log = alone.log(component)
        assert "orbidden" not in log, [line for line in log.splitlines() if "orbidden" in line]
        assert " cannot " not in log, [line for line in log.splitlines() if " cannot " in line]


def test_the_user_s_own_kubeconfig(alone: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("users: [{name: me, user: {token: x}}]\n")
    environ = {**os.environ, "ORRERY_HOME": str(alone.home), "KUBECONFIG": str(path)}
    argv = (sys.executable, "-m", "services.launcher", "kubeconfig", "--merge")
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(path.read_text())
    assert [each["name"] for each in config["users"]] == ["me", config["current-context"]]
