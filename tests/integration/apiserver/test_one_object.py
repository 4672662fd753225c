"""The same object of every kind, read over gRPC, over REST and in etcd: it is the same JSON.

In etcd it lacks the resourceVersion, which is the revision that etcd knows it by. A kind that is served in
two versions is kept in one of them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc.aio
import orjson
import pytest

from services.api.kinds import RESOURCES, Resource
from services.client.client import connect
from services.client.transport import Target
from services.pb.etcd.v3 import etcd_pb2, etcd_pb2_grpc
from tests.support.apiserver import Https, https

__all__ = ["https"]

Json = dict[str, Any]
LABELS = {"matchLabels": {"a": "b"}}
PODS = {"containers": [{"name": "c", "image": "luksa/kubia:v1"}]}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": PODS}
FINITE = {**TEMPLATE, "spec": {**PODS, "restartPolicy": "Never"}}
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
ALL = {"apiGroups": [""], "resources": ["*"], "verbs": ["*"]}
WEBHOOK = {
    "name": "w.example.com",
    "clientConfig": {"url": "https://127.0.0.1:1"},
    "admissionReviewVersions": ["v1"],
    "sideEffects": "None",
    "rules": [],
}
MATCH = {
    "resourceRules": [
        {"apiGroups": ["x.example"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["y"]}
    ]
}
REMOVAL = '[JSONPatch{op: "remove", path: "/spec"}]'
APPLIED = {"patchType": "JSONPatch", "jsonPatch": {"expression": REMOVAL}}
OBJECT = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
DEVICES = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "thing"}}]}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"}
VERSION = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": OBJECT}}

# What each kind needs beside its name.
BODIES: dict[str, Json] = {
    "v1/configmaps": {"data": {"a": "ü\u2028\x7f"}, "binaryData": {"b": "AAE="}},
    "v1/endpoints": {"subsets": [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 80}]}]},
    "v1/events": {"involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"}},
    "v1/limitranges": {"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}},
    "v1/namespaces": {},
    "v1/nodes": {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
    "v1/persistentvolumeclaims": {"spec": CLAIM},
    "v1/persistentvolumes": {
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": "/x"},
        }
    },
    "v1/pods": {"spec": PODS},
    "v1/podtemplates": {"template": TEMPLATE},
    "v1/replicationcontrollers": {"spec": {"selector": {"a": "b"}, "template": TEMPLATE}},
    "v1/resourcequotas": {"spec": {"hard": {"pods": "100"}}},
    "v1/secrets": {"stringData": {"a": "b"}},
    "v1/serviceaccounts": {},
    "v1/services": {"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}},
    "admissionregistration.k8s.io/v1/mutatingadmissionpolicies": {
        "spec": {"matchConstraints": MATCH, "mutations": [APPLIED], "reinvocationPolicy": "Never"}
    },
    "admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings": {"spec": {"policyName": "p"}},
    "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations": {"webhooks": [WEBHOOK]},
    "admissionregistration.k8s.io/v1/validatingadmissionpolicies": {
        "spec": {"matchConstraints": MATCH, "validations": [{"expression": "true"}]}
    },
    "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings": {
        "spec": {"policyName": "p", "validationActions": ["Deny"]}
    },
    "admissionregistration.k8s.io/v1/validatingwebhookconfigurations": {"webhooks": [WEBHOOK]},
    "apiextensions.k8s.io/v1/customresourcedefinitions": {
        "metadata": {"name": "things.one.example"},
        "spec": {
            "group": "one.example",
            "names": {"kind": "Thing", "plural": "things"},
            "scope": "Namespaced",
            "versions": [VERSION],
        },
    },
    "apps/v1/controllerrevisions": {"data": {"x": 1.5}, "revision": 1},
    "apps/v1/daemonsets": {"spec": {"selector": LABELS, "template": TEMPLATE}},
    "apps/v1/deployments": {"spec": {"selector": LABELS, "template": TEMPLATE}},
    "apps/v1/replicasets": {"spec": {"selector": LABELS, "template": TEMPLATE}},
    "apps/v1/statefulsets": {"spec": {"serviceName": "s", "selector": LABELS, "template": TEMPLATE}},
    "autoscaling/v1/horizontalpodautoscalers": {"spec": {"maxReplicas": 3, "scaleTargetRef": DEPLOYMENT}},
    "autoscaling/v2/horizontalpodautoscalers": {"spec": {"maxReplicas": 3, "scaleTargetRef": DEPLOYMENT}},
    "batch/v1/cronjobs": {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": FINITE}}}},
    "batch/v1/jobs": {"spec": {"template": FINITE}},
    "certificates.k8s.io/v1/certificatesigningrequests": {
        "spec": {"signerName": "example.com/x", "usages": ["client auth"]}
    },
    "coordination.k8s.io/v1/leases": {"spec": {"renewTime": "2026-01-02T03:04:05.000000Z"}},
    "apiregistration.k8s.io/v1/apiservices": {
        "metadata": {"name": "v1.none.example.com"},
        "spec": {
            "group": "none.example.com",
            "version": "v1",
            "groupPriorityMinimum": 1000,
            "versionPriority": 5,
            "insecureSkipTLSVerify": True,
            "service": {"name": "s", "namespace": "default"},
        },
    },
    "flowcontrol.apiserver.k8s.io/v1/flowschemas": {
        "spec": {"priorityLevelConfiguration": {"name": "global-default"}}
    },
    "flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations": {
        "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}
    },
    "events.k8s.io/v1/events": {
        "eventTime": "2026-01-02T03:04:05.000006Z",
        "reportingController": "example.com/x",
        "action": "Do",
        "reportingInstance": "x-1",
        "reason": "Why",
        "type": "Normal",
        "regarding": {"kind": "Pod", "namespace": "default", "name": "p"},
    },
    "discovery.k8s.io/v1/endpointslices": {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}],
        "ports": [{"port": 80}],
    },
    "networking.k8s.io/v1/ingressclasses": {"spec": {"controller": "example.com/x"}},
    "networking.k8s.io/v1/ingresses": {
        "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}
    },
    "networking.k8s.io/v1/ipaddresses": {
        "metadata": {"name": "10.9.8.7"},
        "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "s"}},
    },
    "networking.k8s.io/v1/networkpolicies": {"spec": {"podSelector": {}, "ingress": [{}]}},
    "networking.k8s.io/v1/servicecidrs": {"spec": {"cidrs": ["10.9.0.0/24"]}},
    "resource.k8s.io/v1/deviceclasses": {"spec": {"selectors": [{"cel": {"expression": "true"}}]}},
    "resource.k8s.io/v1/resourceclaims": {"spec": DEVICES},
    "resource.k8s.io/v1/resourceclaimtemplates": {"spec": {"spec": DEVICES}},
    "resource.k8s.io/v1/resourceslices": {
        "spec": {
            "driver": "d.example",
            "nodeName": "n",
            "devices": [{"name": "one"}],
            "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
        }
    },
    "node.k8s.io/v1/runtimeclasses": {"handler": "h"},
    "scheduling.k8s.io/v1/priorityclasses": {"value": 7},
    "policy/v1/poddisruptionbudgets": {"spec": {"minAvailable": "50%", "selector": LABELS}},
    "rbac.authorization.k8s.io/v1/clusterrolebindings": {"roleRef": ROLE, "subjects": []},
    "rbac.authorization.k8s.io/v1/clusterroles": {"rules": []},
    "rbac.authorization.k8s.io/v1/rolebindings": {"roleRef": ROLE},
    "rbac.authorization.k8s.io/v1/roles": {"rules": [ALL]},
    "storage.k8s.io/v1/csidrivers": {"spec": {}},
    "storage.k8s.io/v1/csinodes": {"spec": {"drivers": [{"name": "d", "nodeID": "x"}]}},
    "storage.k8s.io/v1/csistoragecapacities": {"storageClassName": "x", "capacity": "1Gi"},
    "storage.k8s.io/v1/storageclasses": {"provisioner": "example.com/x"},
    "storage.k8s.io/v1/volumeattachments": {
        "spec": {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "v"}}
    },
    "storage.k8s.io/v1/volumeattributesclasses": {"driverName": "d", "parameters": {"a": "b"}},
}


def request_for_a_certificate() -> str:
    import base64

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "someone")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = made.sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
    return base64.b64encode(signed.public_bytes(Encoding.PEM)).decode()


def body_of(resource: Resource) -> Json:
    made: Json = json.loads(json.dumps(BODIES[resource.key]))
    name = f"one-{resource.singular}-{resource.group[:3]}{resource.version}"
    metadata = {"name": name, "labels": {"of": "test"}}
    body = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        **made,
        "metadata": {**metadata, **made.get("metadata", {})},
    }
    if resource.kind == "CertificateSigningRequest":
        body["spec"]["request"] = request_for_a_certificate()
    return body


def collection(resource: Resource) -> str:
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    namespaced = "namespaces/default/" if resource.namespaced else ""
    return f"{root}/{namespaced}{resource.plural}"


class Witness:
    """Reads etcd past the API server."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._kv = etcd_pb2_grpc.KVStub(channel)

    async def object(self, uid: str) -> tuple[Json, int]:
        """The one with that uid, and its revision."""
        everything = etcd_pb2.RangeRequest(key=b"/registry/", range_end=b"/registry0")
        found = (await self._kv.Range(everything)).kvs
        for each in found:
            if (
                uid.encode() in each.value
                and (value := orjson.loads(each.value))["metadata"].get("uid") == uid
            ):
                return value, each.mod_revision
        raise AssertionError(f"nothing in etcd has the uid {uid}")


@pytest.fixture
async def session(https: Https) -> AsyncIterator[aiohttp.ClientSession]:
    async with https.client() as session:
        yield session


async def test_one_object_is_the_same_wherever_it_is_read(
    https: Https, session: aiohttp.ClientSession
) -> None:
    made = [resource for resource in RESOURCES if "create" in resource.verbs]
    assert {resource.key for resource in made} == BODIES.keys(), "each kind needs a body here"
    thing = Resource("one.example/v1", "Thing", "things", "thing")
    async with (
        connect(https.grpc, user_agent="test/1") as client,
        grpc.aio.insecure_channel(https.etcd) as channel,
    ):
        witness = Witness(channel)
        accounts = "/api/v1/namespaces/default/serviceaccounts"  # Pods have one
        async with session.post(accounts, json={"metadata": {"name": "default"}}) as answer:
            assert answer.status == 201
        for resource in made:
            await compare(session, client.transport, witness, resource, body_of(resource))
        definition = f"{collection(made_of(made, 'CustomResourceDefinition'))}/things.one.example"
        await established(session, definition)
        body = {
            "apiVersion": "one.example/v1",
            "kind": "Thing",
            "metadata": {"name": "t"},
            "x": [1, 1.5, None],
        }
        await compare(session, client.transport, witness, thing, body)


def made_of(resources: list[Resource], kind: str) -> Resource:
    return next(resource for resource in resources if resource.kind == kind)


async def established(session: aiohttp.ClientSession, path: str) -> None:
    while True:
        async with session.get(path) as answer:
            conditions = (await answer.json()).get("status", {}).get("conditions") or []
        if any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
            return


async def compare(
    session: aiohttp.ClientSession, transport: Any, witness: Witness, resource: Resource, body: Json
) -> None:
    async with session.post(collection(resource), json=body) as answer:
        created = await answer.json()
        assert answer.status == 201, created
    name, uid = created["metadata"]["name"], created["metadata"]["uid"]
    target = Target(resource, "default" if resource.namespaced else "", name)
    while True:
        async with session.get(f"{collection(resource)}/{name}") as answer:
            over_rest = await answer.json()
        over_grpc = (await transport.get(target)).object
        kept, revision = await witness.object(uid)
        async with session.get(f"{collection(resource)}?fieldSelector=metadata.name%3D{name}") as answer:
            (item,) = (await answer.json())["items"]
        versions = {each["metadata"]["resourceVersion"] for each in (over_rest, item)}
        if versions == {over_grpc.resource_version} == {str(revision)}:
            break  # nobody has written it meanwhile
    assert with_version(over_grpc.json, str(revision)) == over_rest, resource.key
    assert {"kind": resource.kind, "apiVersion": resource.api_version, **item} == over_rest, resource.key
    assert "resourceVersion" not in kept["metadata"]
    if not resource.stored_as:
        assert with_version(orjson.dumps(kept), str(revision)) == over_rest, resource.key


def with_version(raw: bytes, version: str) -> Json:
    found: Json = orjson.loads(raw)
    found["metadata"]["resourceVersion"] = version
    return found
