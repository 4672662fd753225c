"""Definitions to test with: a valid one around a schema, and the version that it comes to."""

from __future__ import annotations

from typing import Any

from services.apiserver.crd import CompiledVersion, compile_version

Json = dict[str, Any]


def version_of(schema: Json | None, name: str = "v1", *, storage: bool = True, **more: Any) -> Json:
    given = {} if schema is None else {"schema": {"openAPIV3Schema": schema}}
    return {"name": name, "served": True, "storage": storage, **given, **more}


def definition_of(*versions: Json, **spec: Any) -> Json:
    """As it is after decoding and defaulting."""
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "names": names,
            "scope": "Namespaced",
            "conversion": {"strategy": "None"},
            "versions": list(versions),
            **spec,
        },
        "status": {
            "acceptedNames": {"kind": "", "plural": ""},
            "conditions": None,
            "storedVersions": [each["name"] for each in versions if each["storage"]] or None,
        },
    }


def spec_schema(properties: Json, **more: Any) -> Json:
    """A schema whose spec has these properties."""
    spec = {"type": "object", "properties": properties, **more}
    return {"type": "object", "properties": {"spec": spec, "status": {"type": "object", "properties": {}}}}


def compiled(schema: Json, **more: Any) -> CompiledVersion:
    return compile_version(definition_of(version_of(schema, **more)), "v1")


def thing(spec: Any = None, **more: Any) -> Json:
    obj: Json = {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "metadata": {"name": "a", "namespace": "default"},
        **more,
    }
    return obj if spec is None else {**obj, "spec": spec}
