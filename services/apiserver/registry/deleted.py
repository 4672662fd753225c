"""What a deletion answers: the object, or a Status that says what is gone."""

from __future__ import annotations

import orjson

from services.api.kinds import Resource
from services.apiserver.registry.request import Deleted, Item
from services.apiserver.registry.written import Written, item

# A gone object of these kinds is answered with itself, not with a Status (upstream: ReturnDeletedObject).
ANSWERS_DELETED = {
    *("pods", "services", "serviceaccounts", "persistentvolumes", "persistentvolumeclaims"),
    *("resourcequotas", "podtemplates"),
    *("deviceclasses", "resourceclaims", "resourceclaimtemplates", "resourceslices"),
    *("csidrivers", "csinodes", "storageclasses", "volumeattachments", "volumeattributesclasses"),
}


def deleted_answer(resource: Resource, written: Written, gone: bool) -> Deleted:
    if not gone or (resource.plural in ANSWERS_DELETED and not resource.is_custom):
        return Deleted(item(written), gone, tuple(written.warnings))
    meta = written.obj["metadata"]
    details = {
        "name": meta["name"],
        "group": resource.group,
        "kind": resource.plural,
        "uid": meta["uid"],
    }
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {name: value for name, value in details.items() if value},
    }
    return Deleted(Item(orjson.dumps(status), 0), True, tuple(written.warnings))
