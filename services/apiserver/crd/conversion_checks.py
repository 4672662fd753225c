"""How objects of one version become those of another: not at all, or by a webhook.

Upstream: `validateCustomResourceConversion`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.apiserver.rules.validation import names, webhook_clients
from services.machinery.field_errors import Causes, forbidden, invalid, not_supported, required

if TYPE_CHECKING:
    from services.apiserver.crd.schemas import Options

Json = dict[str, Any]

REVIEW_VERSIONS = ("v1", "v1beta1")
_CLIENT = "spec.conversion.webhookClientConfig"
_VERSIONS = "spec.conversion.conversionReviewVersions"


def check(conversion: Json | None, preserves: bool, options: Options, out: Causes) -> None:
    if conversion is None:
        return
    strategy = conversion.get("strategy", "")
    if strategy != "None" and preserves:
        why = "must be None if spec.preserveUnknownFields is true"
        out.append(invalid("spec.conversion.strategy", strategy, why))
    if not strategy:
        out.append(required("spec.conversion.strategy"))
    elif strategy not in ("None", "Webhook"):
        out.append(not_supported("spec.conversion.strategy", strategy, ("None", "Webhook")))
    webhook = conversion.get("webhook") or {}
    client, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions")
    if strategy == "Webhook":
        _check_client(client, options, out)
        _check_versions(versions or [], options, out)
        return
    why = "should not be set when strategy is not set to Webhook"
    if client is not None:
        out.append(forbidden(_CLIENT, why))
    if versions:
        out.append(forbidden(_VERSIONS, why))


def _check_client(client: Json | None, options: Options, out: Causes) -> None:
    if client is None:
        out.append(required(_CLIENT, "required when strategy is set to Webhook"))
        return
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        out.append(required(_CLIENT, "exactly one of url or service is required"))
    elif url is not None:
        webhook_clients.check_url(url, f"{_CLIENT}.url", out)
    elif service is not None:
        # Upstream confuses the two names here, and so do the paths of its refusals.
        swapped = service.get("name", ""), service.get("namespace", "")
        webhook_clients.check_service(*swapped, service, f"{_CLIENT}.service", out)
    bundle = client.get("caBundle")
    if bundle and not options.allow_bad_ca_bundle:
        webhook_clients.check_ca_bundle(bundle, f"{_CLIENT}.caBundle", out)


def _check_versions(versions: list[str], options: Options, out: Causes) -> None:
    if not versions:
        out.append(required(_VERSIONS))
        return
    for index, version in enumerate(versions):
        here = f"{_VERSIONS}[{index}]"
        if version in versions[:index]:
            out.append(invalid(here, version, "duplicate version"))
            continue
        out += [invalid(here, version, fault) for fault in names.dns1035_label(version)]
    if options.require_known_review_version and not set(REVIEW_VERSIONS) & set(versions):
        why = f"must include at least one of {', '.join(REVIEW_VERSIONS)}"
        out.append(invalid(_VERSIONS, versions, why))
