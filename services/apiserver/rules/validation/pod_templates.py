"""Pod templates that stand alone."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import object_meta, object_meta_update
from services.apiserver.rules.validation.pod_spec import template
from services.machinery.field_errors import Causes

Json = dict[str, Any]


def pod_template(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    template(obj.get("template", {}), "template", out)


def pod_template_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    template(new.get("template", {}), "template", out)
