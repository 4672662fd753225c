"""One strategy for each kind and subresource: the steps of a write that differ from kind to kind.

The generic store calls them in upstream's order: decode, default, (mutating admission),
prepare, validate, (validating admission). A kind is one entry in a table of functions.
Every refusal is an `ApiError` from `decode`, or a list of causes from `validate_*`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import Any

from services.api import kinds
from services.api.errors import Cause
from services.apiserver.rules import (
    decode,
    defaults,
    prepare,
    prepare_storage,
    selectable,
    strategy_serving,
    warnings,
)
from services.apiserver.rules.context import Context
from services.apiserver.rules.decode import Decoded, FieldValidation
from services.apiserver.rules.kind_rules import Rules, of_status
from services.apiserver.rules.validation import (
    claims,
    core,
    discovery,
    disruption,
    networking,
    pod,
    priority,
    quotas,
    rbac,
    runtime_class,
    service,
    service_network,
    storage,
    workloads,
)
from services.apiserver.rules.validation.meta import changed, generic_object_meta, object_meta_update
from services.apiserver.rules.validation.names import path_segment
from services.machinery.field_errors import Causes

Json = dict[str, Any]

__all__ = ["Decoded", "FieldValidation", "Strategy", "strategy_for"]


def _nothing(obj: Json) -> None:
    """For kinds without defaults of their own."""


# Kinds that a cluster may never meet. Their rules, tables of the same form as those below, are loaded with
# the first object: all of them would make every start a third longer.
_SELDOM = {
    "admission": (
        *("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration"),
        *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration"),
    ),
    "certificates": ("CertificateSigningRequest",),
    "csi": ("CSIDriver", "CSINode", "CSIStorageCapacity", "VolumeAttachment"),
    "definitions": ("CustomResourceDefinition",),
    "devices": ("DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice"),
    "workloads": (*("CronJob", "DaemonSet", "HorizontalPodAutoscaler", "Job", "PodTemplate", "StatefulSet"),),
}
_MODULES = {kind: f"{__package__}.strategy_{name}" for name, found in _SELDOM.items() for kind in found}

_KINDS: dict[str, Rules] = {
    **strategy_serving.KINDS,
    "ConfigMap": Rules(core.config_map, core.config_map_update),
    "Endpoints": Rules(core.endpoints, core.endpoints_update, allows_create_on_update=True),
    "Event": Rules(core.event, core.event_update, allows_create_on_update=True),
    "Namespace": Rules(
        core.namespace, core.namespace_update, prepare.namespace_create, prepare.namespace_update
    ),
    "Node": Rules(core.node, core.node_update, prepare.node_create, prepare.node_update),
    "LimitRange": Rules(quotas.limit_range, quotas.limit_range_update, allows_create_on_update=True),
    "PersistentVolume": Rules(
        storage.persistent_volume,
        storage.persistent_volume_update,
        prepare.persistent_volume_create,
        prepare.keep_status,
    ),
    "PersistentVolumeClaim": Rules(
        claims.claim, claims.claim_update, prepare_storage.claim_create, prepare_storage.claim_update
    ),
    "Pod": Rules(pod.create, pod.update, prepare.pod_create, prepare.with_status_update),
    "ReplicationController": Rules(
        workloads.replication_controller,
        workloads.replication_controller_update,
        prepare.with_status_create,
        prepare.with_status_update,
    ),
    "PodDisruptionBudget": Rules(
        disruption.budget,
        disruption.budget_update,
        prepare.budget_create,
        prepare.with_status_update,
        allows_unconditional_update=False,
    ),
    "PriorityClass": Rules(priority.priority_class, priority.priority_class_update, prepare.counted_create),
    "ResourceQuota": Rules(quotas.quota, quotas.quota_update, prepare.quota_create, prepare.keep_status),
    "Role": Rules(rbac.role, rbac.role_update, allows_create_on_update=True),
    "ClusterRole": Rules(rbac.cluster_role, rbac.cluster_role_update, allows_create_on_update=True),
    "RoleBinding": Rules(rbac.role_binding, rbac.role_binding_update, allows_create_on_update=True),
    "ClusterRoleBinding": Rules(
        rbac.cluster_role_binding, rbac.cluster_role_binding_update, allows_create_on_update=True
    ),
    "Secret": Rules(core.secret, core.secret_update),
    "ServiceAccount": Rules(core.service_account, core.service_account_update),
    "Service": Rules(
        service.service,
        service.service_update,
        prepare.service_create,
        prepare.service_update,
        allows_create_on_update=True,
    ),
    "ControllerRevision": Rules(workloads.controller_revision, workloads.controller_revision_update),
    "Deployment": Rules(
        workloads.deployment,
        workloads.deployment_update,
        prepare.with_status_create,
        prepare.deployment_update,
    ),
    "ReplicaSet": Rules(
        workloads.replica_set,
        workloads.replica_set_update,
        prepare.with_status_create,
        prepare.with_status_update,
    ),
    "RuntimeClass": Rules(
        runtime_class.runtime_class,
        runtime_class.runtime_class_update,
        allows_create_on_update=True,
        allows_unconditional_update=False,
    ),
    "StorageClass": Rules(storage.storage_class, storage.storage_class_update),
    "VolumeAttributesClass": Rules(storage.attributes_class, storage.attributes_class_update),
    "EndpointSlice": Rules(
        discovery.endpoint_slice,
        discovery.endpoint_slice_update,
        prepare.counted_create,
        prepare.endpoint_slice_update,
        allows_create_on_update=True,
    ),
    "Ingress": Rules(
        networking.ingress,
        networking.ingress_update,
        prepare.balanced_create,
        prepare.with_status_update,
    ),
    "IngressClass": Rules(
        networking.ingress_class, networking.ingress_class_update, prepare.counted_create, prepare.spec_update
    ),
    "IPAddress": Rules(service_network.address, service_network.address_update),
    "ServiceCIDR": Rules(
        service_network.cidr, service_network.cidr_update, prepare.service_cidr_create, prepare.keep_status
    ),
    "NetworkPolicy": Rules(
        networking.network_policy,
        networking.network_policy_update,
        prepare.counted_create,
        prepare.spec_update,
    ),
    "Lease": Rules(
        core.lease, core.lease_update, allows_create_on_update=True, allows_unconditional_update=False
    ),
}


_SUBRESOURCES: dict[tuple[str, str], Rules] = {
    **strategy_serving.SUBRESOURCES,
    ("Pod", "status"): Rules(
        validate_update=pod.update_status, prepare_update=prepare.pod_status, is_status=True
    ),
    ("Pod", "ephemeralcontainers"): Rules(
        validate_update=pod.update_ephemeral, prepare_update=prepare.pod_ephemeral
    ),
    ("Pod", "resize"): Rules(validate_update=pod.update_resize, prepare_update=prepare.pod_resize),
    ("Pod", "binding"): Rules(validate=pod.binding),
    ("Node", "status"): of_status(core.node_update),
    ("Namespace", "status"): of_status(core.namespace_status),
    ("Namespace", "finalize"): Rules(
        validate_update=core.namespace_finalize, prepare_update=prepare.namespace_finalize
    ),
    ("Ingress", "status"): of_status(networking.ingress_status),
    ("ServiceCIDR", "status"): of_status(service_network.cidr_status, prepare.status_alone),
    ("Service", "status"): of_status(service.service_status),
    ("PersistentVolume", "status"): of_status(storage.persistent_volume_status),
    ("PersistentVolumeClaim", "status"): of_status(claims.claim_status),
    ("PodDisruptionBudget", "status"): of_status(disruption.budget_status),
    ("ResourceQuota", "status"): of_status(quotas.quota_status),
    ("Deployment", "status"): Rules(
        validate_update=workloads.deployment_status, prepare_update=prepare.deployment_status, is_status=True
    ),
    ("ReplicaSet", "status"): of_status(workloads.replicas_status),
    ("ReplicationController", "status"): of_status(workloads.replicas_status),
    ("Deployment", "scale"): Rules(validate=workloads.scale),
    ("ReplicaSet", "scale"): Rules(validate=workloads.scale),
    ("ReplicationController", "scale"): Rules(validate=workloads.scale),
}


def rules_of(kind: str, subresource: str) -> Rules:
    by_kind, by_part = _KINDS, _SUBRESOURCES
    if module := _MODULES.get(kind):
        loaded = import_module(module)
        by_kind, by_part = loaded.KINDS, loaded.SUBRESOURCES
    found = by_part.get((kind, subresource)) if subresource else by_kind.get(kind)
    return found or Rules()


class Strategy:
    """The rules for one resource, or for one subresource of it."""

    def __init__(self, resource: kinds.Resource, subresource: str = "") -> None:
        self.resource = resource
        self.subresource = subresource
        kind, api_version = resource.kind, resource.api_version
        for found in resource.subresources:
            if found.name == subresource and found.kind:
                kind = found.kind
                version = found.version or resource.version
                api_version = f"{found.group}/{version}" if found.group else version
        self._target = decode.target_for(api_version, kind)
        self._kind = kind

    @cached_property
    def _rules(self) -> Rules:
        return rules_of(self.resource.kind, self.subresource)

    @cached_property
    def _default(self) -> Callable[[Json], None]:
        table = defaults.STATUS_DEFAULTS if self._rules.is_status else defaults.DEFAULTS
        return table.get(self._kind, _nothing)

    @property
    def allows_create_on_update(self) -> bool:
        return self._rules.allows_create_on_update

    @property
    def allows_unconditional_update(self) -> bool:
        return self._rules.allows_unconditional_update

    def decode(self, raw: bytes, field_validation: FieldValidation = "Warn") -> Decoded:
        """A request's body as a checked, normalised object. ApiError (400) in upstream's words."""
        return decode.decode(raw, self._target, field_validation)

    def decode_object(self, obj: Json, field_validation: FieldValidation = "Warn") -> Decoded:
        """The same for what is decoded already: the result of a patch."""
        if self._rules.is_status:
            return decode.decode_status(obj, self._target, field_validation)
        return decode.decode_object(obj, self._target, field_validation)

    def default(self, obj: Json) -> None:
        """Fills in, in place, what the caller left out."""
        self._default(obj)

    def prepare_create(self, obj: Json, ctx: Context) -> None:
        """Resets, in place, what a creator may not set (status, generation)."""
        self._null_lists(obj)
        self._rules.prepare(obj)

    def prepare_update(self, new: Json, old: Json, ctx: Context) -> None:
        """Keeps, in place, what this update may not change; moves the generation with the spec."""
        self._null_lists(new)
        prepare.metadata_update(new, old)
        self._rules.prepare_update(new, old)
        if self.resource.kind == "PersistentVolume" and self.subresource == "status":
            prepare.note_phase(new["status"], old["status"], ctx.now)
        if self.resource.kind == "CertificateSigningRequest" and self.subresource:
            from services.apiserver.rules import strategy_certificates

            strategy_certificates.note_times(new, old, ctx.now)

    def _null_lists(self, obj: Json) -> None:
        """An empty list and none are stored alike; only their owners tell them apart."""
        for name in decode.EMPTY_IS_GIVEN.get(self.resource.kind, ()):
            obj[name] = obj.get(name) or None

    def validate_create(self, obj: Json) -> list[Cause]:
        out: Causes = []
        self._rules.validate(obj, out)
        return out

    def validate_update(self, new: Json, old: Json) -> list[Cause]:
        # Upstream looks at the metadata in its generic layer and again in the strategy; and so
        # a fault there is reported several times.
        out: Causes = []
        if changed(new["metadata"], old["metadata"]):
            generic_object_meta(new["metadata"], self.resource.namespaced, path_segment, out)
            object_meta_update(new["metadata"], old["metadata"], out)
        self._rules.validate_update(new, old, out)
        return out

    def warnings(self, obj: Json, old: Json | None = None) -> list[str]:
        """What the caller should know about an object that is valid all the same."""
        return [] if self.subresource else warnings.of(self.resource.kind, obj, old)

    def selectable_fields(self, obj: Json) -> dict[str, str]:
        """Every field that a field selector may name, with its value."""
        return selectable.of(self.resource.kind, obj)

    def grace_seconds(self, obj: Json, requested: int | None) -> int | None:
        """How long a deletion waits; None: this kind is deleted at once."""
        if self.resource.kind != "Pod":
            return None
        spec = obj["spec"]
        if not spec.get("nodeName") or obj["status"].get("phase") in ("Failed", "Succeeded"):
            return 0  # Nobody runs it.
        seconds = requested if requested is not None else spec.get("terminationGracePeriodSeconds", 0)
        return 1 if seconds < 0 else seconds


_strategies: dict[tuple[str, str, str], Strategy] = {}


def strategy_for(resource: kinds.Resource, subresource: str = "") -> Strategy:
    """The one strategy of a resource or subresource; they are stateless and shared."""
    key = (resource.api_version, resource.plural, subresource)
    if key not in _strategies:
        _strategies[key] = Strategy(resource, subresource)
    return _strategies[key]
