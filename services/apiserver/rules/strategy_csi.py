"""The rules of what CSI drivers keep in the API."""

from __future__ import annotations

from services.apiserver.rules import prepare
from services.apiserver.rules.kind_rules import Rules, of_status
from services.apiserver.rules.validation import csi

KINDS: dict[str, Rules] = {
    "CSIDriver": Rules(
        csi.driver, csi.driver_update, prepare_update=prepare.spec_update, allows_unconditional_update=False
    ),
    "CSINode": Rules(csi.node, csi.node_update, allows_unconditional_update=False),
    "CSIStorageCapacity": Rules(csi.capacity, csi.capacity_update, allows_unconditional_update=False),
    "VolumeAttachment": Rules(
        csi.attachment,
        csi.attachment_update,
        prepare.volume_attachment_create,
        prepare.keep_status,
        allows_unconditional_update=False,
    ),
}
SUBRESOURCES: dict[tuple[str, str], Rules] = {
    ("VolumeAttachment", "status"): of_status(csi.attachment_update, prepare.status_alone),
}
