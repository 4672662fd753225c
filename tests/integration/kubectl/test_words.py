"""`ok` says what kubectl says: lines that the recordings do not have, on an API server in the same loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.kubectl.test_custom_resources import Ok
from tests.support.apiserver import apiserver_here
from tests.support.etcd import Etcd

PODS = """\
{kind: List, apiVersion: v1, items: [
  {kind: ServiceAccount, apiVersion: v1, metadata: {name: default, namespace: default}},
  {kind: ConfigMap, apiVersion: v1, metadata: {name: conf}, data: {one: "1", b.c: "2"}},
  {kind: Secret, apiVersion: v1, metadata: {name: sec}, stringData: {pw: hidden}},
  {kind: Service, apiVersion: v1, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}},
  {kind: Service, apiVersion: v1, metadata: {name: tiered, labels: {tier: back}},
   spec: {ports: [{port: 80}]}},
  {kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}},
  {kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: rb},
   roleRef: {kind: Role, name: r, apiGroup: rbac.authorization.k8s.io}},
  {kind: PriorityClass, apiVersion: scheduling.k8s.io/v1, metadata: {name: high}, value: 5},
  {kind: Deployment, apiVersion: apps/v1, metadata: {name: web}, spec: {
    selector: {matchLabels: {app: web}},
    template: {metadata: {labels: {app: web}}, spec: {
      initContainers: [{name: init, image: busybox}],
      containers: [{name: main, image: nginx,
        resources: {limits: {cpu: 1500m, memory: 1Mi}},
        env: [{name: A, value: b},
          {name: S, valueFrom: {secretKeyRef: {name: sec, key: pw}}},
          {name: C, valueFrom: {configMapKeyRef: {name: conf, key: one}}},
          {name: N, valueFrom: {fieldRef: {fieldPath: metadata.name}}},
          {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]}]}}}},
  {kind: DaemonSet, apiVersion: apps/v1, metadata: {name: ds}, spec: {
    selector: {matchLabels: {app: ds}},
    template: {metadata: {labels: {app: ds}}, spec: {containers: [{name: c, image: nginx}]}}}}]}
"""


@pytest.fixture
async def ok(etcd: Etcd) -> AsyncIterator[Ok]:
    async with apiserver_here(etcd) as (_, address):
        ok = Ok(address)
        await ok.prints("create", "-f", "-", stdin=PODS)
        yield ok


async def refused(ok: Ok, *argv: str) -> str:
    out, err, code = await ok(*argv)
    assert (out, code) == ("", 1), argv
    return err


async def test_get(ok: Ok) -> None:
    lines = (await ok.prints("get", "service", "-L", "tier")).splitlines()
    assert [line.split()[-1] for line in lines] == ["TIER", *(line.split()[-1] for line in lines[1:])]
    shown = {line.split()[0]: line.split()[5:] for line in lines[1:]}
    assert (shown["tiered"][1:], shown["web"][1:]) == (["back"], [])
    # Once there is a column of namespaces, it stays.
    text = await ok.prints("get", "role,priorityclass", "-A")
    assert [line.split()[0] for line in text.splitlines() if "NAME" in line] == ["NAMESPACE", "NAMESPACE"]
    assert await ok.prints("get", "service", "web", "--template={{.metadata.name}}") == "web"
    strict = ("get", "service", "web", "--allow-missing-template-keys=false", "-o", "jsonpath={.nope}")
    said = await refused(ok, *strict)
    assert said.startswith(
        'error: error executing jsonpath "{.nope}": Error executing template: nope is not found.'
    )
    assert (
        'object given to jsonpath engine was:\n\t\tmap[string]interface {}{"apiVersion":"v1", "kind"' in said
    )


async def test_get_refuses_what_does_not_go_together(ok: Ok) -> None:
    for words, said in (
        (
            "pods --output-watch-events",
            "--output-watch-events option can only be used with --watch or --watch-only",
        ),
        ("pods --show-labels -o yaml", "--show-labels option cannot be used with yaml printer"),
        ("--raw /version pods", "arguments may not be passed when --raw is specified"),
        ("--raw /version -o yaml", "--raw and --output are mutually exclusive"),
        ("--raw version", '--raw must be a valid URL path: parse "version": invalid URI for request'),
    ):
        assert await refused(ok, "get", *words.split()) == f"error: {said}\n"


async def test_what_the_cluster_serves(ok: Ok) -> None:
    said = await refused(ok, "api-resources", "x")
    assert said.startswith("error: unexpected arguments: [x]\nSee ")
    assert (await refused(ok, "api-versions", "x")).startswith("error: unexpected arguments: [x]\nSee ")
    assert (await ok.prints("api-resources", "--api-group=nope")).split()[:2] == ["NAME", "SHORTNAMES"]
    assert (await ok.prints("get", "--raw", "/version")).startswith('{\n  "major": "1",\n')
    said = await refused(ok, "explain", "deploy", "--api-version=apps/v2")
    assert said == 'error: couldn\'t find resource for "apps/v2, Resource=deployments"\n'
    assert await refused(ok, "events", "--for", "nope/x") == (
        'the server doesn\'t have a resource type "nope"\n'
    )
