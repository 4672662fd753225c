"""The rules of webhook configurations, admission policies and their bindings."""

from __future__ import annotations

from services.apiserver.rules import prepare, prepare_admission
from services.apiserver.rules.kind_rules import Rules, of_status
from services.apiserver.rules.validation import admission_policies as policies
from services.apiserver.rules.validation import webhooks

_CONFIGURATION = Rules(
    webhooks.configuration,
    webhooks.configuration_update,
    prepare.counted_create,
    prepare_admission.webhooks_update,
    allows_unconditional_update=False,
)

KINDS: dict[str, Rules] = {
    "MutatingWebhookConfiguration": _CONFIGURATION,
    "ValidatingWebhookConfiguration": _CONFIGURATION,
    "ValidatingAdmissionPolicy": Rules(
        policies.validating,
        policies.validating_update,
        prepare.with_status_create,
        prepare.with_status_update,
        allows_unconditional_update=False,
    ),
    "ValidatingAdmissionPolicyBinding": Rules(
        policies.binding,
        policies.binding_update,
        prepare.counted_create,
        prepare.spec_update,
        allows_unconditional_update=False,
    ),
    "MutatingAdmissionPolicy": Rules(
        policies.mutating,
        policies.mutating_update,
        prepare.counted_create,
        prepare.spec_update,
        allows_unconditional_update=False,
    ),
    "MutatingAdmissionPolicyBinding": Rules(
        policies.mutating_binding,
        policies.mutating_binding_update,
        prepare.counted_create,
        prepare.spec_update,
        allows_unconditional_update=False,
    ),
}

SUBRESOURCES: dict[tuple[str, str], Rules] = {
    ("ValidatingAdmissionPolicy", "status"): of_status(policies.status_update, prepare.status_alone),
}
