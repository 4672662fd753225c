"""The strategy of each kind, and a permissive one where the rules have none yet."""

from __future__ import annotations

from typing import Any

import orjson

from services.api import errors
from services.api.kinds import Resource
from services.apiserver.rules import strategy as rules
from services.apiserver.rules.context import Context
from services.apiserver.rules.strategy import Decoded, FieldValidation, Strategy

Json = dict[str, Any]
STATUS_KINDS = {
    "pods",
    "nodes",
    "deployments",
    "replicasets",
    "replicationcontrollers",
    "services",
    "namespaces",
}


def strategy_for(resource: Resource, subresource: str = "") -> Strategy:
    found = rules.strategy_for(resource, subresource)
    return Permissive(resource, subresource) if type(found) is Strategy else found


class Permissive(Strategy):
    def decode(self, raw: bytes, field_validation: FieldValidation = "Warn") -> Decoded:
        try:
            obj = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise errors.bad_request(f"couldn't get version/kind; json parse error: {error}") from None
        return self.decode_object(obj, field_validation)

    def decode_object(self, obj: Json, field_validation: FieldValidation = "Warn") -> Decoded:
        if not isinstance(obj, dict):
            raise errors.bad_request("not an object")
        head = {"apiVersion": self.resource.api_version, "kind": self.resource.kind}
        return Decoded({**head, "metadata": {}, **obj})

    def prepare_create(self, obj: Json, ctx: Context) -> None:
        plural = self.resource.plural
        if plural in STATUS_KINDS:
            obj["metadata"].setdefault("generation", 1)
            if plural != "nodes":
                obj["status"] = {"phase": "Pending"} if plural == "pods" else {}
            obj.setdefault("spec", {})
        if plural == "namespaces":
            obj["spec"] = {"finalizers": ["kubernetes"]}
            obj["status"] = {"phase": "Active"}
            name = obj["metadata"]["name"]
            obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name

    def prepare_update(self, new: Json, old: Json, ctx: Context) -> None:
        if self.subresource == "status":
            for field in list(new):
                if field != "status":
                    new[field] = old.get(field, new[field])
        elif self.subresource == "finalize":
            new["status"] = old["status"]
        elif self.resource.plural in STATUS_KINDS:
            new["status"] = old.get("status", {})
            if new.get("spec") != old.get("spec"):
                new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def selectable_fields(self, obj: Json) -> dict[str, str]:
        metadata = obj.get("metadata", {})
        fields = {
            "metadata.name": metadata.get("name", ""),
            "metadata.namespace": metadata.get("namespace", ""),
        }
        if self.resource.plural == "pods":
            spec, status = obj.get("spec") or {}, obj.get("status") or {}
            fields["spec.nodeName"] = spec.get("nodeName", "")
            fields["status.phase"] = status.get("phase", "")
        return fields

    def grace_seconds(self, obj: Json, requested: int | None) -> int | None:
        if self.resource.plural != "pods":
            return None
        if not (obj.get("spec") or {}).get("nodeName"):
            return 0
        if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return 0
        if requested is not None:
            return requested
        return int(obj["spec"].get("terminationGracePeriodSeconds", 30))
