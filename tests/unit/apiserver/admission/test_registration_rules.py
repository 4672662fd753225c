"""What webhook configurations and policies may say, in upstream's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.apiserver.rules.validation import admission_policies, webhooks
from services.machinery.field_errors import Causes

Json = dict[str, Any]
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}


def faults(check: Callable[[Json, Causes], None], obj: Json) -> list[str]:
    out: Causes = []
    check({"metadata": {"name": "x"}, **obj}, out)
    return [f"{cause['field']}: {cause['message']}" for cause in out]


def webhook(**more: Any) -> Json:
    return {
        "name": "a.b.c",
        "clientConfig": {"url": "https://x/y"},
        "rules": [RULE],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **more,
    }


def rules(**more: Any) -> Json:
    return {"rules": [{**RULE, **more}]}


NO_BOTH = "clientConfig: Required value: exactly one of url or service is required"
ALONE = "if '*' is present, must not specify"
SERVICE = {"namespace": "n", "name": "s"}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, ""),
        ({"name": ""}, "name: Required value"),
        (
            {"name": "a.b"},
            'name: Invalid value: "a.b": should be a domain with at least three segments separated by dots',
        ),
        ({"sideEffects": ""}, "sideEffects: Required value: must specify one of None, NoneOnDryRun"),
        (
            {"timeoutSeconds": 31},
            "timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        ),
        (
            {"failurePolicy": "Maybe"},
            'failurePolicy: Unsupported value: "Maybe": supported values: "Fail", "Ignore"',
        ),
        ({"clientConfig": {}}, NO_BOTH),
        ({"clientConfig": {"url": "https://x", "service": SERVICE}}, NO_BOTH),
        ({"clientConfig": {"service": SERVICE}}, ""),
        (
            {"clientConfig": {"service": {"namespace": "n"}}},
            "clientConfig.service.name: Required value: service name is required",
        ),
        (
            {"admissionReviewVersions": []},
            "admissionReviewVersions: Required value: must specify one of v1, v1beta1",
        ),
        (
            rules(operations=["*", "CREATE"]),
            f'rules[0].operations: Invalid value: ["*","CREATE"]: {ALONE} other operations',
        ),
        (
            rules(resources=["*", "pods"]),
            f'rules[0].resources: Invalid value: ["*","pods"]: {ALONE} other resources without subresources',
        ),
        (
            rules(resources=["pods/*", "pods/exec"]),
            f'rules[0].resources[1]: Invalid value: "pods/exec": {ALONE.replace("*", "pods/*")} pods/exec',
        ),
        (
            rules(scope="Some"),
            'rules[0].scope: Unsupported value: "Some": supported values: "*", "Cluster", "Namespaced"',
        ),
        (
            {"matchConditions": [{"name": "a", "expression": "1"}]},
            'matchConditions[0].expression: Invalid value: "1": must evaluate to bool',
        ),
        (
            {"matchConditions": [{"name": "a", "expression": "true"}] * 2},
            'matchConditions[1].name: Duplicate value: "a"',
        ),
        (
            {"reinvocationPolicy": "Often"},
            'reinvocationPolicy: Unsupported value: "Often": supported values: "IfNeeded", "Never"',
        ),
    ],
)
def test_webhooks(given: Json, wanted: str) -> None:
    found = faults(webhooks.configuration, {"webhooks": [webhook(**given)]})
    assert found == ([f"webhooks[0].{wanted}"] if wanted else [])


def test_names_of_webhooks_are_unique() -> None:
    found = faults(webhooks.configuration, {"webhooks": [webhook(), webhook()]})
    assert found == ['webhooks[1].name: Duplicate value: "a.b.c"']


def policy(**more: Any) -> Json:
    constraints = {"resourceRules": [RULE], "matchPolicy": "Equivalent"}
    return {"spec": {"matchConstraints": constraints, "validations": [{"expression": "true"}], **more}}


NOTHING = "Required value: validations or auditAnnotations must contain at least one item"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, []),
        ({"validations": []}, [f"validations: {NOTHING}", f"auditAnnotations: {NOTHING}"]),
        ({"matchConstraints": None}, ["matchConstraints: Required value"]),
        ({"matchConstraints": {}}, ["matchConstraints.resourceRules: Required value"]),
        ({"paramKind": {"apiVersion": "v1"}}, ["paramKind.kind: Required value"]),
        (
            {
                "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
                "validations": [{"expression": "params == null"}],
            },
            [],
        ),
        (
            {"variables": [{"name": "a-b", "expression": "1"}]},
            ['variables[0].name: Invalid value: "a-b": name is not a valid CEL identifier'],
        ),
        (
            {
                "variables": [{"name": "a", "expression": "1"}],
                "validations": [{"expression": "variables.a > 0"}],
            },
            [],
        ),
        (
            {"validations": [{"expression": " "}]},
            ["validations[0].expression: Required value: expression is not specified"],
        ),
        (
            {"validations": [{"expression": "true", "message": "a\nb"}]},
            ['validations[0].message: Invalid value: "a\\nb": message must not contain line breaks'],
        ),
        (
            {"validations": [{"expression": "true", "messageExpression": "1"}]},
            ['validations[0].messageExpression: Invalid value: "1": must evaluate to string'],
        ),
        (
            {"auditAnnotations": [{"key": "k", "valueExpression": "1"}]},
            [
                'auditAnnotations[0].valueExpression: Invalid value: "1": must evaluate to one of'
                " [string null_type]"
            ],
        ),
    ],
)
def test_validating_policies(given: Json, wanted: list[str]) -> None:
    assert faults(admission_policies.validating, policy(**given)) == [f"spec.{each}" for each in wanted]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"policyName": "p", "validationActions": ["Deny", "Audit"]}, []),
        ({"validationActions": ["Deny"]}, ["policyName: Required value"]),
        (
            {"policyName": "p"},
            ["validationActions: Required value: at least one validation action is required"],
        ),
        (
            {"policyName": "p", "validationActions": ["Deny", "Deny"]},
            ['validationActions[1]: Duplicate value: "Deny"'],
        ),
        (
            {
                "policyName": "p",
                "validationActions": ["Deny"],
                "paramRef": {"parameterNotFoundAction": "Deny"},
            },
            ["paramRef: Required value: one of name or selector must be specified"],
        ),
        (
            {"policyName": "p", "validationActions": ["Deny"], "paramRef": {"name": "x"}},
            ["paramRef.parameterNotFoundAction: Required value"],
        ),
    ],
)
def test_bindings(given: Json, wanted: list[str]) -> None:
    assert faults(admission_policies.binding, {"spec": given}) == [f"spec.{each}" for each in wanted]


def test_mutating_policies() -> None:
    mutation = {
        "patchType": "JSONPatch",
        "jsonPatch": {"expression": "[JSONPatch{op: 'remove', path: '/x'}]"},
    }
    spec = policy(mutations=[mutation], reinvocationPolicy="Never")
    assert faults(admission_policies.mutating, spec) == []
    spec["spec"]["mutations"] = [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[1]"}}]
    assert faults(admission_policies.mutating, spec) == [
        'spec.mutations[0].jsonPatch.expression: Invalid value: "[1]": must evaluate to list(JSONPatch)'
    ]
    spec["spec"]["mutations"] = [{"patchType": "ApplyConfiguration"}]
    (found,) = faults(admission_policies.mutating, spec)
    assert found.startswith("spec.mutations[0].applyConfiguration: Required value")
