"""Manifests as people get them wrong: each has one precise answer.

A row says what is wrong with an otherwise valid manifest, and the message that comes back, after the part
that every message of its kind begins with.
"""

# ruff: noqa: E501 (the texts are upstream's, and as long as they are)

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from services.api import apps_v1, core_v1
from tests.unit.apiserver.rules.world import refusal

Json = dict[str, Any]

POD: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "kubia"},
    "spec": {"containers": [{"name": "kubia", "image": "luksa/kubia"}]},
}
DEPLOYMENT: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "kubia"},
    "spec": {
        "selector": {"matchLabels": {"app": "kubia"}},
        "template": {"metadata": {"labels": {"app": "kubia"}}, "spec": POD["spec"]},
    },
}
SERVICE: Json = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "kubia"},
    "spec": {"selector": {"app": "kubia"}, "ports": [{"port": 80, "targetPort": 8080}]},
}
CONFIG: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end"
    " with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must"
    " start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    r" '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
UNHANDLED = 'Pod in version "v1" cannot be handled as a Pod: '
INVALID = 'Pod "kubia" is invalid: '
C0 = "spec.containers[0]"


def with_value(manifest: Json, path: str, value: Any) -> Json:
    """A copy of `manifest` with one value put at a dotted path."""
    changed = copy.deepcopy(manifest)
    holder: Any = changed
    *parents, last = path.split(".")
    for name in parents:
        if isinstance(holder, list):
            holder = holder[int(name)]
        else:
            holder = holder.setdefault(name, {})
    if isinstance(holder, list):
        holder[int(last)] = value
    else:
        holder[last] = value
    return changed


# What has the wrong type or an unknown name: refused before anything else is looked at (400).
UNREADABLE = [
    ("spec.containers", {"name": "c"},
     "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container"),
    ("spec.containers.0", "c",
     "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type v1.Container"),
    ("spec.containers.0.ports", [{"containerPort": "80"}],
     "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of"
     " type int32"),
    ("spec.containers.0.ports", [{"containerPort": 4294967296}],
     "json: cannot unmarshal number 4294967296 into Go struct field"
     " ContainerPort.spec.containers.ports.containerPort of type int32"),
    ("spec.containers.0.command", "sleep",
     "json: cannot unmarshal string into Go struct field Container.spec.containers.command of type []string"),
    ("spec.containers.0.args", [1],
     "json: cannot unmarshal number into Go struct field Container.spec.containers.args of type string"),
    ("spec.containers.0.env", {"A": "b"},
     "json: cannot unmarshal object into Go struct field Container.spec.containers.env of type []v1.EnvVar"),
    ("spec.containers.0.env", [{"name": "A", "value": True}],
     "json: cannot unmarshal bool into Go struct field EnvVar.spec.containers.env.value of type string"),
    ("spec.containers.0.imagePullPolicy", 1,
     "json: cannot unmarshal number into Go struct field Container.spec.containers.imagePullPolicy of type"
     " v1.PullPolicy"),
    ("spec.containers.0.tty", "yes",
     "json: cannot unmarshal string into Go struct field Container.spec.containers.tty of type bool"),
    ("spec.containers.0.resources", {"limits": {"cpu": "half"}},
     "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    ("spec.containers.0.resources", {"limits": {"memory": "1KM"}},
     "unable to parse quantity's suffix"),
    ("spec.containers.0.livenessProbe", {"httpGet": {"port": True}},
     "json: cannot unmarshal bool into Go struct field"
     " HTTPGetAction.spec.containers.livenessProbe.httpGet.port of type int32"),
    ("metadata.labels", {"tier": 1},
     "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"),
    ("metadata.labels", ["a"],
     "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string"),
    ("metadata.creationTimestamp", "2026-02-30T00:00:00Z",
     'parsing time "2026-02-30T00:00:00Z": day out of range'),
    ("metadata.finalizers", "one",
     "json: cannot unmarshal string into Go struct field ObjectMeta.metadata.finalizers of type []string"),
    ("spec", ["x"], "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec"),
    ("spec.terminationGracePeriodSeconds", "30",
     "json: cannot unmarshal string into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64"),
    ("spec.container", [], 'strict decoding error: unknown field "spec.container"'),
    ("spec.containers.0.Image", "x", 'strict decoding error: unknown field "spec.containers[0].Image"'),
    ("metadata.lables", {}, 'strict decoding error: unknown field "metadata.lables"'),
    ("replicas", 3, 'strict decoding error: unknown field "replicas"'),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "message"), UNREADABLE)
def test_unreadable(path: str, value: Any, message: str) -> None:
    assert refusal(core_v1.Pod, orjson.dumps(with_value(POD, path, value))) == UNHANDLED + message


# What can be read and breaks a rule (422).
BROKEN = [
    ("metadata.name", "Kubia", f'Pod "Kubia" is invalid: metadata.name: Invalid value: "Kubia": {SUBDOMAIN}'),
    ("metadata.name", "k" * 254,
     f'Pod "{"k" * 254}" is invalid: metadata.name: Invalid value: "{"k" * 254}": must be no more than 253 characters'),
    ("metadata.name", "a\ufffdb", f'Pod "a\ufffdb" is invalid: metadata.name: Invalid value: "a\ufffdb": {SUBDOMAIN}'),
    ("metadata.labels", {"app": "x" * 64},
     INVALID + f'metadata.labels: Invalid value: "{"x" * 64}": must be no more than 63 bytes'),
    ("metadata.labels", {"a/b/c": "d"},
     INVALID + 'metadata.labels: Invalid value: "a/b/c": a qualified name must consist of alphanumeric characters,'
     " '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or"
     " '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS"
     " subdomain prefix and '/' (e.g. 'example.com/MyName')"),
    ("spec.containers", [], INVALID + "spec.containers: Required value"),
    ("spec.containers.0.name", "my_c", INVALID + f'{C0}.name: Invalid value: "my_c": {LABEL}'),
    ("spec.containers.0.image", "", INVALID + f"{C0}.image: Required value"),
    ("spec.containers.0.image", "nginx ",
     INVALID + f'{C0}.image: Invalid value: "nginx ": must not have leading or trailing whitespace'),
    ("spec.containers.0.ports", [{"containerPort": 80, "name": "http"}, {"containerPort": 81, "name": "http"}],
     INVALID + f'{C0}.ports[1].name: Duplicate value: "http"'),
    ("spec.containers.0.ports", [{"containerPort": 80, "name": "8080"}],
     INVALID + f'{C0}.ports[0].name: Invalid value: "8080": must contain at least one letter (a-z)'),
    ("spec.containers.0.ports", [{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 80}],
     INVALID + f'{C0}.ports[1].hostPort: Duplicate value: "TCP//80"'),
    ("spec.containers.0.env", [{"value": "x"}], INVALID + f"{C0}.env[0].name: Required value"),
    ("spec.containers.0.env", [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}],
     INVALID + f"{C0}.env[0].valueFrom.secretKeyRef.key: Required value"),
    ("spec.containers.0.env", [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.schedulerName"}}}],
     INVALID + f'{C0}.env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.schedulerName": supported'
     ' values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",'
     ' "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"'),
    ("spec.containers.0.envFrom", [{"prefix": "A_"}],
     INVALID + f'{C0}.envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`'),
    ("spec.containers.0.volumeMounts", [{"name": "data", "mountPath": "/d"}],
     INVALID + f'{C0}.volumeMounts[0].name: Not found: "data"'),
    ("spec.containers.0.resources", {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}},
     INVALID + f'{C0}.resources.requests: Invalid value: "2Gi": must be less than or equal to memory limit of 1Gi'),
    ("spec.containers.0.resources", {"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}},
     INVALID + f'{C0}.resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple'
     f' of hugepages-2Mi, {C0}.resources.requests[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer'
     " multiple of hugepages-2Mi]"),
    ("spec.containers.0.livenessProbe", {"tcpSocket": {"port": 1}, "exec": {"command": ["a"]}},
     INVALID + f"{C0}.livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"),
    ("spec.containers.0.livenessProbe", {"exec": {}},
     INVALID + f"{C0}.livenessProbe.exec.command: Required value"),
    ("spec.containers.0.livenessProbe", {"tcpSocket": {"port": 1}, "successThreshold": 2},
     INVALID + f"{C0}.livenessProbe.successThreshold: Invalid value: 2: must be 1"),
    ("spec.containers.0.readinessProbe", {"httpGet": {"port": "web server"}},
     INVALID + f'{C0}.readinessProbe.httpGet.port: Invalid value: "web server": must contain only alpha-numeric'
     " characters (a-z, 0-9), and hyphens (-)"),
    ("spec.containers.0.lifecycle", {"preStop": {"sleep": {"seconds": 31}}},
     INVALID + f"{C0}.lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than"
     " terminationGracePeriodSeconds (30)"),
    ("spec.containers.0.securityContext", {"runAsUser": -1},
     INVALID + f"{C0}.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"),
    ("spec.containers.0.terminationMessagePolicy", "Logs",
     INVALID + f'{C0}.terminationMessagePolicy: Unsupported value: "Logs": supported values: "File",'
     ' "FallbackToLogsOnError"'),
    ("spec.volumes", [{"name": "v", "configMap": {}}],
     INVALID + "spec.volumes[0].configMap.name: Required value"),
    ("spec.volumes", [{"name": "v", "hostPath": {"path": "/a/../b"}}],
     INVALID + "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"),
    ("spec.volumes", [{"name": "v", "secret": {"secretName": "s", "defaultMode": 1000}}],
     INVALID + "spec.volumes[0].secret.defaultMode: Invalid value: 1000: must be a number between 0 and 0777"
     " (octal), both inclusive"),
    ("spec.nodeSelector", {"disk": "ssd drive"},
     INVALID + 'spec.nodeSelector: Invalid value: "ssd drive": a valid label must be an empty string or consist of'
     " alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g."
     " 'MyValue',  or 'my_value',  or '12345', regex used for validation is"
     " '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"),
    ("spec.affinity", {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}},
     INVALID + "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms:"
     " Required value: must have at least one node selector term"),
    ("spec.affinity",
     {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "a b"}]}},
     INVALID + "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey:"
     ' Invalid value: "a b": name part must consist of alphanumeric characters, \'-\', \'_\' or \'.\', and must'
     " start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for"
     " validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"),
    ("spec.topologySpreadConstraints",
     [{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
     INVALID + "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero"),
    ("spec.hostAliases", [{"ip": "localhost", "hostnames": ["a"]}],
     INVALID + 'spec.hostAliases[0].ip: Invalid value: "localhost": must be a valid IP address,'
     " (e.g. 10.9.8.7 or 2001:db8::ffff)"),
    ("spec.restartPolicy", "always",
     INVALID + 'spec.restartPolicy: Unsupported value: "always": supported values: "Always", "OnFailure", "Never"'),
    ("spec.serviceAccountName", "builder",
     'pods "kubia" is forbidden: error looking up service account default/builder: serviceaccount "builder" not'
     " found"),
    ("spec.priorityClassName", "gold",
     'pods "kubia" is forbidden: no PriorityClass with name gold was found'),
    ("metadata.namespace", "absent", 'namespaces "absent" not found'),
    ("metadata.ownerReferences", [{"apiVersion": "v1", "kind": "Event", "name": "e", "uid": "u"}],
     INVALID + 'metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":"Event","name":"e","uid":"u"}:'
     " /v1, Kind=Event is disallowed from being an owner"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "message"), BROKEN)
def test_broken_pod(path: str, value: Any, message: str) -> None:
    found = refusal(core_v1.Pod, orjson.dumps(with_value(POD, path, value)))
    assert found.replace("is invalid: [", "is invalid: ") == message


OTHERS = [
    (apps_v1.Deployment, DEPLOYMENT, "spec.selector.matchLabels", {"app": "other"},
     'Deployment.apps "kubia" is invalid: spec.template.metadata.labels: Invalid value: {"app":"kubia"}:'
     " `selector` does not match template `labels`"),
    (apps_v1.Deployment, DEPLOYMENT, "spec.strategy",
     {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}},
     'Deployment.apps "kubia" is invalid: spec.strategy.rollingUpdate: Forbidden: may not be specified when'
     " strategy `type` is 'Recreate'"),
    (apps_v1.Deployment, DEPLOYMENT, "spec.strategy", {"rollingUpdate": {"maxUnavailable": "110%"}},
     'Deployment.apps "kubia" is invalid: spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "110%": must'
     " not be greater than 100%"),
    (apps_v1.Deployment, DEPLOYMENT, "spec.strategy", {"rollingUpdate": {"maxSurge": "some"}},
     'Deployment.apps "kubia" is invalid: spec.strategy.rollingUpdate.maxSurge: Invalid value: "some": a valid'
     " percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for"
     " validation is '[0-9]+%')"),
    (apps_v1.Deployment, DEPLOYMENT, "spec.progressDeadlineSeconds", 0,
     'Deployment.apps "kubia" is invalid: spec.progressDeadlineSeconds: Invalid value: 0: must be greater than'
     " minReadySeconds"),
    (apps_v1.Deployment, DEPLOYMENT, "spec.replicas", "3",
     'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct'
     " field DeploymentSpec.spec.replicas of type int32"),
    (apps_v1.Deployment, DEPLOYMENT, "apiVersion", "extensions/v1beta1",
     'Deployment in version "v1beta1" cannot be handled as a Deployment: no kind "Deployment" is registered for'
     ' version "extensions/v1beta1" in scheme "pkg/api/legacyscheme/scheme.go:30"'),
    (core_v1.Service, SERVICE, "metadata.name", "kubia.svc",
     f'Service "kubia.svc" is invalid: metadata.name: Invalid value: "kubia.svc": {LABEL}'),
    (core_v1.Service, SERVICE, "spec.ports", [{"port": 80}, {"port": 443}],
     'Service "kubia" is invalid: [spec.ports[0].name: Required value, spec.ports[1].name: Required value]'),
    (core_v1.Service, SERVICE, "spec.ports", [{"port": 80, "nodePort": 30080}],
     'Service "kubia" is invalid: spec.ports[0].nodePort: Forbidden: may not be used when `type` is \'ClusterIP\''),
    (core_v1.Service, SERVICE, "spec.sessionAffinity", "clientip",
     'Service "kubia" is invalid: spec.sessionAffinity: Unsupported value: "clientip": supported values:'
     ' "ClientIP", "None"'),
    (core_v1.ConfigMap, CONFIG, "data", {"a": "x" * ((1 << 20) + 1)},
     'ConfigMap "c" is invalid: []: Too long: may not be more than 1048576 bytes'),
    (core_v1.ConfigMap, CONFIG, "data", {"a": {"b": "c"}},
     'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal object into Go struct'
     " field ConfigMap.data of type string"),
    (core_v1.ConfigMap, CONFIG, "binaryData", {"a": "AA=="},
     'ConfigMap "c" is invalid: data[a]: Invalid value: "a": duplicate of key present in binaryData'),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "manifest", "path", "value", "message"), OTHERS)
def test_broken_others(kind: type[Any], manifest: Json, path: str, value: Any, message: str) -> None:
    assert refusal(kind, orjson.dumps(with_value(manifest, path, value))) == message


PARSE = "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; "
TEXTS = [
    (b"", PARSE + "json parse error: unexpected end of JSON input (<empty>)"),
    (b"kind: ConfigMap", PARSE + "json parse error: invalid character 'k' looking for beginning of value"
     " (6b696e643a20436f6e6669674d6170)"),
    (b'{"a":1,}', PARSE + "json parse error: invalid character '}' looking for beginning of object key string"
     ' ({"a":1,})'),
    (b'{"a" 1}', PARSE + "json parse error: invalid character '1' after object key ({\"a\" 1})"),
    (b'{"a":tru}', PARSE + "json parse error: invalid character '}' in literal true (expecting 'e') ({\"a\":tru})"),
    (b'{"a":01}', PARSE + "json parse error: invalid character '1' after object key:value pair ({\"a\":01})"),
    (b'{"a":"\\x"}', PARSE + "json parse error: invalid character 'x' in string escape code ({\"a\":\"\\x\"})"),
    (b'{"a":"\t"}', PARSE + "json parse error: invalid character '\\t' in string literal ({\"a\":\"\t\"})"),
    (b'{"a":NaN}', PARSE + "json parse error: invalid character 'N' looking for beginning of value"
     ' ({"a":NaN})'),
    (b"[" * 100_000, PARSE + "json parse error: invalid character '[' exceeded max depth"
     f" ({'5b' * 30} ...)"),
    (b'{"kind":"ConfigMap","apiVersion":"v1","data":{"a":"1","a":"2"},"metadata":{"name":"c"}}',
     'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "data.a"'),
    (b'{"kind":"Pod","apiVersion":"v1"}',
     'Pod in version "v1" cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown'
     " conversion"),
    (b'{"metadata":{"name":"\xff"}}', f'ConfigMap "\ufffd" is invalid: metadata.name: Invalid value: "\ufffd": {SUBDOMAIN}'),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), TEXTS)
def test_texts_that_are_no_manifest(body: bytes, message: str) -> None:
    assert refusal(core_v1.ConfigMap, body) == message


def test_deep_nesting_in_an_unknown_field() -> None:
    body = orjson.dumps(CONFIG)[:-1] + b',"unknown":' + b'{"a":' * 400 + b"1" + b"}" * 401
    assert "exceeded max depth" in refusal(core_v1.ConfigMap, body)


def test_the_manifests_are_valid_otherwise() -> None:
    assert not refusal(core_v1.Pod, orjson.dumps(POD))
    assert not refusal(apps_v1.Deployment, orjson.dumps(DEPLOYMENT))
    assert not refusal(core_v1.Service, orjson.dumps(SERVICE))
    assert not refusal(core_v1.ConfigMap, orjson.dumps(CONFIG))


@pytest.mark.parametrize(
    "body",
    [
        b'{"metadata":{"name":"c"},"data":{"a":"{\\"b\\": 1}"}}',
        b'{"metadata":{"name":"c"},"data":{"a":"\\ud800"}}',
        b'{"metadata" : {"name" : "c"}, "data" : {"a" : "b"}}',
        b'\n {"metadata":{"name":"c"},"data":{"\\u0061":"b"}} \n',
    ],
)
def test_unusual_texts_that_are_fine(body: bytes) -> None:
    assert refusal(core_v1.ConfigMap, body) == ""
