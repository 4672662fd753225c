"""The rules of resource.k8s.io: device classes, claims and their templates, slices."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules import prepare
from services.apiserver.rules.kind_rules import Rules, of_status
from services.apiserver.rules.validation import devices

Json = dict[str, Any]


def _claim_create(obj: Json) -> None:
    obj["status"] = {}


KINDS: dict[str, Rules] = {
    "DeviceClass": Rules(
        devices.device_class, devices.device_class_update, prepare.counted_create, prepare.spec_update
    ),
    "ResourceClaim": Rules(devices.claim, devices.claim_update, _claim_create, prepare.keep_status),
    "ResourceClaimTemplate": Rules(devices.template, devices.template_update),
    "ResourceSlice": Rules(devices.slice_, devices.slice_update, prepare.counted_create, prepare.spec_update),
}
SUBRESOURCES: dict[tuple[str, str], Rules] = {
    ("ResourceClaim", "status"): of_status(devices.claim_status, prepare.status_alone)
}
