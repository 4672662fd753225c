"""`ok` says what kubectl says: lines that the recordings do not have, on an API server in the same loop."""

from __future__ import annotations

import json
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


async def test_set_env(ok: Ok) -> None:
    assert (await ok.prints("set", "env", "deploy/web", "--list", "-c", "main")).splitlines() == [
        "# Deployment web, container main",
        "A=b",
        "# S from secret sec, key pw",
        "# C from configmap conf, key one",
        "# N from field path metadata.name",
        "# CPU from resource field limits.cpu",
    ]
    resolved = await ok.prints("set", "env", "deploy/web", "--list", "--resolve", "-c", "main")
    assert resolved.splitlines()[1:] == ["A=b", "S=hidden", "C=1", "N=web", "CPU=2"]
    out, err, code = await ok("set", "env", "deploy/web", "--from=cm/conf", "--prefix=P_", "-c", "init")
    assert (out, code) == ("deployment.apps/web env updated\n", 0)
    assert sorted(err.splitlines()) == [
        "Warning: key b.c transferred to B_C",
        "Warning: key one transferred to ONE",
    ]
    listed = (await ok.prints("set", "env", "deploy/web", "--list", "-c", "init")).splitlines()
    assert listed[1:] == ["# P_B_C from configmap conf, key b.c", "# P_ONE from configmap conf, key one"]
    assert await refused(ok, "set", "env", "deploy/web", "--from=secret/nope") == (
        'Error from server (NotFound): secrets "nope" not found\n'
    )
    for words, said in (
        ("deploy/web", ""),
        ("A=b", "one or more resources must be specified as <resource> <name> or <resource>/<name>"),
        ("deploy/web --keys=a", "when specifying --keys, a configmap or secret must be provided with --from"),
        (
            "deploy/web A=b A-",
            "can not both modify and remove the same environment variable in the same command",
        ),
    ):
        assert await refused_or_silent(ok, "set", "env", *words.split()) == (
            f"error: {said}\n" if said else ""
        )
    said = await refused(ok, "set", "env", "deploy/web", "2x=b")
    assert said.startswith(
        'error: "2x" is not a valid key name: a valid environment variable name must consist'
    )


async def refused_or_silent(ok: Ok, *argv: str) -> str:
    out, err, _ = await ok(*argv)
    assert out == "", argv
    return err


async def test_set_says_what_it_cannot_be_set_on(ok: Ok) -> None:
    for words, said in (
        (
            "image cm/conf a=b",
            "configmaps/conf the object is not a pod or does not have a pod template: *v1.ConfigMap",
        ),
        (
            "subject role/r --user=bob",
            "roles/r setting subjects is only supported for RoleBinding/ClusterRoleBinding",
        ),
        ("selector deploy/web a=b", "setting a selector is only supported for Services"),
        ("selector svc/web a!=b", "match expression [{a NotIn [b]}] not supported on this object"),
        ("selector", "one selector is required"),
        ("sa", "serviceaccount is required"),
        ("resources deploy/web --limits=cpu=1 -c nope", "unable to find container named nope"),
    ):
        assert await refused(ok, "set", *words.split()) == f"error: {said}\n"
    account = ("set", "sa", "deploy/web", "builder")
    assert await ok.prints(*account) == "deployment.apps/web serviceaccount updated\n"
    assert await ok.prints(*account) == "deployment.apps/web serviceaccount updated\n"  # as it was
    await ok.prints("set", "resources", "deploy/web", "--limits=cpu=2")
    path = "-o=jsonpath={..limits.cpu}"
    assert sorted((await ok.prints("get", "deploy/web", path)).split()) == [
        "2",
        "2",
    ]  # the init container, too
    subject = ("set", "subject", "rolebinding/rb", "--serviceaccount=:builder", "--user=b", "--user=a")
    await ok.prints(*subject)
    names = await ok.prints(
        "get", "rolebinding/rb", "-o=jsonpath={.subjects[*].name} {.subjects[2].namespace}"
    )
    assert names == "a b builder default"


async def test_run(ok: Ok) -> None:
    dry = ("run", "r", "--image=nginx", "--dry-run=client", "-o", "jsonpath={.metadata.labels}")
    operations = '--overrides=[{"op":"add","path":"/metadata/labels/x","value":"y"}]'
    assert await ok.prints(*dry, operations, "--override-type=json") == '{"run":"r","x":"y"}'
    strategic = '--overrides={"spec":{"containers":[{"name":"side","image":"x"}]}}'
    containers = ("-o", "jsonpath={.spec.containers[*].name}")
    assert await ok.prints(*dry[:-2], *containers, strategic, "--override-type=strategic") == "side r"
    assert await ok.prints(*dry[:-2], *containers, strategic) == "side"
    assert (await refused(ok, *dry, "--overrides={bad")).startswith("error: error decoding patch: ")
    assert await refused(ok, *dry, '--overrides={"kind":null}') == (
        "error: the overridden object lacks its apiVersion, kind or metadata\n"
    )
    assert await refused(ok, "run", "r") == 'error: required flag(s) "image" not set\n'
    hint = "See 'kubectl run -h' for help and examples\n".replace("kubectl", "ok")
    for words, said in (
        ("--restart=Nope", "invalid restart policy: Nope"),
        ("--expose", "--port must be set when exposing a service"),
        ("--rm", "--rm should only be used for attached containers"),
        ("-t", "-i/--stdin is required for containers with -t/--tty=true"),
        ("--image-pull-policy=Nope", "invalid image pull policy: Nope"),
    ):
        assert await refused(ok, "run", "r", "--image=nginx", words) == f"error: {said}\n{hint}"


async def test_what_does_not_go_together(ok: Ok) -> None:
    conf = "{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {one: theirs}}"
    for words, said in (
        ("apply -f - --server-side --force", "--force cannot be used with --server-side"),
        ("apply -f - --dry-run=server --force", "--dry-run=server cannot be used with --force"),
        ("replace -f - --grace-period=1", "--grace-period must have --force specified"),
        ("replace -f - --force --dry-run=server", "--dry-run can not be used when --force is set"),
        ("patch cm conf --local -p {}", "cannot specify --local and server resources"),
        ("debug pod --image=busybox --profile=nope", "unknown profile: nope"),
        ("label cm conf a=b=c", "invalid label spec: a=b=c"),
        ("label cm --all a=b --resource-version=1",
         "--resource-version may only be used with a single resource"),
        ("create cm x --from-literal=a=b --from-literal=a=c",
         'cannot add key "a", another key by that name already exists in Data for ConfigMap "x"'),
        ("create secret generic x --from-literal=a=b --from-literal=a=c",
         "cannot add key a, another key by that name already exists"),
        ("autoscale cm/conf --max=2", "cannot autoscale a ConfigMap: could not find scale subresource for"
         " /v1, Resource=configmaps in discovery information"),
        ("logs cm/conf",
         "cannot get the logs from *v1.ConfigMap: selector for *v1.ConfigMap not implemented"),
        ("exec cm/conf -- ls", "cannot attach to *v1.ConfigMap: selector for *v1.ConfigMap not implemented"),
        ("logs ds/ds --pod-running-timeout=1ms", "timed out waiting for the condition"),
        ("wait --for=jsonpath={.x svc/web", "unexpected path string, expected a 'name1.name2' or"
         " '.name1.name2' or '{name1.name2}' or '{.name1.name2}'"),
        ("wait --for=condition=Available deploy/web --timeout=0", "condition not met for deployments/web"),
    ):  # fmt: skip
        out, err, code = await ok(*words.split(), stdin=conf)
        assert (out, err, code) == ("", f"error: {said}\n", 1), words
    missing = "Error from server (NotFound): the server could not find the requested resource\n"
    assert await refused(ok, "scale", "ds/ds", "--replicas=2") == missing
    out, err, code = await ok("diff", "-f", "-", "--server-side", "--field-manager=other", stdin=conf)
    assert (out, code) == ("", 2)
    assert err.startswith("Error from server (Conflict): Apply failed with 1 conflict: ")


async def test_a_wait_has_one_patience_for_all(ok: Ok) -> None:
    """What is not met takes all of it; nothing is left for what comes later."""
    done = await refused(ok, "wait", "--for=condition=Ready", "service", "--all", "--timeout=10ms")
    assert done.splitlines() == [
        f"timed out waiting for the condition on services/{name}" for name in ("kubernetes", "tiered", "web")
    ]


async def test_describe_goes_by_group_and_kind(ok: Ok) -> None:
    """Kinds of other groups may be called as ours are."""
    names = {"plural": "services", "kind": "Service"}
    version = {
        "name": "v1", "served": True, "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }  # fmt: skip
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "services.serving.example"},
        "spec": {"group": "serving.example", "names": names, "scope": "Namespaced", "versions": [version]},
    }  # fmt: skip
    await ok.prints("create", "-f", "-", stdin=json.dumps(definition))
    await ok.prints("wait", "--for=condition=Established", "crd", "services.serving.example")
    custom = {
        "apiVersion": "serving.example/v1",
        "kind": "Service",
        "metadata": {"name": "own"},
        "spec": {"x": "y"},
    }
    await ok.prints("create", "-f", "-", stdin=json.dumps(custom))
    text = await ok.prints("describe", "services.serving.example", "own")
    assert "API Version:  serving.example/v1\n" in text
    assert "Spec:\n  X:     y\n" in text
    parent = {"resource": "services", "namespace": "default", "name": "web"}
    address = {"apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "metadata": {"name": "192.0.2.1"},
               "spec": {"parentRef": parent}}  # fmt: skip
    await ok.prints("create", "-f", "-", stdin=json.dumps(address))
    assert await ok.prints("describe", "ipaddress", "192.0.2.1") == (
        "Name:         192.0.2.1\nLabels:       <none>\nAnnotations:  <none>\nParent Reference:\n"
        "  Group:      \n  Resource:   services\n  Namespace:  default\n  Name:       web\n"
        "Events:       <none>\n"
    )
