"""Controllers that are about every kind, and kinds that come and go."""

from __future__ import annotations

from typing import Any

from services.api.core_v1 import ConfigMap, Namespace, NamespaceSpec
from services.api.kinds import Resource, resource_of_kind
from services.api.meta_v1 import ObjectMeta, OwnerReference
from services.api.object import ObjectKey
from services.client.custom import metadata_class
from services.controller_manager.namespace.controller import GRACE_SECONDS
from tests.unit.controller_manager.conftest import Cluster

Json = dict[str, Any]
GARBAGE, NAMESPACES = "garbage-collector-controller", "namespace-controller"
WIDGETS = Resource("example.com/v1", "Widget", "widgets", "widget")


def define(cluster: Cluster, established: str = "True") -> None:
    definitions = resource_of_kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    assert definitions is not None
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    cluster.api.put_data(
        definitions,
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.example.com"},
            "spec": {
                "group": "example.com",
                "names": names,
                "scope": "Namespaced",
                "versions": [{"name": "v1beta1", "served": True}, {"name": "v1", "served": True}],
            },
            "status": {
                "acceptedNames": names,
                "conditions": [{"type": "Established", "status": established}],
            },
        },
    )


def widget(cluster: Cluster, name: str, owner: OwnerReference | None = None) -> str:
    metadata: Json = {"name": name, "namespace": "default"}
    if owner is not None:
        metadata["ownerReferences"] = [
            {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}
        ]
    body = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata}
    cluster.api.put_data(WIDGETS, body)
    found = cluster.api.one(metadata_class(WIDGETS), name, "default")
    return str(found.metadata.uid)


def config(name: str, owner_uid: str = "", version: str = "v1") -> ConfigMap:
    owners = []
    if owner_uid:
        reference = OwnerReference(
            api_version=f"example.com/{version}", kind="Widget", name="owner", uid=owner_uid
        )
        owners = [reference]
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default", owner_references=owners))


async def test_what_a_custom_object_owns_goes_with_it(cluster: Cluster) -> None:
    define(cluster)
    uid = widget(cluster, "owner")
    cluster.api.put(config("new", uid))
    cluster.api.put(config("old", uid, "v1beta1"))
    cluster.api.put(config("free"))
    async with cluster.running(GARBAGE):
        assert len(cluster.api.all(ConfigMap)) == 3
        cluster.api.remove(metadata_class(WIDGETS), "owner", "default")
        await cluster.quiet()
        assert cluster.each(ConfigMap, lambda each: each.metadata.name) == ["free"]


async def test_a_custom_object_goes_with_its_owner(cluster: Cluster) -> None:
    async with cluster.running(GARBAGE):
        define(cluster)
        await cluster.quiet()
        owner = OwnerReference(api_version="v1", kind="ConfigMap", name="gone", uid="nobody")
        widget(cluster, "child", owner)
        await cluster.quiet()
        assert not cluster.api.all(metadata_class(WIDGETS))


async def test_a_namespace_is_emptied_of_them(cluster: Cluster) -> None:
    define(cluster)
    meta = ObjectMeta(name="default", deletion_timestamp="2026-01-01T00:00:00Z")
    cluster.api.put(Namespace(metadata=meta, spec=NamespaceSpec(finalizers=["kubernetes"])))
    widget(cluster, "a")
    async with cluster.running(NAMESPACES):
        await cluster.clock.advance(GRACE_SECONDS)
        await cluster.quiet()
        assert not cluster.api.all(metadata_class(WIDGETS))


def test_the_same_class_for_the_same_kind() -> None:
    again = Resource("example.com/v1", "Widget", "widgets", "widget")
    assert metadata_class(again) is metadata_class(WIDGETS)
    assert metadata_class(again)(metadata=ObjectMeta(name="a")).key == ObjectKey("", "a")
