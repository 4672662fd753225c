"""What the server serves: the gRPC counterpart of `/version`, `/api/v1` and `/apis/…`."""

from __future__ import annotations

import asyncio
import hashlib
import platform
from base64 import b64encode
from typing import Any

import grpc
import grpc.aio
import orjson

from services.api import errors
from services.api.kinds import Resource, Subresource
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.fronts.calls import Caller, Calls
from services.apiserver.openapi.documents import Documents
from services.apiserver.registry.catalog import Catalog
from services.pb.resource.v1 import resource_pb2 as pb

SERVICE = "resource.v1.DiscoveryService"
Json = dict[str, Any]
_GROUP = "apiextensions.k8s.io"
# Upstream hashes the version that it stored these in long ago.
_HASHED_AS = {f"{_GROUP}/v1/CustomResourceDefinition": f"{_GROUP}/v1beta1/CustomResourceDefinition"}
VERSION: Json = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": "orrery",
    "gitTreeState": "clean",
    "buildDate": "2026-06-09T00:00:00Z",
    "goVersion": "none",
    "compiler": "cpython",
}
# The order in which upstream lists its groups; those that it does not know come after.
GROUPS = ("", "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io",
          "authorization.k8s.io", "autoscaling", "batch", "certificates.k8s.io", "networking.k8s.io",
          "policy", "rbac.authorization.k8s.io", "storage.k8s.io", "admissionregistration.k8s.io",
          "apiextensions.k8s.io", "scheduling.k8s.io", "coordination.k8s.io", "node.k8s.io",
          "discovery.k8s.io", "resource.k8s.io", "flowcontrol.apiserver.k8s.io")  # fmt: skip


class DiscoveryFront:
    def __init__(self, catalog: Catalog, documents: Documents, calls: Calls) -> None:
        self._calls = calls
        self._catalog, self._documents = catalog, documents
        self._version = orjson.dumps(version_document())
        self._resources = b""
        self._made_for: tuple[Resource, ...] = ()

    def add_to(self, server: grpc.aio.Server) -> None:
        handlers = {
            "Version": self._calls.unary(pb.VersionRequest, self._get_version),
            "Resources": self._calls.unary(pb.ResourcesRequest, self._get_resources),
            "OpenAPI": self._calls.unary(pb.OpenAPIRequest, self._get_openapi),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def _get_version(self, request: pb.VersionRequest, caller: Caller) -> pb.VersionResponse:
        self._calls.gate.require(Attributes(caller.user, "get", path="/version"))
        return pb.VersionResponse(json=self._version)

    async def _get_resources(self, request: pb.ResourcesRequest, caller: Caller) -> pb.ResourcesResponse:
        self._calls.gate.require(Attributes(caller.user, "get", path="/apis"))
        if self._made_for is not self._catalog.served:
            self._made_for = self._catalog.served
            self._resources = orjson.dumps(resource_lists(self._made_for))
        return pb.ResourcesResponse(json=self._resources)

    async def _get_openapi(self, request: pb.OpenAPIRequest, caller: Caller) -> pb.OpenAPIResponse:
        """ApiError (404) for a path that the index does not name."""
        self._calls.gate.require(Attributes(caller.user, "get", path="/openapi/v3"))
        document = await asyncio.to_thread(self._documents.third, request.path)
        if document is None:
            raise errors.resource_unknown()
        return pb.OpenAPIResponse(packed=document.packed)


def version_document() -> Json:
    """`/version`."""
    return {**VERSION, "platform": f"linux/{_architecture()}"}


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def resource_lists(resources: tuple[Resource, ...]) -> list[Json]:
    """One APIResourceList for each group version, resources by name, each before its subresources."""
    groups: dict[tuple[str, str], list[Json]] = {}
    for resource in sorted(resources, key=lambda r: r.plural):
        entries = groups.setdefault((resource.group, resource.version), [])
        entries.append(_entry(resource))
        entries.extend(_subentry(resource, part) for part in resource.subresources)
    order = {name: index for index, name in enumerate(GROUPS)}
    return [
        {
            "kind": "APIResourceList",
            **({"apiVersion": "v1"} if group else {}),
            "groupVersion": f"{group}/{version}" if group else version,
            "resources": sorted(entries, key=lambda entry: entry["name"]),
        }
        for (group, version), entries in sorted(
            groups.items(), key=lambda each: (order.get(each[0][0], len(order)), each[0])
        )
    ]


def _entry(resource: Resource) -> Json:
    entry: Json = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.discovered_verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if "watch" in resource.verbs:
        entry["storageVersionHash"] = _storage_version_hash(resource)
    return entry


# Kept by upstream in an older version still, which its hash shows.
_STORED_UPSTREAM = {"MutatingAdmissionPolicy": "v1beta1", "MutatingAdmissionPolicyBinding": "v1beta1"}


def _storage_version_hash(resource: Resource) -> str:
    """What storage migrations compare: the start of a digest of the stored group, version and kind."""
    group, _, version = (resource.stored_as or resource.api_version).rpartition("/")
    version = _STORED_UPSTREAM.get(resource.kind, version)
    name = f"{group}/{version}/{resource.kind}"
    name = _HASHED_AS.get(name, name)
    return b64encode(hashlib.sha256(name.encode()).digest()[:8]).decode()


def _subentry(resource: Resource, part: Subresource) -> Json:
    entry: Json = {
        "name": f"{resource.plural}/{part.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
    }
    if part.version:
        entry["group"], entry["version"] = part.group, part.version
    entry["kind"] = part.kind or resource.kind
    entry["verbs"] = list(part.verbs)
    return entry
