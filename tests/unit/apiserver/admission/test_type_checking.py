"""What a policy's status warns of: expressions that do not fit the kinds that the policy is about."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.admission.type_checking import kinds_of, warnings_of
from services.apiserver.registry.catalog import Catalog

Json = dict[str, Any]
CATALOG = Catalog()
DEPLOYMENT = "apps/v1, Kind=Deployment: ERROR: <input>:1:"


def rule(group: str, *plurals: str, version: str = "v1") -> Json:
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": ["*"],
        "resources": list(plurals),
    }


def policy(*texts: str, rules: tuple[Json, ...] = (rule("apps", "deployments"),), **spec: Any) -> Json:
    found = [{"expression": text} for text in texts]
    return {"spec": {"matchConstraints": {"resourceRules": rules}, "validations": found, **spec}}


def warned(*texts: str, **more: Any) -> list[tuple[str, str]]:
    return [(each["fieldRef"], each["warning"]) for each in warnings_of(policy(*texts, **more), CATALOG)]


@pytest.mark.parametrize(
    "text",
    [
        "object.spec.replicas <= 5 && oldObject.spec.replicas > 1",
        "object.metadata.labels.all(k, k.startsWith('a'))",
        "object.spec.template.spec.containers.all(c, quantity(c.resources.limits['cpu']).isInteger())",
        "[object.spec.strategy].all(s, s.rollingUpdate.maxSurge == '25%' || s.rollingUpdate.maxSurge == 1)",
        "object.metadata.creationTimestamp < timestamp('2026-01-01T00:00:00Z')",
        "object.spec.template.spec.containers[0].ports.exists(p, p.containerPort == 80)",
        "has(object.spec.template.spec.containers[0].securityContext.runAsNonRoot)",
        "request.userInfo.username == 'a' && namespaceObject.metadata.name == 'b'",
        "authorizer.group('').resource('pods').check('get').allowed()",
        "authorizer.requestResource.check('get').allowed()",
        "object.spec.selector.matchLabels['a'] == 'b'",
        "object.status.conditions.exists(c, c.type == 'Available')",
        "object.apiVersion == 'apps/v1' && object.kind == 'Deployment'",
    ],
)
def test_what_fits_is_not_warned_of(text: str) -> None:
    assert warned(text) == []


def test_a_field_that_is_not_there_is_shown_where_it_stands() -> None:
    (found,) = warned("object.spec.replicas > 1", "object.replicas > 1")
    assert found == (
        "spec.validations[1].expression",
        f"{DEPLOYMENT}7: undefined field 'replicas'\n | object.replicas > 1\n | ......^\n",
    )


def test_each_kind_is_told_of_in_order() -> None:
    rules = (rule("apps", "replicasets", "deployments"), rule("", "pods"))
    ((_, text),) = warned("object.spec.replicas > 1", rules=rules)
    assert text.startswith("/v1, Kind=Pod: ERROR: <input>:1:12: undefined field 'replicas'")
    ((_, text),) = warned("object.replicas > 1", rules=rules)
    kinds = [line.partition(",")[0] for line in text.splitlines() if "Kind=" in line]
    assert kinds == ["/v1", "apps/v1", "apps/v1"]
    assert text.index("Kind=Deployment") < text.index("Kind=ReplicaSet")


def test_a_type_that_does_not_fit() -> None:
    ((_, text),) = warned("object.spec.replicas == 'many'")
    assert "found no matching overload for '_==_' applied to '(int, string)'" in text


def test_messages_and_variables_are_looked_at_too() -> None:
    spec = {
        "validations": [{"expression": "variables.n > 1", "messageExpression": "string(object.nobody)"}],
        "variables": [
            {"name": "spec", "expression": "object.spec"},
            {"name": "n", "expression": "variables.spec.replicas"},
            {"name": "bad", "expression": "object.none"},
        ],
    }
    ((field, _),) = warned(**spec)
    assert field == "spec.validations[0].messageExpression"
    ((_, text),) = warned(**{**spec, "validations": [{"expression": "variables.n == 'a' || variables.bad"}]})
    assert "'(int, string)'" in text


def test_params_have_the_type_of_their_kind() -> None:
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    assert warned("params.data['a'] == 'b'", paramKind=kind) == []
    ((_, text),) = warned("params.spec == 'b'", paramKind=kind)
    assert "undefined field 'spec'" in text
    unknown = {"apiVersion": "example.com/v1", "kind": "Limit"}
    ((_, text),) = warned("params.spec == 'b'", paramKind=unknown)
    assert "undeclared reference to 'params'" in text


@pytest.mark.parametrize(
    ("rules", "kinds"),
    [
        ((rule("*", "pods"),), []),
        ((rule("", "pods", version="*"),), []),
        ((rule("", "pods", "*", "pods/exec", "nothings"),), ["Pod"]),
        ((rule("", "pods"), rule("apps", "deployments")), ["Pod", "Deployment"]),
        ((), []),
    ],
)
def test_only_kinds_that_are_named_in_full(rules: tuple[Json, ...], kinds: list[str]) -> None:
    assert [each.kind for each in kinds_of(policy(rules=rules)["spec"], CATALOG)] == kinds


def test_ten_kinds_of_a_rule_at_most() -> None:
    plurals = [each.plural for each in CATALOG.resources if each.api_version == "v1"]
    assert len(plurals) > 10
    assert len(kinds_of(policy(rules=(rule("", *plurals),))["spec"], CATALOG)) == 10


def test_a_kind_that_refers_to_itself_has_an_end() -> None:
    rules = (rule("apiextensions.k8s.io", "customresourcedefinitions"),)
    assert warned("object.spec.versions[0].schema.openAPIV3Schema.type == 'object'", rules=rules) == []
