"""RBAC rules: what they allow, and rights compared with rights."""

from __future__ import annotations

import pytest

from services.machinery.policy_rules import (
    allows_path,
    allows_resource,
    broken_down,
    combined,
    compacted,
    text,
    uncovered,
)

PODS = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}


@pytest.mark.parametrize(
    ("rule", "asked", "allowed"),
    [
        (PODS, ("get", "", "pods", "", "a"), True),
        (PODS, ("delete", "", "pods", "", "a"), False),
        (PODS, ("get", "apps", "pods", "", "a"), False),
        (PODS, ("get", "", "pods", "log", "a"), False),
        ({**PODS, "resources": ["pods/log"]}, ("get", "", "pods", "log", "a"), True),
        ({**PODS, "resources": ["*/log"]}, ("get", "", "pods", "log", "a"), True),
        ({**PODS, "resources": ["*/log"]}, ("get", "", "pods", "", "a"), False),
        ({**PODS, "resources": ["*"]}, ("get", "", "pods", "log", "a"), True),
        ({**PODS, "resourceNames": ["a"]}, ("get", "", "pods", "", "a"), True),
        ({**PODS, "resourceNames": ["a"]}, ("list", "", "pods", "", ""), False),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, ("x", "y", "z", "w", ""), True),
    ],
)
def test_a_resource_is_allowed(rule: dict[str, list[str]], asked: tuple[str, ...], allowed: bool) -> None:
    assert allows_resource(rule, *asked) is allowed


@pytest.mark.parametrize(
    ("urls", "path", "allowed"),
    [
        (["/healthz"], "/healthz", True),
        (["/healthz"], "/healthz/ping", False),
        (["/healthz/*"], "/healthz/ping", True),
        (["*"], "/whatever", True),
        ([], "/healthz", False),
    ],
)
def test_a_path_is_allowed(urls: list[str], path: str, allowed: bool) -> None:
    assert allows_path({"verbs": ["get"], "nonResourceURLs": urls}, "get", path) is allowed
    assert not allows_path({"verbs": ["post"], "nonResourceURLs": urls}, "get", path)


def test_what_nobody_holds_is_named_one_resource_a_line() -> None:
    wanted = [{"apiGroups": ["", "apps"], "resources": ["secrets"], "verbs": ["get", "list"]}]
    shown = [text(rule) for rule in compacted(uncovered(wanted, [PODS]))]
    assert shown == [
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}',
        '{APIGroups:["apps"], Resources:["secrets"], Verbs:["get" "list"]}',
    ]


def test_rights_on_some_objects_are_not_rights_on_all() -> None:
    held = [{**PODS, "resourceNames": ["a"]}]
    assert uncovered([PODS], held)
    assert not uncovered([{**PODS, "resourceNames": ["a"]}], held)
    assert not uncovered([{**PODS, "resourceNames": ["a"]}], [PODS])
    everything = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    assert not uncovered([PODS, {**PODS, "resources": ["pods/exec"]}], everything)
    assert uncovered([{"verbs": ["get"], "nonResourceURLs": ["/x"]}], everything)


def test_a_rule_is_shown_by_resource_and_group() -> None:
    assert [combined(part) for part in broken_down({**PODS, "apiGroups": ["", "apps"]})] == [
        *("pods", "pods"),
        *("pods.apps", "pods.apps"),
    ]
    assert combined({"resources": ["deployments/scale"], "apiGroups": ["apps"]}) == "deployments.apps/scale"
    assert combined({"nonResourceURLs": ["/x"]}) == ""
