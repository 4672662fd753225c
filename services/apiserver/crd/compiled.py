"""One version of a CustomResourceDefinition, compiled: all that its objects are put through.

In upstream's order a request's object is `coerce`d (metadata, defaults, pruning), prepared, and
validated. Everything is pure and in place where it says so; what is read of the schema is read on first
use and kept, so a definition that nobody uses costs nothing. It believes that the definition was
validated; a schema that is not structural prunes nothing and lets everything pass.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from services.apiserver.crd import (
    columns,
    embedded,
    lists,
    merging,
    preparation,
    pruning,
    replicas,
    rules,
    values,
)
from services.apiserver.crd.columns import Column, Selectable
from services.apiserver.crd.number_checks import NIL
from services.apiserver.crd.structural import Node, NotStructural, read
from services.apiserver.rules.strict import STRICT_FAULTS_MAX
from services.apiserver.rules.strict import Unreadable as Unreadable
from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import generic_object_meta, object_meta_update
from services.machinery.field_errors import Causes, invalid
from services.machinery.schema import Schema

Json = dict[str, Any]

_UNCHECKED = (
    "some validation rules were not checked because the object was invalid;"
    " correct the existing errors to complete validation"
)
_BLOCKING = frozenset((
    "FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany",
    "FieldValueTypeInvalid",
))  # fmt: skip


class CompiledVersion:
    """The rules of one version of one definition. Objects are decoded JSON with apiVersion and kind."""

    def __init__(self, definition: Json, version: Json) -> None:
        spec = definition["spec"]
        self.definition = definition
        self.version = version
        self.name: str = version["name"]
        self.group: str = spec["group"]
        self.kind: str = spec["names"]["kind"]
        self.plural: str = spec["names"]["plural"]
        self.namespaced: bool = spec.get("scope") == "Namespaced"
        subresources = version.get("subresources") or {}
        self.has_status: bool = subresources.get("status") is not None
        self.scale: Json | None = subresources.get("scale")
        # No cached_property: compiling may wait for its turn, and nobody may wait for it meanwhile.
        self._rules: rules.Checker | None = None

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.name}"

    @cached_property
    def root(self) -> Node:
        """The schema; empty and open where the version has none."""
        given = (self.version.get("schema") or {}).get("openAPIV3Schema")
        try:
            return read(given or {"x-kubernetes-preserve-unknown-fields": True})
        except NotStructural:
            return read({"x-kubernetes-preserve-unknown-fields": True})

    @cached_property
    def schema(self) -> Schema:
        """For server-side apply and managedFields."""
        return merging.schema_of_kind(self.root, self.kind, has_status=self.has_status)

    # Coercing.

    def coerce(self, obj: Json) -> list[str]:
        """Brings a decoded body into form, in place; gives the first paths of unknown fields (`spec.bogus`).

        Unreadable, in Go's words, where the metadata cannot be decoded.
        """
        unknown: list[str] = []
        header: Json = {name: obj[name] for name in ("apiVersion", "kind") if name in obj}
        if "metadata" in obj:
            header["metadata"], found = embedded.read_meta(obj["metadata"])
            unknown += [f"metadata.{name}" for name in found]
        pruning.default(obj, self.root)
        unknown += pruning.prune(obj, self.root)
        pruning.drop_nulls(obj, self.root)
        unknown += embedded.coerce(obj, self.root)
        obj.update(header)
        return unknown[:STRICT_FAULTS_MAX]

    def default(self, obj: Json) -> None:
        """Fills in defaults, in place: also of what was read from the store, whose schema may be older."""
        pruning.default(obj, self.root)

    def prune(self, obj: Json) -> list[str]:
        """Takes out what the schema does not know, in place; gives the paths."""
        return pruning.prune(obj, self.root)

    # Preparing: what a caller may not decide.

    def prepare_create(self, obj: Json) -> None:
        preparation.create(obj, has_status=self.has_status)

    def prepare_update(self, new: Json, old: Json) -> None:
        preparation.update(new, old, has_status=self.has_status)

    def prepare_status_update(self, new: Json, old: Json) -> None:
        preparation.status_update(new, old)

    # Validating. The store's own look at the metadata of an update is not in here.

    def validate_create(self, obj: Json) -> Causes:
        if out := self._header_faults(obj):
            return out
        generic_object_meta(obj["metadata"], self.namespaced, names.dns1123_subdomain, out)
        out += values.validate(self.root, obj)
        out += replicas.spec_faults(obj, self.scale)
        out += replicas.status_faults(obj, self.scale)
        out += embedded.faults(obj, self.root)
        out += lists.duplicates(obj, self.root)
        return self._with_rules(out, obj, None)

    def validate_update(self, new: Json, old: Json) -> Causes:
        """What did not change is not refused (ratcheting), even when the schema has become stricter."""
        if out := self._header_faults(new):
            return out
        object_meta_update(new["metadata"], old["metadata"], out)
        out += values.validate(self.root, new, old)
        out += replicas.spec_faults(new, self.scale)
        out += replicas.status_faults(new, self.scale)
        out += embedded.faults(new, self.root)
        out += self._new_duplicates(new, old)
        return self._with_rules(out, new, old)

    def validate_status_update(self, new: Json, old: Json) -> Causes:
        if out := self._header_faults(new):
            return out
        object_meta_update(new["metadata"], old["metadata"], out)
        status = self.root.properties.get("status")
        if "status" in new and status is not None:
            before = old.get("status", values.UNKNOWN)
            out += [values.under("status", cause) for cause in values.validate(status, new["status"], before)]
        out += replicas.status_faults(new, self.scale)
        out += self._new_duplicates(new, old)
        return self._with_rules(out, new, old)

    def _header_faults(self, obj: Json) -> Causes:
        wanted = {"kind": self.kind, "apiVersion": self.api_version}
        return [
            invalid(name, obj.get(name, ""), f"must be {value}")
            for name, value in wanted.items()
            if obj.get(name, "") != value
        ]

    def _new_duplicates(self, new: Json, old: Json) -> Causes:
        found = lists.duplicates(new, self.root)
        return found if found and not lists.duplicates(old, self.root) else []

    def _with_rules(self, found: Causes, new: Json, old: Json | None) -> Causes:
        """With the faults that x-kubernetes-validations find, unless the object has not even the form."""
        if not self.root.rules_below:
            return found
        if any(cause["reason"] in _BLOCKING for cause in found):
            return [*found, invalid(NIL, None, _UNCHECKED)]
        if self._rules is None:
            self._rules = rules.compiled(self.root)
        return found + self._rules.faults(new, old)

    def warnings(self, obj: Json, old: Json | None = None) -> list[str]:
        """Of finalizers that other finalizers' owners may stumble over."""
        return preparation.finalizer_warnings(obj, old)

    # Showing.

    @cached_property
    def columns(self) -> list[Column]:
        """The columns after the name."""
        return columns.printer_columns(self.version)

    @cached_property
    def column_definitions(self) -> list[Json]:
        """The Table's columnDefinitions, the name's included."""
        return columns.definitions(self.columns)

    @cached_property
    def _selectable(self) -> list[Selectable]:
        return columns.selectable_fields(self.version)

    def selectable_fields(self, obj: Json) -> dict[str, str]:
        """What field selectors may name besides the name and the namespace, with its values."""
        return {field.name: field.value(obj) for field in self._selectable}


def compile_version(definition: Json, name: str) -> CompiledVersion:
    """The rules of the named version of a CustomResourceDefinition. KeyError when it has none such."""
    for version in definition["spec"]["versions"] or ():
        if version["name"] == name:
            return CompiledVersion(definition, version)
    raise KeyError(name)
