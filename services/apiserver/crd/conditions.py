"""What a definition's status says of its schemas and of its group: judgements as (type, status, reason,
message), None where there is nothing to say.

Upstream: the nonstructuralschema and apiapproval controllers of apiextensions-apiserver.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.crd import approval, structure_checks
from services.apiserver.crd.structural import NotStructural, read

Json = dict[str, Any]
Judgement = tuple[str, str, str, str]

NON_STRUCTURAL, CONFORMANT = "NonStructuralSchema", "KubernetesAPIApprovalPolicyConformant"
_APPROVALS = {
    "Invalid": ("False", "InvalidAnnotation"),
    "Missing": ("False", "MissingAnnotation"),
    "Approved": ("True", "ApprovedAnnotation"),
    "Bypassed": ("False", "UnapprovedAnnotation"),
}


def is_true(definition: Json, kind: str) -> bool:
    found = (definition.get("status") or {}).get("conditions") or ()
    return any(each["type"] == kind and each["status"] == "True" for each in found)


def structure(definition: Json) -> Judgement | None:
    """Only where a schema is not structural, as those of old definitions may be."""
    faults = []
    if definition["spec"].get("preserveUnknownFields"):
        faults.append("spec.preserveUnknownFields: Invalid value: true: must be false")
    for index, version in enumerate(definition["spec"].get("versions") or ()):
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            continue
        try:
            read(schema)
        except NotStructural as error:
            why = f"failed to check validation schema for version {version['name']}: {error}"
            return NON_STRUCTURAL, "Unknown", "StructuralError", why
        path = f"spec.versions[{index}].schema.openAPIV3Schema"
        causes = structure_checks.structural_faults(schema, path)
        faults += [f"{cause['field']}: {cause['message']}" for cause in causes]
    if not faults:
        return None
    message = faults[0] if len(faults) == 1 else "[" + ", ".join(faults) + "]"
    return NON_STRUCTURAL, "True", "Violations", message


def approved(definition: Json) -> Judgement | None:
    """Only of groups that are Kubernetes' own."""
    if not approval.is_protected(definition["spec"].get("group", "")):
        return None
    state, message = approval.state(definition)
    return CONFORMANT, *_APPROVALS[state], message
