"""Admission policies in CEL, and what binds them. Upstream: `pkg/apis/admissionregistration/validation`."""

from __future__ import annotations

import re
from typing import Any

from services.apiserver.admission import expressions
from services.apiserver.cel import Environment
from services.apiserver.cel.parser import RESERVED
from services.apiserver.cel.types import DYN, Type
from services.apiserver.rules.validation import admission_matching as matching
from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import label_selector, object_meta, object_meta_update
from services.machinery.field_errors import Causes, duplicate, forbidden, invalid, not_supported, required

Json = dict[str, Any]
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_ACTIONS = ("Audit", "Deny", "Warn")
_NOT_FOUND = ("Deny", "Allow")
_REINVOCATIONS = ("IfNeeded", "Never")
_PATCH_TYPES = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}
_IDENTIFIER = re.compile("[_a-zA-Z][_a-zA-Z0-9]*")
_WORDS = RESERVED | {"true", "false", "null", "in"}
ANNOTATIONS_MAX, ANNOTATION_BYTES_MAX = 20, 5 * 1024
_EMPTY = "validations or auditAnnotations must contain at least one item"


def validating(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    spec = obj["spec"]
    has_params = _matching(spec, out)
    full, plain = _environments(spec, has_params, out)
    validations, annotations = spec.get("validations") or [], spec.get("auditAnnotations") or []
    if not validations and not annotations:
        out += [required("spec.validations", _EMPTY), required("spec.auditAnnotations", _EMPTY)]
    for index, validation in enumerate(validations):
        _validation(validation, full, plain, f"spec.validations[{index}]", out)
    _annotations(annotations, obj["metadata"].get("name", ""), full, out)


def validating_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    if new["spec"] != old["spec"]:
        validating(new, out)


def status_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    warnings = (new["status"].get("typeChecking") or {}).get("expressionWarnings") or ()
    for index, warning in enumerate(warnings):
        path = f"status.typeChecking.expressionWarnings[{index}]"
        if not warning.get("warning"):
            out.append(required(f"{path}.warning"))
        if not warning.get("fieldRef", "").strip():
            out.append(required(f"{path}.fieldRef"))


def mutating(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    spec = obj["spec"]
    has_params = _matching(spec, out)
    full, _ = _environments(spec, has_params, out)
    if not spec.get("reinvocationPolicy"):
        out.append(required("spec.reinvocationPolicy"))
    matching.one_of(spec, "reinvocationPolicy", _REINVOCATIONS, "spec", out)
    mutations = spec.get("mutations") or []
    if not mutations:
        out.append(required("spec.mutations", "mutations must contain at least one item"))
    for index, mutation in enumerate(mutations):
        _mutation(mutation, full, f"spec.mutations[{index}]", out)


def mutating_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    if new["spec"] != old["spec"]:
        mutating(new, out)


# -- parts of a policy ---------------------------------------------------------------------------


def _matching(spec: Json, out: Causes) -> bool:
    """What a policy is about; whether it has params."""
    matching.one_of(spec, "failurePolicy", matching.FAILURE_POLICIES, "spec", out)
    kind = spec.get("paramKind")
    if kind is not None:
        _param_kind(kind, "spec.paramKind", out)
    constraints = spec.get("matchConstraints")
    if constraints is None:
        out.append(required("spec.matchConstraints"))
    else:
        matching.match_resources(constraints, "spec.matchConstraints", out)
        if not constraints.get("resourceRules"):
            out.append(required("spec.matchConstraints.resourceRules"))
    has_params = kind is not None
    matching.conditions(spec.get("matchConditions"), "spec.matchConditions", out, params=has_params)
    return has_params


def _param_kind(kind: Json, path: str, out: Causes) -> None:
    given, name = kind.get("apiVersion") or "", kind.get("kind") or ""
    group, _, version = given.rpartition("/")
    if not given:
        out.append(required(f"{path}.apiVersion"))
    elif given.count("/") > 1:
        out.append(invalid(f"{path}.apiVersion", given, f"unexpected GroupVersion string: {given}"))
    else:
        if group and (faults := names.dns1123_subdomain(group)):
            out.append(invalid(f"{path}.apiVersion", group, ",".join(faults)))
        if not version:
            out.append(invalid(f"{path}.apiVersion", given, "version must be specified"))
        elif faults := names.dns1035_label(version):
            out.append(invalid(f"{path}.apiVersion", version, ",".join(faults)))
    if not name:
        out.append(required(f"{path}.kind"))
    elif faults := names.dns1035_label(name.lower()):
        why = f"may have mixed case, but should otherwise match: {','.join(faults)}"
        out.append(invalid(f"{path}.kind", name, why))


def _environments(spec: Json, has_params: bool, out: Causes) -> tuple[Environment, Environment]:
    """What validations see, and what messages see, which may not ask an authorizer."""
    full = expressions.environment(params=has_params, authorizer=True)
    plain = expressions.environment(params=has_params, authorizer=False)
    declared: dict[str, Type] = {}
    for index, variable in enumerate(spec.get("variables") or ()):
        path, name = f"spec.variables[{index}]", variable.get("name", "")
        text, kind = variable.get("expression", ""), None
        if not name.strip():
            out.append(required(f"{path}.name", "name is not specified"))
        elif not _IDENTIFIER.fullmatch(name) or name in _WORDS:
            out.append(invalid(f"{path}.name", name, "name is not a valid CEL identifier"))
        if not text.strip():
            out.append(required(f"{path}.expression", "expression is not specified"))
        else:
            environment = expressions.with_variables(full, declared)
            kind = matching.expression(environment, text, f"{path}.expression", (), out)
        declared[name] = kind or DYN
    if declared:
        full, plain = (expressions.with_variables(each, declared) for each in (full, plain))
    return full, plain


def _validation(found: Json, full: Environment, plain: Environment, path: str, out: Causes) -> None:
    text, said = found.get("expression", ""), found.get("messageExpression") or ""
    if not text.strip():
        out.append(required(f"{path}.expression", "expression is not specified"))
    else:
        matching.expression(full, text, f"{path}.expression", expressions.CONDITION, out)
    if said and not said.strip():
        out.append(invalid(f"{path}.messageExpression", said, "must be non-empty if specified"))
    elif said:
        matching.expression(plain, said, f"{path}.messageExpression", expressions.MESSAGE, out)
    message = found.get("message") or ""
    if message and not message.strip():
        out.append(invalid(f"{path}.message", message, "message must be non-empty if specified"))
    elif "\n" in message.strip() or "\r" in message.strip():
        out.append(invalid(f"{path}.message", message, "message must not contain line breaks"))
    matching.one_of(found, "reason", _REASONS, path, out)


def _annotations(annotations: list[Json], policy: str, full: Environment, out: Causes) -> None:
    path = "spec.auditAnnotations"
    if len(annotations) > ANNOTATIONS_MAX:
        out.append(invalid(path, annotations, f"must not have more than {ANNOTATIONS_MAX} auditAnnotations"))
    seen: set[str] = set()
    for index, annotation in enumerate(annotations):
        at, key = f"{path}[{index}]", annotation.get("key", "")
        if policy:
            names.check(names.qualified_name(f"{policy}/{key}"), f"{at}.key", f"{policy}/{key}", out)
        else:
            out.append(invalid(f"{at}.key", key, "requires metadata.name be non-empty"))
        text = annotation.get("valueExpression", "").strip()
        if not text:
            out.append(required(f"{at}.valueExpression", "valueExpression is not specified"))
        elif len(text) > ANNOTATION_BYTES_MAX:
            why = f"must not exceed {ANNOTATION_BYTES_MAX} bytes in length"
            out.append(required(f"{at}.valueExpression", why))
        else:
            matching.expression(full, text, f"{at}.valueExpression", expressions.AUDIT, out)
        if key in seen:
            out.append(duplicate(f"{at}.key", key))
        seen.add(key)


def _mutation(mutation: Json, full: Environment, path: str, out: Causes) -> None:
    kind = mutation.get("patchType", "")
    if not kind:
        out.append(required(f"{path}.patchType"))
        return
    if kind not in _PATCH_TYPES:
        out.append(not_supported(f"{path}.patchType", kind, tuple(_PATCH_TYPES)))
        return
    field = _PATCH_TYPES[kind]
    given = mutation.get(field)
    if given is None:
        out.append(required(f"{path}.{field}", f"must be specified when patchType is {kind}"))
        return
    text = given.get("expression") or ""
    if not text.strip():
        out.append(required(f"{path}.{field}.expression", "expression is not specified"))
        return
    environment, answers = expressions.for_mutation(full, kind)
    matching.expression(environment, text, f"{path}.{field}.expression", answers, out)


# -- bindings ------------------------------------------------------------------------------------


def binding(obj: Json, out: Causes) -> None:
    _binding(obj, out)
    actions, path = obj["spec"].get("validationActions") or [], "spec.validationActions"
    for index, action in enumerate(actions):
        if action not in _ACTIONS:
            out.append(not_supported(f"{path}[{index}]", action, _ACTIONS))
        if action in actions[:index]:
            out.append(duplicate(f"{path}[{index}]", action))
    if "Deny" in actions and "Warn" in actions:
        why = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the"
            " API response and headers serves no purpose)"
        )
        out.append(invalid(path, actions, why))
    if not actions:
        out.append(required(path, "at least one validation action is required"))


def binding_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    binding(new, out)


def mutating_binding(obj: Json, out: Causes) -> None:
    _binding(obj, out)


def mutating_binding_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _binding(new, out)


def _binding(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    spec = obj["spec"]
    policy = spec.get("policyName") or ""
    if not policy:
        out.append(required("spec.policyName"))
    else:
        names.check(names.dns1123_subdomain(policy), "spec.policyName", policy, out)
    _param_ref(spec.get("paramRef"), "spec.paramRef", out)
    matching.match_resources(spec.get("matchResources"), "spec.matchResources", out)


def _param_ref(reference: Json | None, path: str, out: Causes) -> None:
    if reference is None:
        return
    name, selector = reference.get("name") or "", reference.get("selector")
    if name:
        names.check(names.path_segment(name), f"{path}.name", name, out)
        if selector is not None:
            out.append(forbidden(f"{path}.name", "name and selector are mutually exclusive"))
    if selector is not None:
        label_selector(selector, f"{path}.selector", out)
        if name:
            out.append(forbidden(f"{path}.selector", "name and selector are mutually exclusive"))
    if not name and selector is None:
        out.append(required(path, "one of name or selector must be specified"))
    action = reference.get("parameterNotFoundAction") or ""
    if not action:
        out.append(required(f"{path}.parameterNotFoundAction"))
    elif action not in _NOT_FOUND:
        out.append(not_supported(f"{path}.parameterNotFoundAction", action, _NOT_FOUND))
