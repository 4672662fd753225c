"""Manifests as people, editors and attackers get them wrong, each with a part of the answer.

A row is a manifest as bytes and what has to stand in the one error that comes back: the field where there
is one, and what is wrong with it. The exact texts are compared with upstream's elsewhere; here it matters
that they survive the way from a file through `ok` to the server and back.
"""

from __future__ import annotations

import copy
import json
from typing import Any

Json = dict[str, Any]
Case = tuple[bytes, str]

POD: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "bad"},
    "spec": {"containers": [{"name": "c", "image": "luksa/kubia"}]},
}
TEMPLATE: Json = {"metadata": {"labels": {"app": "bad"}}, "spec": POD["spec"]}
DEPLOYMENT: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "bad"},
    "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "bad"}}, "template": TEMPLATE},
}
REPLICA_SET: Json = {**DEPLOYMENT, "kind": "ReplicaSet"}
CONTROLLER: Json = {
    "apiVersion": "v1",
    "kind": "ReplicationController",
    "metadata": {"name": "bad"},
    "spec": {"replicas": 0, "selector": {"app": "bad"}, "template": TEMPLATE},
}
SERVICE: Json = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "bad"},
    "spec": {"selector": {"app": "bad"}, "ports": [{"port": 80}]},
}
CONFIG: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bad"}, "data": {"a": "b"}}
SECRET: Json = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bad"}}

C0 = "spec.containers[0]"
PARSE = "error: error parsing STDIN: error converting YAML to JSON: "


def changed(manifest: Json, path: str, value: Any) -> bytes:
    """The manifest as JSON with one value put at a dotted path; None takes the field away."""
    result = copy.deepcopy(manifest)
    holder: Any = result
    *parents, last = path.split(".")
    for name in parents:
        holder = holder[int(name)] if isinstance(holder, list) else holder.setdefault(name, {})
    if isinstance(holder, list):
        holder[int(last)] = value
    elif value is None:
        del holder[last]
    else:
        holder[last] = value
    return json.dumps(result).encode()


def container(field: str, value: Any, said: str) -> Case:
    return changed(POD, f"spec.containers.0.{field}", value), said


def nested(opening: str, closing: str, depth: int = 10_000) -> bytes:
    text = json.dumps(CONFIG).replace('"b"', opening * depth + "1" + closing * depth)
    return text.encode()


def bomb(levels: int = 12, width: int = 9) -> bytes:
    """Small as a file, and 9¹² values once its aliases are followed."""
    lines = ["apiVersion: v1", "kind: ConfigMap", "metadata: {name: bad}", "data:", "  a0: &a0 [x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines).encode()


def listing(*items: bytes) -> bytes:
    return b'{"apiVersion":"v1","kind":"List","items":[' + b",".join(items) + b"]}"


TYPES: tuple[Case, ...] = (
    (changed(DEPLOYMENT, "spec.replicas", "three"), "DeploymentSpec.spec.replicas of type int32"),
    (changed(DEPLOYMENT, "spec.replicas", 1.5), "DeploymentSpec.spec.replicas of type int32"),
    (changed(DEPLOYMENT, "spec.replicas", 2**40), "DeploymentSpec.spec.replicas of type int32"),
    (changed(POD, "spec.containers", {"name": "c"}), "PodSpec.spec.containers of type []v1.Container"),
    (changed(POD, "spec", "x"), "Pod.spec of type v1.PodSpec"),
    (changed(POD, "metadata", []), "Pod.metadata of type v1.ObjectMeta"),
    (changed(POD, "metadata.labels", {"a": 1}), "ObjectMeta.metadata.labels of type string"),
    (changed(CONFIG, "data", {"port": 8080}), "ConfigMap.data of type string"),
    (changed(SECRET, "data", {"a": "not base64!"}), "illegal base64 data"),
    container("command", "sleep 1", "Container.spec.containers.command of type []string"),
    container("env", [{"name": "A", "value": 1}], "EnvVar.spec.containers.env.value of type string"),
    container("ports", [{"containerPort": "80"}], "ports.containerPort of type int32"),
    container("resources", {"limits": {"cpu": "half"}}, "quantities must match the regular expression"),
)

FIELDS: tuple[Case, ...] = (
    (changed(POD, "spec.contaners", []), 'unknown field "spec.contaners"'),
    (changed(DEPLOYMENT, "spec.template.spec.replicas", 1), 'unknown field "spec.template.spec.replicas"'),
    container("Image", "x", f'unknown field "{C0}.Image"'),
    (changed(CONFIG, "spec", {}), 'unknown field "spec"'),
    (b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndata: {a: b, a: c}\n", '"a" already set'),
    (
        b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: bad\n  name: bad\n",
        'line 5: key "name" already set',
    ),
    (changed(POD, "spec.containers", []), "spec.containers: Required value"),
    (changed(POD, "spec", None), "spec.containers: Required value"),
    (changed(POD, "metadata.name", None), "name or generateName is required"),
    container("name", "", f"{C0}.name: Required value"),
    container("image", "", f"{C0}.image: Required value"),
    (changed(DEPLOYMENT, "spec.selector", None), "spec.selector: Required value"),
    (changed(SERVICE, "spec.ports", []), "spec.ports: Required value"),
)

RULES: tuple[Case, ...] = (
    (changed(POD, "metadata.name", "Bad_Name"), 'metadata.name: Invalid value: "Bad_Name"'),
    (changed(POD, "metadata.name", "x" * 254), "must be no more than 253"),
    (changed(POD, "metadata.name", "../../minions/x"), "metadata.name: Invalid value"),
    (changed(SERVICE, "metadata.name", "a.b"), 'metadata.name: Invalid value: "a.b"'),
    (changed(POD, "metadata.labels", {"app": "a b"}), 'metadata.labels: Invalid value: "a b"'),
    (changed(POD, "metadata.labels", {"a/b/c": "d"}), 'metadata.labels: Invalid value: "a/b/c"'),
    (changed(POD, "metadata.annotations", {"a b": "c"}), 'metadata.annotations: Invalid value: "a b"'),
    (changed(POD, "metadata.annotations", {"a": "x" * 262_145}), "metadata.annotations: Too long"),
    (changed(POD, "metadata.namespace", "elsewhere"), "does not match the namespace"),
    (changed(DEPLOYMENT, "spec.replicas", -1), "spec.replicas: Invalid value: -1: must be greater than"),
    (changed(DEPLOYMENT, "spec.selector.matchLabels", {"app": "x"}), "`selector` does not match template"),
    (changed(REPLICA_SET, "spec.selector.matchLabels", {"app": "x"}), "`selector` does not match template"),
    (changed(CONTROLLER, "spec.selector", {"app": "x"}), "`selector` does not match template"),
    (changed(DEPLOYMENT, "spec.selector", {}), "spec.selector: Invalid value"),
    (
        changed(REPLICA_SET, "spec.selector", {"matchExpressions": [{"key": "app", "operator": "In"}]}),
        "spec.selector.matchExpressions[0].values: Required value",
    ),
    (
        changed(DEPLOYMENT, "spec.selector", {"matchExpressions": [{"key": "app", "operator": "Is"}]}),
        "spec.selector.matchExpressions[0].operator: Invalid value",
    ),
    (
        changed(DEPLOYMENT, "spec.template.spec.restartPolicy", "Never"),
        'spec.template.spec.restartPolicy: Unsupported value: "Never"',
    ),
    (changed(POD, "spec.nodeSelector", {"disk": "a b"}), 'spec.nodeSelector: Invalid value: "a b"'),
    (changed(POD, "spec.volumes", [{"name": "v"}, {"name": "v"}]), "spec.volumes[1].name: Duplicate value"),
    (changed(POD, "spec.volumes", [{"name": "v", "configMap": {}}]), "spec.volumes[0].configMap.name"),
    (changed(POD, "spec.activeDeadlineSeconds", 0), "spec.activeDeadlineSeconds: Invalid value: 0"),
    (changed(SERVICE, "spec.ports", [{"port": 70_000}]), "spec.ports[0].port: Invalid value: 70000"),
    (changed(SERVICE, "spec.type", "Cluster"), 'spec.type: Unsupported value: "Cluster"'),
    (changed(CONFIG, "data", {"a b": "c"}), 'data[a b]: Invalid value: "a b"'),
    container("ports", [{"containerPort": 0}], f"{C0}.ports[0].containerPort: Required value"),
    container("ports", [{"containerPort": 65_536}], f"{C0}.ports[0].containerPort: Invalid value: 65536"),
    container("resources", {"limits": {"cpu": "-1"}}, f"{C0}.resources.limits[cpu]: Invalid value"),
    container(
        "resources",
        {"limits": {"memory": "1Mi"}, "requests": {"memory": "2Mi"}},
        f"{C0}.resources.requests: Invalid value",
    ),
    container("livenessProbe", {"periodSeconds": 1}, f"{C0}.livenessProbe: Required value"),
    container(
        "livenessProbe",
        {"tcpSocket": {"port": 0}},
        f"{C0}.livenessProbe.tcpSocket.port: Invalid value: 0",
    ),
    container(
        "volumeMounts", [{"name": "v", "mountPath": "/v"}], f'{C0}.volumeMounts[0].name: Not found: "v"'
    ),
    container("env", [{"name": "", "value": "x"}], f"{C0}.env[0].name: Required value"),
    container("imagePullPolicy", "Sometimes", f"{C0}.imagePullPolicy: Unsupported value"),
)

TEXTS: tuple[Case, ...] = (
    (b"", "error: no objects passed to create"),
    (b"---\n---\n# nothing\n", "error: no objects passed to create"),
    (b"just words", "invalid object to validate"),
    (b"[1, 2]", "invalid object to validate"),
    (json.dumps(POD).encode()[:-20], PARSE),
    (b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: bad\n data: {", PARSE + "yaml: line"),
    (b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: bad\n", PARSE + "yaml: line"),
    (b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b\xffd}\n", PARSE + "yaml: invalid"),
    (b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b\x00d}\n", PARSE),
    (b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"\\ud800"}}', PARSE),
    (b"\x7fELF\x02\x01\x01\x00\x00", PARSE),
    (b"\x1f\x8b\x08\x00\xff\xff", PARSE),
    (changed(DEPLOYMENT, "spec.replicas", float("nan")), "DeploymentSpec.spec.replicas of type int32"),
    (b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndata: {a: .nan}\n", "unsupported value: NaN"),
    (b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndata: {a: .inf}\n", "unsupported value: +Inf"),
    (b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndata: !!python/object:os.system {}\n", PARSE),
    (b"apiVersion: v1\nkind: ConfigMap\nmetadata: &m {name: bad, labels: *m}\n", PARSE),
    (bomb(), PARSE + "yaml: document contains excessive aliasing"),
    (nested('{"a":', "}"), PARSE + "yaml: exceeded max depth"),
    (nested("[", "]"), PARSE + "yaml: exceeded max depth"),
    (changed(CONFIG, "data.a", "x" * (4 << 20)), "limit is 3145728"),
    (changed(CONFIG, "data.a", "x" * (2 << 20)), "Too long: may not be more than 1048576 bytes"),
    (changed(POD, "kind", None), "kind not set"),
    (changed(POD, "apiVersion", None), "apiVersion not set"),
    (changed(POD, "kind", 7), "cannot unmarshal number into Go struct field .kind of type string"),
    (changed(POD, "kind", "Pods"), 'no matches for kind "Pods" in version "v1"'),
    (changed(POD, "apiVersion", "v2"), 'no matches for kind "Pod" in version "v2"'),
    (changed(DEPLOYMENT, "apiVersion", "extensions/v1beta1"), 'no matches for kind "Deployment"'),
    (listing(b"1"), "invalid object to validate"),
    (listing(changed(POD, "metadata.name", "Bad_Name")), 'metadata.name: Invalid value: "Bad_Name"'),
    (listing(changed(CONFIG, "kind", "Nothing")), 'no matches for kind "Nothing"'),
)

MANIFESTS: tuple[Case, ...] = (*TYPES, *FIELDS, *RULES, *TEXTS)
