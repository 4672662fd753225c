"""Defaults of webhooks and admission policies. Upstream: `pkg/apis/admissionregistration/v1/defaults.go`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Json = dict[str, Any]
HTTPS_PORT = 443
TIMEOUT_SECONDS = 10


def _rules(rules: Iterable[Json] | None) -> None:
    for rule in rules or ():
        rule.setdefault("scope", "*")


def _webhook(webhook: Json) -> None:
    webhook.setdefault("failurePolicy", "Fail")
    webhook.setdefault("matchPolicy", "Equivalent")
    webhook.setdefault("namespaceSelector", {})
    webhook.setdefault("objectSelector", {})
    webhook.setdefault("timeoutSeconds", TIMEOUT_SECONDS)
    _rules(webhook.get("rules"))
    service = (webhook.get("clientConfig") or {}).get("service")
    if service is not None:
        service.setdefault("port", HTTPS_PORT)


def validating_webhooks(obj: Json) -> None:
    for webhook in obj.get("webhooks") or ():
        _webhook(webhook)


def mutating_webhooks(obj: Json) -> None:
    for webhook in obj.get("webhooks") or ():
        _webhook(webhook)
        webhook.setdefault("reinvocationPolicy", "Never")


def _match_resources(match: Json | None) -> None:
    if match is None:
        return
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    _rules(match.get("resourceRules"))
    _rules(match.get("excludeResourceRules"))


def policy(obj: Json) -> None:
    spec = obj["spec"]
    spec.setdefault("failurePolicy", "Fail")
    _match_resources(spec.get("matchConstraints"))


def binding(obj: Json) -> None:
    _match_resources(obj["spec"].get("matchResources"))


DEFAULTS: dict[str, Callable[[Json], None]] = {
    "ValidatingWebhookConfiguration": validating_webhooks,
    "MutatingWebhookConfiguration": mutating_webhooks,
    "ValidatingAdmissionPolicy": policy,
    "ValidatingAdmissionPolicyBinding": binding,
    "MutatingAdmissionPolicy": policy,
    "MutatingAdmissionPolicyBinding": binding,
}
