"""What is answered at once and never stored: how the components are, and bindings under their own name.

Upstream asks the ports of the components; here components do not call each other, so that one is healthy is
read off the Lease that it must renew to act. What is said of one that is not is upstream's sentence.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
from aiohttp import web

from services.api import errors
from services.api.coordination_v1 import Lease
from services.api.core_v1 import Namespace, Pod
from services.api.errors import ApiError
from services.api.kinds import Resource, resource_of
from services.apiserver.fronts.rest import bodies
from services.apiserver.fronts.rest.negotiation import Written, negotiate
from services.apiserver.fronts.rest.options import include_of, list_options, write_options
from services.apiserver.fronts.rest.paths import Path
from services.apiserver.fronts.rest.verbs import at_version, is_a_list, not_a_list, respond
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target
from services.apiserver.tables import table
from services.apiserver.tables.partial import partial_object
from services.machinery import fields
from services.machinery.clock import Clock, parse_time

Json = dict[str, Any]

DEPRECATED = ("v1 ComponentStatus is deprecated in v1.19+",)
_COMPONENTS = {
    "controller-manager": ("kube-controller-manager", 10257),
    "scheduler": ("kube-scheduler", 10259),
}


class Live:
    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry, self._clock = registry, clock

    async def handle(self, request: web.Request, path: Path, resource: Resource) -> web.Response:
        """ApiError 404, 405 and those of a binding."""
        if resource.kind == "Binding" and request.method == "POST" and not path.name:
            return await self._bind(request, path)
        if resource.kind != "ComponentStatus" or request.method not in ("GET", "HEAD") or path.subresource:
            raise errors.method_not_allowed()
        return await self._statuses(request, path, resource)

    async def _bind(self, request: web.Request, path: Path) -> web.Response:
        """As the subresource of the Pod that it names."""
        written = negotiate(request.headers.get("Accept", ""))
        body = await bodies.read_object(request, "Binding")
        name = _name_in(body.json)
        target = Target(resource_of(Pod), path.namespace, name, "binding")
        answer = await self._registry.create(target, body.json, write_options(request))
        return respond(answer.item.value, written, status=201, warnings=answer.warnings)

    # -- the components --------------------------------------------------------------------------

    async def _statuses(self, request: web.Request, path: Path, resource: Resource) -> web.Response:
        written = negotiate(request.headers.get("Accept", ""))
        found = [self._component(name) for name in _COMPONENTS]
        found.append(await self._etcd())
        if path.name:
            found = [each for each in found if each["metadata"]["name"] == path.name]
            if not found:
                raise errors.not_found(resource, path.name)
            body = self._one(request, resource, found[0], written)
        else:
            body = self._many(request, resource, _selected(request, found), written)
        return respond(body, written, warnings=DEPRECATED)

    def _one(self, request: web.Request, resource: Resource, status: Json, written: Written) -> bytes:
        match written.shape:
            case "Table":
                return self._table(request, resource, [status], written)
            case "PartialObjectMetadata":
                return at_version(orjson.dumps(partial_object(status)), written)
            case "PartialObjectMetadataList":
                raise not_a_list(resource.kind)
        return orjson.dumps(status)

    def _many(self, request: web.Request, resource: Resource, found: list[Json], written: Written) -> bytes:
        match written.shape:
            case "Table":
                return self._table(request, resource, found, written)
            case "PartialObjectMetadataList":
                kind: str = written.shape
                version, items = "meta.k8s.io/v1", list(map(partial_object, found))
            case "PartialObjectMetadata":
                raise is_a_list(resource.kind)
            case _:
                kind, version, items = "ComponentStatusList", "v1", found
        body = orjson.dumps({"kind": kind, "apiVersion": version, "metadata": {}, "items": items})
        return at_version(body, written)

    def _table(self, request: web.Request, resource: Resource, found: list[Json], written: Written) -> bytes:
        made = table(resource, found, {}, include_of(request), self._clock.now())
        return at_version(orjson.dumps(made), written)

    def _component(self, name: str) -> Json:
        lease, port = _COMPONENTS[name]
        held = self._registry.lookup(resource_of(Lease), "kube-system", lease) or {}
        spec = held.get("spec", {})
        if spec.get("holderIdentity") and spec.get("renewTime"):
            lasts = timedelta(seconds=spec.get("leaseDurationSeconds") or 0)
            if parse_time(spec["renewTime"]) + lasts > self._clock.now():
                return _status(name, "True", "ok")
        address = f"127.0.0.1:{port}"
        refused = f'Get "https://{address}/healthz": dial tcp {address}: connect: connection refused'
        return _status(name, "False", refused)

    async def _etcd(self) -> Json:
        try:
            await self._registry.get(Target(resource_of(Namespace), "", "default"))
        except ApiError as error:
            if not errors.is_not_found(error):
                return _status("etcd-0", "False", error.message)
        return _status("etcd-0", "True", "ok")


def _status(name: str, status: str, message: str) -> Json:
    condition = {"type": "Healthy", "status": status, "message": message}
    metadata = {"name": name}
    return {"kind": "ComponentStatus", "apiVersion": "v1", "metadata": metadata, "conditions": [condition]}


def _selected(request: web.Request, found: list[Json]) -> list[Json]:
    """They have names and nothing else to be selected by."""
    options = list_options(request)
    if options.labels:
        return []
    selector = fields.parse(options.fields)
    return [each for each in found if selector.matches({"metadata.name": each["metadata"]["name"]})]


def _name_in(body: bytes) -> str:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    metadata = given.get("metadata") if isinstance(given, dict) else None
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""
