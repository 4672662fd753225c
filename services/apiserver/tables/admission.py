"""Columns and cells of webhook configurations, admission policies and their bindings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.apiserver.tables.columns import AGE, Column, column
from services.apiserver.tables.descriptions import DESCRIPTIONS as COMMON
from services.machinery.duration import since

Json = dict[str, Any]
Cells = list[Any]

UNSET = "<unset>"
_NAME: Column = {**column("Name", COMMON["name"]), "format": "name"}
_WEBHOOKS = "Webhooks indicates the number of webhooks registered in this configuration"
_VALIDATIONS = "Validations indicates the number of validation rules defined in this configuration"
_MUTATIONS = "Mutation indicates the number of mutations rules defined in this configuration"
_PARAM_KIND = "ParamKind specifies the kind of resources used to parameterize this policy"
_POLICY_NAME = "PolicyName indicates the policy definition which the policy binding binded to"
_PARAM_REF = "ParamRef indicates the param resource which sets the configuration param"
_CONFIGURATION = [_NAME, column("Webhooks", _WEBHOOKS, type="integer"), AGE]
_BINDING = [_NAME, column("PolicyName", _POLICY_NAME), column("ParamRef", _PARAM_REF), AGE]

COLUMNS: dict[str, list[Column]] = {
    "MutatingWebhookConfiguration": _CONFIGURATION,
    "ValidatingWebhookConfiguration": _CONFIGURATION,
    "ValidatingAdmissionPolicy": [
        _NAME, column("Validations", _VALIDATIONS, type="integer"), column("ParamKind", _PARAM_KIND), AGE,
    ],
    "MutatingAdmissionPolicy": [
        _NAME, column("Mutations", _MUTATIONS, type="integer"), column("ParamKind", _PARAM_KIND), AGE,
    ],
    "ValidatingAdmissionPolicyBinding": _BINDING,
    "MutatingAdmissionPolicyBinding": _BINDING,
}  # fmt: skip


def _named(obj: Json, now: datetime, *cells: Any) -> Cells:
    meta = obj["metadata"]
    return [meta.get("name", ""), *cells, since(meta.get("creationTimestamp"), now)]


def _configuration(obj: Json, now: datetime) -> Cells:
    return _named(obj, now, len(obj.get("webhooks") or ()))


def _policy(field: str) -> Callable[[Json, datetime], Cells]:
    def cells(obj: Json, now: datetime) -> Cells:
        spec = obj.get("spec", {})
        kind = spec.get("paramKind")
        shown = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET
        return _named(obj, now, len(spec.get(field) or ()), shown)

    return cells


def _binding(obj: Json, now: datetime) -> Cells:
    spec = obj.get("spec", {})
    return _named(obj, now, spec.get("policyName") or "", _reference(spec.get("paramRef")))


def _reference(reference: Json | None) -> str:
    if reference and reference.get("name"):
        # Whether the param is in a namespace at all cannot be told from here.
        return f"{reference.get('namespace') or '*'}/{reference['name']}"
    if reference and (selector := reference.get("selector")) is not None:
        labels = "".join(f"{key}: {value}," for key, value in sorted(selector.get("matchLabels", {}).items()))
        expressions = "".join(map(_requirement, selector.get("matchExpressions", ())))
        shown = f"MatchLabels:map[string]string{{{labels}}}"
        return f"&LabelSelector{{{shown},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    return UNSET


def _requirement(found: Json) -> str:
    values = f"[{' '.join(found.get('values') or ())}]"
    shown = f"Key:{found.get('key', '')},Operator:{found.get('operator', '')},Values:{values}"
    return f"LabelSelectorRequirement{{{shown},}},"


ROWS: dict[str, Callable[[Json, datetime], Cells]] = {
    "MutatingWebhookConfiguration": _configuration,
    "ValidatingWebhookConfiguration": _configuration,
    "ValidatingAdmissionPolicy": _policy("validations"),
    "MutatingAdmissionPolicy": _policy("mutations"),
    "ValidatingAdmissionPolicyBinding": _binding,
    "MutatingAdmissionPolicyBinding": _binding,
}
