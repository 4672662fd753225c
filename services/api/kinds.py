"""The kinds that every cluster serves: one entry each, and every name by which one can be asked for.

The API server, the client machinery and `ok` all read this table; what only the API server
needs (strategies, columns) stands beside its registry. What a cluster serves besides, because somebody
defined it, its API server's catalog knows. Upstream: the discovery documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.api.object import Object

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Subresource:
    """A part of an object with verbs of its own; group, version and kind where not the object's."""

    name: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """One served resource, named as discovery names it.

    `stored_as` names the group version in which its objects are kept, where that is another one: the
    resource of that version must be served too, and `apiserver/rules/versions.py` says how to convert.
    """

    api_version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    stored_as: str = ""
    # Made once: what is looked up by resource is looked up with every request.
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.api_version}/{self.plural}")

    @property
    def type(self) -> type[Object]:
        """The class of its objects. Loaded when first asked for: who works on plain data needs none."""
        return _type_of(self.api_version, self.kind)

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    @property
    def is_custom(self) -> bool:
        """Whether somebody defined it: whatever it is called, it is no kind that rules know by name."""
        return False

    @property
    def key_prefix(self) -> str:
        """Where its objects are kept, when not where the kind's name says."""
        return ""

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def discovered_verbs(self) -> tuple[str, ...]:
        return self.verbs

    @property
    def qualified(self) -> str:
        """`deployments.apps`, or `pods` in the core group: the name that error messages use."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


@cache
def _type_of(api_version: str, kind: str) -> type[Object]:
    group, _, version = api_version.rpartition("/")
    module = import_module(f"services.api.{group.partition('.')[0] or 'core'}_{version}")
    found: type[Object] = getattr(module, kind)
    return found


STATUS = Subresource("status", ("get", "patch", "update"))
SCALE = Subresource("scale", ("get", "patch", "update"), "autoscaling", "v1", "Scale")
CONNECT = ("create", "get")
PROXY = ("create", "delete", "get", "patch", "update")
STREAMED = frozenset({"attach", "exec", "log", "portforward", "proxy"})  # bytes, and no objects

RESOURCES: tuple[Resource, ...] = (
    Resource("v1", "ConfigMap", "configmaps", "configmap", short_names=("cm",)),
    Resource("v1", "Endpoints", "endpoints", "endpoints", short_names=("ep",)),
    Resource("v1", "Event", "events", "event", short_names=("ev",)),
    Resource("v1", "LimitRange", "limitranges", "limitrange", short_names=("limits",)),
    Resource(
        "v1",
        "Namespace",
        "namespaces",
        "namespace",
        namespaced=False,
        short_names=("ns",),
        verbs=tuple(verb for verb in ALL_VERBS if verb != "deletecollection"),
        subresources=(Subresource("finalize", ("update",)), STATUS),
    ),
    Resource(
        "v1",
        "Node",
        "nodes",
        "node",
        namespaced=False,
        short_names=("no",),
        subresources=(Subresource("proxy", PROXY, kind="NodeProxyOptions"), STATUS),
    ),
    Resource(
        "v1",
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        "persistentvolumeclaim",
        short_names=("pvc",),
        subresources=(STATUS,),
    ),
    Resource(
        "v1",
        "PersistentVolume",
        "persistentvolumes",
        "persistentvolume",
        namespaced=False,
        short_names=("pv",),
        subresources=(STATUS,),
    ),
    Resource(
        "v1",
        "Pod",
        "pods",
        "pod",
        short_names=("po",),
        categories=("all",),
        subresources=(
            Subresource("attach", CONNECT, kind="PodAttachOptions"),
            Subresource("binding", ("create",), kind="Binding"),
            Subresource("ephemeralcontainers", ("get", "patch", "update")),
            Subresource("eviction", ("create",), "policy", "v1", "Eviction"),
            Subresource("exec", CONNECT, kind="PodExecOptions"),
            Subresource("log", ("get",)),
            Subresource("portforward", CONNECT, kind="PodPortForwardOptions"),
            Subresource("proxy", PROXY, kind="PodProxyOptions"),
            Subresource("resize", ("get", "patch", "update")),
            STATUS,
        ),
    ),
    Resource("v1", "PodTemplate", "podtemplates", "podtemplate"),
    Resource(
        "v1",
        "ReplicationController",
        "replicationcontrollers",
        "replicationcontroller",
        short_names=("rc",),
        categories=("all",),
        subresources=(SCALE, STATUS),
    ),
    Resource(
        "v1",
        "ResourceQuota",
        "resourcequotas",
        "resourcequota",
        short_names=("quota",),
        subresources=(STATUS,),
    ),
    Resource("v1", "Secret", "secrets", "secret"),
    Resource(
        "v1",
        "ServiceAccount",
        "serviceaccounts",
        "serviceaccount",
        short_names=("sa",),
        subresources=(Subresource("token", ("create",), "authentication.k8s.io", "v1", "TokenRequest"),),
    ),
    Resource(
        "v1",
        "Service",
        "services",
        "service",
        short_names=("svc",),
        categories=("all",),
        subresources=(Subresource("proxy", PROXY, kind="ServiceProxyOptions"), STATUS),
    ),
    *(
        Resource(
            "admissionregistration.k8s.io/v1",
            kind,
            plural,
            kind.lower(),
            namespaced=False,
            categories=("api-extensions",),
            subresources=(STATUS,) if kind == "ValidatingAdmissionPolicy" else (),
        )
        for kind, plural in (
            ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
            ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
            ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
            ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
            ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
            ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        )
    ),
    Resource(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "customresourcedefinition",
        namespaced=False,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        subresources=(STATUS,),
    ),
    Resource("apps/v1", "ControllerRevision", "controllerrevisions", "controllerrevision"),
    Resource(
        "apps/v1",
        "DaemonSet",
        "daemonsets",
        "daemonset",
        short_names=("ds",),
        categories=("all",),
        subresources=(STATUS,),
    ),
    Resource(
        "apps/v1",
        "Deployment",
        "deployments",
        "deployment",
        short_names=("deploy",),
        categories=("all",),
        subresources=(SCALE, STATUS),
    ),
    Resource(
        "apps/v1",
        "ReplicaSet",
        "replicasets",
        "replicaset",
        short_names=("rs",),
        categories=("all",),
        subresources=(SCALE, STATUS),
    ),
    Resource(
        "apps/v1",
        "StatefulSet",
        "statefulsets",
        "statefulset",
        short_names=("sts",),
        categories=("all",),
        subresources=(SCALE, STATUS),
    ),
    # The version that clients should prefer comes first.
    *(
        Resource(
            f"autoscaling/{version}",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            "horizontalpodautoscaler",
            short_names=("hpa",),
            categories=("all",),
            subresources=(STATUS,),
            stored_as=stored_as,
        )
        for version, stored_as in (("v2", ""), ("v1", "autoscaling/v2"))
    ),
    Resource(
        "batch/v1",
        "CronJob",
        "cronjobs",
        "cronjob",
        short_names=("cj",),
        categories=("all",),
        subresources=(STATUS,),
    ),
    Resource("batch/v1", "Job", "jobs", "job", categories=("all",), subresources=(STATUS,)),
    Resource(
        "certificates.k8s.io/v1",
        "CertificateSigningRequest",
        "certificatesigningrequests",
        "certificatesigningrequest",
        namespaced=False,
        short_names=("csr",),
        subresources=(Subresource("approval", ("get", "patch", "update")), STATUS),
    ),
    Resource("coordination.k8s.io/v1", "Lease", "leases", "lease"),
    Resource(
        "apiregistration.k8s.io/v1",
        "APIService",
        "apiservices",
        "apiservice",
        namespaced=False,
        categories=("api-extensions",),
        subresources=(STATUS,),
    ),
    *(
        Resource(
            "flowcontrol.apiserver.k8s.io/v1",
            kind,
            f"{kind.lower()}s",
            kind.lower(),
            namespaced=False,
            subresources=(STATUS,),
        )
        for kind in ("FlowSchema", "PriorityLevelConfiguration")
    ),
    Resource("events.k8s.io/v1", "Event", "events", "event", short_names=("ev",), stored_as="v1"),
    Resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", "endpointslice"),
    Resource("networking.k8s.io/v1", "IngressClass", "ingressclasses", "ingressclass", namespaced=False),
    Resource(
        "networking.k8s.io/v1",
        "Ingress",
        "ingresses",
        "ingress",
        short_names=("ing",),
        subresources=(STATUS,),
    ),
    Resource(
        "networking.k8s.io/v1",
        "IPAddress",
        "ipaddresses",
        "ipaddress",
        namespaced=False,
        short_names=("ip",),
    ),
    Resource(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "networkpolicies",
        "networkpolicy",
        short_names=("netpol",),
    ),
    Resource(
        "networking.k8s.io/v1",
        "ServiceCIDR",
        "servicecidrs",
        "servicecidr",
        namespaced=False,
        subresources=(STATUS,),
    ),
    Resource("resource.k8s.io/v1", "DeviceClass", "deviceclasses", "deviceclass", namespaced=False),
    Resource(
        "resource.k8s.io/v1", "ResourceClaim", "resourceclaims", "resourceclaim", subresources=(STATUS,)
    ),
    Resource(
        "resource.k8s.io/v1", "ResourceClaimTemplate", "resourceclaimtemplates", "resourceclaimtemplate"
    ),
    Resource("resource.k8s.io/v1", "ResourceSlice", "resourceslices", "resourceslice", namespaced=False),
    Resource("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", "runtimeclass", namespaced=False),
    Resource(
        "scheduling.k8s.io/v1",
        "PriorityClass",
        "priorityclasses",
        "priorityclass",
        namespaced=False,
        short_names=("pc",),
    ),
    Resource(
        "policy/v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        "poddisruptionbudget",
        short_names=("pdb",),
        subresources=(STATUS,),
    ),
    Resource(
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        "clusterrolebinding",
        namespaced=False,
    ),
    Resource("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", "clusterrole", namespaced=False),
    Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", "rolebinding"),
    Resource("rbac.authorization.k8s.io/v1", "Role", "roles", "role"),
    Resource("storage.k8s.io/v1", "CSIDriver", "csidrivers", "csidriver", namespaced=False),
    Resource("storage.k8s.io/v1", "CSINode", "csinodes", "csinode", namespaced=False),
    Resource("storage.k8s.io/v1", "CSIStorageCapacity", "csistoragecapacities", "csistoragecapacity"),
    Resource(
        "storage.k8s.io/v1",
        "StorageClass",
        "storageclasses",
        "storageclass",
        namespaced=False,
        short_names=("sc",),
    ),
    Resource(
        "storage.k8s.io/v1",
        "VolumeAttachment",
        "volumeattachments",
        "volumeattachment",
        namespaced=False,
        subresources=(STATUS,),
    ),
    Resource(
        "storage.k8s.io/v1",
        "VolumeAttributesClass",
        "volumeattributesclasses",
        "volumeattributesclass",
        namespaced=False,
        short_names=("vac",),
    ),
)

# Questions that are answered at once and never stored: who am I, may I. Both fronts answer them.
REVIEWS: tuple[Resource, ...] = tuple(
    Resource(
        f"{group}.k8s.io/v1",
        kind,
        f"{kind.lower()}s",
        kind.lower(),
        namespaced=kind.startswith("Local"),
        verbs=("create",),
    )
    for group, kinds in (
        ("authentication", ("SelfSubjectReview", "TokenReview")),
        (
            "authorization",
            (
                *("LocalSubjectAccessReview", "SelfSubjectAccessReview"),
                *("SelfSubjectRulesReview", "SubjectAccessReview"),
            ),
        ),
    )
    for kind in kinds
)
# Answered at once as well: how the components are, and which Pod goes where. Asked over REST only.
LIVE: tuple[Resource, ...] = (
    Resource("v1", "Binding", "bindings", "binding", verbs=("create",)),
    Resource(
        "v1",
        "ComponentStatus",
        "componentstatuses",
        "componentstatus",
        namespaced=False,
        short_names=("cs",),
        verbs=("get", "list"),
    ),
)
UNSTORED = REVIEWS + LIVE
# Measured when they are asked for, and nowhere stored.
MEASURED: tuple[Resource, ...] = (
    Resource("metrics.k8s.io/v1beta1", "NodeMetrics", "nodes", "", namespaced=False, verbs=("get", "list")),
    Resource("metrics.k8s.io/v1beta1", "PodMetrics", "pods", "", verbs=("get", "list")),
)
SERVED = RESOURCES + UNSTORED

_REVIEWS_BY_KIND = {(resource.api_version, resource.kind): resource for resource in REVIEWS}
_LIVE_BY_NAME = {(resource.group, resource.version, resource.plural): resource for resource in LIVE}
_REVIEWS_BY_NAME = {(resource.group, resource.version, resource.plural): resource for resource in REVIEWS}
_BY_NAME = {(resource.group, resource.version, resource.plural): resource for resource in RESOURCES}
_BY_KIND = {(resource.api_version, resource.kind): resource for resource in RESOURCES}


def resource_of(kind: type[Any]) -> Resource:
    """The entry of a typed object's class. KeyError when the cluster does not serve it.

    A class of a kind that somebody defined brings its entry along.
    """
    own: Resource | None = getattr(kind, "resource", None)
    named = kind.api_version, kind.kind
    return own or _BY_KIND.get(named) or _REVIEWS_BY_KIND[named]


def resource_named(group: str, version: str, plural: str) -> Resource | None:
    return _BY_NAME.get((group, version, plural))


def review_named(group: str, version: str, plural: str) -> Resource | None:
    return _REVIEWS_BY_NAME.get((group, version, plural))


def live_named(group: str, version: str, plural: str) -> Resource | None:
    return _LIVE_BY_NAME.get((group, version, plural))


def resource_of_kind(api_version: str, kind: str) -> Resource | None:
    return _BY_KIND.get((api_version, kind))


def lookup(word: str) -> Iterator[Resource]:
    """Every resource that `word` may mean: plural, singular, short name, kind, or `name.group`."""
    return meant_by(word, RESOURCES)


def meant_by(word: str, resources: Iterable[Resource]) -> Iterator[Resource]:
    """Those of `resources` that `word` may mean."""
    word = word.lower()
    for resource in resources:
        names = {resource.plural, resource.singular, resource.kind.lower(), *resource.short_names}
        qualified = {f"{name}.{resource.group}" for name in names}
        versioned = {f"{name}.{resource.version}.{resource.group}" for name in names}
        if word in names | qualified | versioned:
            yield resource
