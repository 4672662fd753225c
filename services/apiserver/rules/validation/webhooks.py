"""Webhook configurations: whom to call, about what. Upstream: `pkg/apis/admissionregistration/validation`."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation import admission_matching as matching
from services.apiserver.rules.validation import names, webhook_clients
from services.apiserver.rules.validation.meta import label_selector, object_meta, object_meta_update
from services.machinery.field_errors import Causes, duplicate, invalid, not_supported, required

Json = dict[str, Any]
_VERSIONS = ("v1", "v1beta1")
_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_REINVOCATIONS = ("IfNeeded", "Never")
SECONDS_MAX = 30


def configuration(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    _webhooks(obj, None, out)


def configuration_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _webhooks(new, old, out)


def _webhooks(obj: Json, old: Json | None, out: Causes) -> None:
    """What the old one had of what is no longer allowed may stay."""
    before = (old or {}).get("webhooks") or []
    unique = len({each.get("name") for each in before}) == len(before)
    recognized = all(_recognized(each.get("admissionReviewVersions") or ["v1"]) for each in before)
    seen: set[str] = set()
    for index, webhook in enumerate(obj.get("webhooks") or ()):
        path, name = f"webhooks[{index}]", webhook.get("name", "")
        _webhook(webhook, path, out)
        versions = webhook.get("admissionReviewVersions") or []
        _review_versions(versions, f"{path}.admissionReviewVersions", recognized, out)
        if unique and name in seen:
            out.append(duplicate(f"{path}.name", name))
        if name:
            seen.add(name)


def _webhook(webhook: Json, path: str, out: Causes) -> None:
    _name(webhook.get("name", ""), f"{path}.name", out)
    for index, rule in enumerate(webhook.get("rules") or ()):
        matching.rule(rule, f"{path}.rules[{index}]", out)
    matching.one_of(webhook, "failurePolicy", matching.FAILURE_POLICIES, path, out)
    matching.match_policy(webhook, path, out)
    effects = webhook.get("sideEffects")
    if not effects:
        out.append(required(f"{path}.sideEffects", f"must specify one of {', '.join(_SIDE_EFFECTS)}"))
    elif effects not in _SIDE_EFFECTS:
        out.append(not_supported(f"{path}.sideEffects", effects, _SIDE_EFFECTS))
    seconds = webhook.get("timeoutSeconds", 1)
    if not 1 <= seconds <= SECONDS_MAX:
        why = "the timeout value must be between 1 and 30 seconds"
        out.append(invalid(f"{path}.timeoutSeconds", seconds, why))
    for field in ("namespaceSelector", "objectSelector"):
        label_selector(webhook.get(field), f"{path}.{field}", out)
    matching.one_of(webhook, "reinvocationPolicy", _REINVOCATIONS, path, out)
    client(webhook.get("clientConfig") or {}, f"{path}.clientConfig", out)
    matching.conditions(webhook.get("matchConditions"), f"{path}.matchConditions", out, params=False)


def _name(name: str, path: str, out: Causes) -> None:
    if not name:
        out.append(required(path))
    elif faults := names.dns1123_subdomain(name):
        out.append(invalid(path, name, ",".join(faults)))
    elif name.count(".") < 2:
        why = "should be a domain with at least three segments separated by dots"
        out.append(invalid(path, name, why))


def _recognized(versions: list[str]) -> bool:
    return any(version in _VERSIONS for version in versions)


def _review_versions(versions: list[str], path: str, recognized: bool, out: Causes) -> None:
    if not versions:
        out.append(required(path, f"must specify one of {', '.join(_VERSIONS)}"))
        return
    for index, version in enumerate(versions):
        if version in versions[:index]:
            out.append(invalid(f"{path}[{index}]", version, "duplicate version"))
            continue
        names.check(names.dns1035_label(version), f"{path}[{index}]", version, out)
    if recognized and not _recognized(versions):
        out.append(invalid(path, versions, f"must include at least one of {', '.join(_VERSIONS)}"))


# -- whom to call --------------------------------------------------------------------------------


def client(config: Json, path: str, out: Causes) -> None:
    """WebhookClientConfig: a URL, or a Service of the cluster."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        out.append(required(path, "exactly one of url or service is required"))
    elif url is not None:
        webhook_clients.check_url(url, f"{path}.url", out)
    elif service is not None:
        namespace, name = service.get("namespace", ""), service.get("name", "")
        webhook_clients.check_service(namespace, name, service, f"{path}.service", out)
