"""Classes of volumes and what CSI drivers write: what is refused, and what stays as it was."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.api.kinds import resource_of_kind
from services.apiserver.rules.strategy import strategy_for
from tests.golden.rules_world import World
from tests.unit.apiserver.rules.test_jobs import copy, faults

Json = dict[str, Any]
STORAGE = "storage.k8s.io/v1"
ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of"


def stored(api_version: str, kind: str, **body: Any) -> Json:
    """As it would be stored."""
    resource = resource_of_kind(api_version, kind)
    assert resource is not None
    strategy = strategy_for(resource)
    meta = {"name": "a", **({"namespace": "default"} if resource.namespaced else {})}
    obj = strategy.decode(orjson.dumps({"metadata": meta, **body}), "Strict").obj
    strategy.default(obj)
    strategy.prepare_create(obj, World())
    return obj


def updated(new: Json, old: Json, subresource: str = "") -> Json:
    resource = resource_of_kind(old["apiVersion"], old["kind"])
    assert resource is not None
    made = copy(new)
    strategy_for(resource, subresource).prepare_update(made, old, World())
    return made


def told(obj: Json, old: Json | None = None, subresource: str = "") -> list[str]:
    """The faults, without the long end of what a name must look like."""
    return [each.partition(SUBDOMAIN)[0] for each in faults(obj, old, subresource)]


def term(**labels: list[str]) -> Json:
    return {"matchLabelExpressions": [{"key": key, "values": values} for key, values in labels.items()]}


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"provisioner": "Ex.com/a b"}, ["provisioner"]),
        ({"parameters": {str(number): "" for number in range(513)}}, ["parameters"]),
        ({"parameters": {"a": "b" * 262144}}, ["parameters"]),
        ({"allowedTopologies": [term(zone=[])]}, ["allowedTopologies[0].matchLabelExpressions[0].values"]),
        (
            {"allowedTopologies": [term(zone=["a", "a"])]},
            ["allowedTopologies[0].matchLabelExpressions[0].values[1]"],
        ),
        (
            {"allowedTopologies": [term(zone=["a", "b"]), term(zone=["b", "a"])]},
            ["allowedTopologies[1].matchLabelExpressions"],
        ),
        ({"allowedTopologies": [term(zone=["a"]), term(zone=["b"])]}, []),
    ],
)
def test_storage_classes(body: Json, wanted: list[str]) -> None:
    found = faults(stored(STORAGE, "StorageClass", **{"provisioner": "x.io/y", **body}))
    assert [each.partition(": ")[0] for each in found] == wanted


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        (
            {"fsGroupPolicy": "Never"},
            'spec.fsGroupPolicy: Unsupported value: "Never": supported values: "File", "None",'
            ' "ReadWriteOnceWithFSType"',
        ),
        (
            {"volumeLifecycleModes": ["Often"]},
            'spec.volumeLifecycleModes: Unsupported value: "Often": supported values: "Persistent",'
            ' "Ephemeral"',
        ),
        (
            {"tokenRequests": [{"audience": "a"}, {"audience": "a"}]},
            'spec.tokenRequests[1].audience: Duplicate value: "a"',
        ),
        (
            {"tokenRequests": [{"audience": "", "expirationSeconds": 1}]},
            "spec.tokenRequests[0].expirationSeconds: Invalid value: 1: may not specify a duration less than"
            " 10 minutes",
        ),
        (
            {"nodeAllocatableUpdatePeriodSeconds": 9},
            "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10"
            " seconds",
        ),
    ],
)
def test_drivers(spec: Json, wanted: str) -> None:
    assert faults(stored(STORAGE, "CSIDriver", spec=spec)) == [wanted]


def test_a_driver_may_change_but_for_how_it_attaches() -> None:
    old = stored(STORAGE, "CSIDriver", spec={})
    new = copy(old)
    new["spec"] |= {"podInfoOnMount": True}
    assert faults(new, old) == []
    assert updated(new, old)["metadata"]["generation"] == 1
    new["spec"]["attachRequired"] = False
    assert faults(new, old) == ["spec.attachedRequired: Invalid value: false: field is immutable"]


def test_what_a_driver_says_of_a_node() -> None:
    here = {"name": "d.io", "nodeID": "n", "allocatable": {"count": 1}}
    old = stored(STORAGE, "CSINode", spec={"drivers": [here]})
    more = stored(STORAGE, "CSINode", spec={"drivers": [{**here, "allocatable": {"count": 2}}]})
    assert faults(old) == faults(more, old) == []
    other = stored(STORAGE, "CSINode", spec={"drivers": [{**here, "nodeID": "m"}]})
    assert told(other, old) == [
        'spec.drivers: Invalid value: {"Name":"d.io","NodeID":"m","TopologyKeys":null,"Allocatable":null}:'
        " field is immutable"
    ]
    bad = {"name": "", "nodeID": "x" * 257, "allocatable": {"count": -1}, "topologyKeys": ["a", "a"]}
    assert [
        each.partition(": ")[0] for each in told(stored(STORAGE, "CSINode", spec={"drivers": [bad]}))
    ] == [
        "spec.drivers[0].name",
        "spec.drivers[0].name",
        "spec.drivers[0].nodeID",
        "spec.drivers[0].allocatable.count",
        "spec.drivers[0]",
    ]


def test_room_is_not_negative() -> None:
    found = stored(STORAGE, "CSIStorageCapacity", storageClassName="", capacity="-1")
    assert told(found) == [
        'storageClassName: Invalid value: "": ',
        'capacity: Invalid value: "-1": must be greater than or equal to 0',
    ]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ({}, f"spec.source: Required value: {ONE_SOURCE}"),
        (
            {"persistentVolumeName": "v", "inlineVolumeSpec": {}},
            f"spec.source: Forbidden: {ONE_SOURCE}",
        ),
    ],
)
def test_an_attachment_has_one_source(source: Json, wanted: str) -> None:
    spec = {"attacher": "d.io", "nodeName": "n", "source": source}
    assert faults(stored(STORAGE, "VolumeAttachment", spec=spec)) == [wanted]


def test_an_attachments_status_tells_nothing_else() -> None:
    spec = {"attacher": "d.io", "nodeName": "n", "source": {"persistentVolumeName": "v"}}
    old = stored(STORAGE, "VolumeAttachment", spec=spec)
    new = copy(old)
    new["metadata"]["labels"] = {"a": "b"}
    new["status"] = {"attached": True, "attachError": {"errorCode": -1}}
    made = updated(new, old, "status")
    assert "labels" not in made["metadata"]
    assert {each.partition(": ")[0] for each in faults(made, old, "status")} == {
        "status.attachError.errorCode"
    }


# -- claims and volumes --------------------------------------------------------------------------

SNAPSHOT = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}
CLAIM: Json = {"apiGroup": None, "kind": "PersistentVolumeClaim", "name": "c"}
OTHER = {"apiGroup": "x.io", "kind": "Thing", "name": "t"}


def claim(**spec: Any) -> Json:
    given = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return stored("v1", "PersistentVolumeClaim", spec=given)


@pytest.mark.parametrize("source", [SNAPSHOT, CLAIM])
def test_what_a_claim_is_filled_from_is_said_twice(source: Json) -> None:
    for field in ("dataSource", "dataSourceRef"):
        found = claim(**{field: source})
        assert found["spec"]["dataSource"] == found["spec"]["dataSourceRef"] == source
        assert faults(found) == []


def test_sources_that_only_the_new_field_takes() -> None:
    assert "dataSource" not in claim(dataSource=OTHER)["spec"]
    found = claim(dataSourceRef=OTHER)["spec"]
    assert found["dataSource"] == found["dataSourceRef"] == OTHER
    assert "dataSourceRef" not in claim(dataSourceRef={**OTHER, "namespace": "n"})["spec"]


def test_an_update_that_knows_only_the_old_field_changes_nothing() -> None:
    old = claim(dataSource=SNAPSHOT)
    new = copy(old)
    del new["spec"]["dataSourceRef"]
    assert updated(new, old)["spec"] == old["spec"]


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        (
            {"dataSource": CLAIM, "dataSourceRef": {**CLAIM, "name": "d"}},
            ["spec: Invalid value: {}: must match dataSourceRef"],
        ),
        (
            {"dataSourceRef": {"kind": "Pod", "name": ""}},
            [
                f"spec.{field}: {why}"
                for field in ("dataSource", "dataSourceRef")
                for why in (
                    "Required value",
                    "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
                )
            ],
        ),
        ({"accessModes": ["ReadWriteOncePod", "ReadWriteOncePod"]}, []),
        (
            {"accessModes": ["ReadWriteOncePod", "ReadOnlyMany"]},
            ["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"],
        ),
    ],
)
def test_claims(spec: Json, wanted: list[str]) -> None:
    found = faults(claim(**spec))
    found = [each.replace(".name: ", ": ").replace('Invalid value: "Pod": ', "") for each in found]
    assert found == wanted


def test_a_claim_keeps_the_class_it_was_given() -> None:
    old = claim(volumeAttributesClassName="gold")
    old["status"]["phase"] = "Bound"
    for value, why in (("silver", []), (None, ["nil"]), ("", ["an empty string"])):
        new = copy(old)
        new["spec"]["volumeAttributesClassName"] = value
        said = [each for each in faults(new, old) if each.startswith("spec.volumeAttributes")]
        assert said == [
            f"spec.volumeAttributesClassName: Forbidden: update from non-nil value to {end} is forbidden"
            for end in why
        ]


def test_what_a_claims_status_may_say() -> None:
    old = claim()
    new = copy(old)
    new["status"] |= {
        "capacity": {"storage": "-1"},
        "allocatedResources": {"cpu": "1"},
        "allocatedResourceStatuses": {"storage": "Big"},
    }
    assert [each.partition(": ")[0] for each in faults(new, old, "status")] == [
        "status.capacity[storage]",
        "status.allocatedResourceStatus",
        "status.allocatedResources",
    ]


def volume(**spec: Any) -> Json:
    given = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, **spec}
    return stored("v1", "PersistentVolume", spec=given)


CSI = {"driver": "d.io", "volumeHandle": "h"}


def test_volumes() -> None:
    assert faults(volume(local={"path": "/x"})) == [
        "spec.nodeAffinity: Required value: Local volume requires node affinity"
    ]
    secret = {"controllerExpandSecretRef": {"name": "s"}}
    assert faults(volume(csi={**CSI, **secret})) == [
        "spec.csi.controllerExpandSecretRef.namespace: Required value"
    ]
    assert faults(volume(hostPath={"path": "/x"}, volumeAttributesClassName="gold")) == [
        "spec.csi: Required value: has to be specified when using volumeAttributesClassName"
    ]
    recycled = volume(hostPath={"path": "//"}, persistentVolumeReclaimPolicy="Recycle")
    assert faults(recycled) == [
        "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"
    ]


def test_a_volume_may_learn_later_how_it_grows() -> None:
    old = volume(csi=CSI)
    new = volume(csi={**CSI, "controllerExpandSecretRef": {"name": "s", "namespace": "n"}})
    assert faults(new, old) == []
    assert [each.partition(": ")[0] for each in faults(old, new)] == ["spec.persistentvolumesource"]


def test_the_claim_of_an_ephemeral_volume_is_looked_at() -> None:
    template = {"metadata": {"name": "n"}, "spec": {"accessModes": ["Often"]}}
    pod = {
        "containers": [{"name": "c", "image": "a:1"}],
        "volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": template}}],
    }
    path = "spec.volumes[0].ephemeral.volumeClaimTemplate"
    assert [each.partition(": ")[0] for each in faults(stored("v1", "Pod", spec=pod))] == [
        f"{path}.metadata.name",
        f"{path}.spec.accessModes",
        f"{path}.spec.resources[storage]",
    ]


WHO_MAY_PUT = [  # kind, by creating, without a resourceVersion
    ("apps/v1", "ControllerRevision", False, True),
    ("node.k8s.io/v1", "RuntimeClass", True, False),
    ("resource.k8s.io/v1", "ResourceSlice", False, True),
    (STORAGE, "CSIDriver", False, False),
    (STORAGE, "VolumeAttributesClass", False, True),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", False, False),
    ("apiregistration.k8s.io/v1", "APIService", False, False),
    ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", False, True),
    ("v1", "Service", True, True),
]


@pytest.mark.parametrize(("api_version", "kind", "creates", "unconditional"), WHO_MAY_PUT)
def test_what_a_put_may(api_version: str, kind: str, creates: bool, unconditional: bool) -> None:
    resource = resource_of_kind(api_version, kind)
    assert resource is not None
    strategy = strategy_for(resource)
    assert (strategy.allows_create_on_update, strategy.allows_unconditional_update) == (
        creates,
        unconditional,
    )
