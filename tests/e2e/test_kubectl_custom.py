"""Real kubectl and custom resources, against an API server alone: from the definition to its end.

With the oldest and the newest version that is here; what they keep of discovery is in a folder of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_kubectl import FOUND
from tests.support.apiserver import Https, https

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FOUND, reason="no kubectl here")]

__all__ = ["https"]
PATIENCE_SECONDS = 90
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: GIZMOS.example.com}
spec:
  group: example.com
  names: {plural: GIZMOS, kind: KIND, shortNames: [SHORT], categories: [CATEGORY]}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Color, type: string, jsonPath: .spec.color}
    - {name: Size, type: integer, jsonPath: .spec.size, priority: 1}
    schema:
      openAPIV3Schema:
        type: object
        description: Something small.
        properties:
          spec:
            type: object
            required: [color]
            properties:
              color: {type: string, enum: [red, blue], description: How it is painted.}
              size: {type: integer, default: 3, minimum: 0}
              replicas: {type: integer}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
  - name: v1beta1
    served: true
    storage: false
    deprecated: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
OBJECT = """\
apiVersion: example.com/v1
kind: KIND
metadata: {name: g1}
spec: {color: red}
"""


class Kubectl:
    """One version of it; each has kinds of its own, so that they do not meet."""

    def __init__(self, version: str, server: Https, folder: Path) -> None:
        self.path, self.folder = FOUND[version], folder
        tag = version.replace(".", "")
        self.plural, self.kind, self.short = f"gizmos{tag}", f"Gizmo{tag}", f"gz{tag}"
        config = folder / "kubeconfig"
        user = {name: str(server.keys / f"admin.{end}") for name, end in _USER.items()}
        cluster = {"server": server.base, "certificate-authority": str(server.keys / "ca.crt")}
        context = {"cluster": "c", "user": "u", "namespace": "default"}
        config.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "c", "cluster": cluster}], "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": context}],
        }))  # fmt: skip

    def run(self, *words: str, stdin: str = "", editor: str = "") -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HOME": str(self.folder), "KUBE_EDITOR": editor}
        environment["KUBECONFIG"] = str(self.folder / "kubeconfig")
        return subprocess.run((self.path, *words), env=environment, input=self.named(stdin),
                              capture_output=True, text=True, timeout=PATIENCE_SECONDS)  # fmt: skip

    def named(self, text: str) -> str:
        text = text.replace("GIZMOS", self.plural).replace("KIND", self.kind)
        return text.replace("SHORT", self.short).replace("CATEGORY", f"toys{self.short}")

    def __call__(self, *words: str, stdin: str = "", editor: str = "") -> str:
        done = self.run(*words, stdin=stdin, editor=editor)
        assert done.returncode == 0, f"kubectl {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def refused(self, *words: str, stdin: str = "") -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode != 0, f"kubectl {' '.join(words)} should have failed:\n{done.stdout}"
        return done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self("get", *words, "-o", "json"))


_USER = {"client-certificate": "crt", "client-key": "key"}


@pytest.fixture(scope="module", params=sorted({min(FOUND), max(FOUND)}) if FOUND else [])
def kubectl(
    request: pytest.FixtureRequest, https: Https, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    each = Kubectl(request.param, https, tmp_path_factory.mktemp("kubectl"))
    each.run("create", "serviceaccount", "default")  # nobody does it where no controllers run
    name = f"customresourcedefinition.apiextensions.k8s.io/{each.plural}.example.com"
    assert each("apply", "-f", "-", stdin=DEFINITION) == f"{name} created\n"
    waited = each("wait", "--for=condition=established", f"crd/{each.plural}.example.com", "--timeout=60s")
    assert waited == f"{name} condition met\n"
    each("apply", "-f", "-", stdin=OBJECT)
    return each


def test_it_is_listed_and_explained(kubectl: Kubectl) -> None:
    assert [line.split() for line in kubectl("get", kubectl.plural).splitlines()] == [
        ["NAME", "COLOR"],
        ["g1", "red"],
    ]
    assert kubectl("get", kubectl.short, "-o", "wide").splitlines()[1].split() == ["g1", "red", "3"]
    assert kubectl("get", f"toys{kubectl.short}", "-o", "name") == f"{kubectl.kind.lower()}.example.com/g1\n"
    explained = kubectl("explain", f"{kubectl.plural}.spec.color")
    assert "How it is painted." in explained
    assert "VERSION:    v1\n" in explained
    served = kubectl("api-resources", "--api-group=example.com", "--no-headers").splitlines()
    row = [kubectl.plural, kubectl.short, "example.com/v1", "true", kubectl.kind]
    assert row in [line.split() for line in served]
    older = kubectl.run("get", f"{kubectl.plural}.v1beta1.example.com", "g1")
    assert older.returncode == 0
    warning = f"example.com/v1beta1 {kubectl.kind} is deprecated; use example.com/v1 {kubectl.kind}"
    assert f"Warning: {warning}" in older.stderr


def test_it_is_changed_in_every_way(kubectl: Kubectl) -> None:
    name = f"{kubectl.kind.lower()}.example.com/g1"
    blue = OBJECT.replace("red", "blue")
    assert kubectl("apply", "-f", "-", stdin=blue) == f"{name} configured\n"
    assert kubectl("apply", "-f", "-", stdin=blue) == f"{name} unchanged\n"
    assert kubectl("patch", kubectl.plural, "g1", "--type=merge", "-p", '{"spec":{"size":5}}')
    assert kubectl("patch", kubectl.plural, "g1", "--type=json",
                   "-p", '[{"op":"replace","path":"/spec/size","value":6}]')  # fmt: skip
    refused = kubectl.refused("patch", kubectl.plural, "g1", "-p", '{"spec":{"size":7}}')
    assert "application/strategic-merge-patch+json is not supported" in refused
    assert kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=OBJECT) == (
        f"{name} serverside-applied\n"
    )
    assert kubectl("scale", kubectl.plural, "g1", "--replicas=2") == f"{name} scaled\n"
    assert kubectl("label", kubectl.plural, "g1", "a=b") == f"{name} labeled\n"
    kubectl("edit", kubectl.plural, "g1", editor="sed -i s/'size: 6'/'size: 8'/")
    found = kubectl.json(kubectl.plural, "g1")
    assert found["spec"] == {"color": "red", "size": 8, "replicas": 2}
    assert found["metadata"]["labels"] == {"a": "b"}


def test_what_does_not_fit_is_refused(kubectl: Kubectl) -> None:
    unknown = OBJECT.replace("g1", "bad").replace("color: red", "color: red, bogus: 1")
    assert 'strict decoding error: unknown field "spec.bogus"' in kubectl.refused(
        "apply", "-f", "-", stdin=unknown
    )
    green = OBJECT.replace("g1", "bad").replace("red", "green")
    refused = kubectl.refused("apply", "-f", "-", stdin=green)
    assert 'spec.color: Unsupported value: "green": supported values: "red", "blue"' in refused


def test_a_watch_ends_with_the_definition(kubectl: Kubectl) -> None:
    command = (kubectl.path, "get", kubectl.plural, "--watch", "--output-watch-events", "--no-headers")
    environment = {
        **os.environ,
        "HOME": str(kubectl.folder),
        "KUBECONFIG": str(kubectl.folder / "kubeconfig"),
    }
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().split()[:2] == ["ADDED", "g1"]
        deleted = kubectl("delete", "crd", f"{kubectl.plural}.example.com")
        assert f"{kubectl.plural}.example.com" in deleted
        rest = watching.communicate(timeout=PATIENCE_SECONDS)[0].splitlines()
    assert rest[-1].split()[:2] == ["DELETED", "g1"]
    missing = kubectl.refused("get", "--raw", f"/apis/example.com/v1/namespaces/default/{kubectl.plural}")
    assert "NotFound" in missing
