"""The roles and bindings that every cluster has, by the names that upstream gives them.

One line a rule: `verbs | groups | resources | names`, or `verbs | paths`; `core` is the group without a name.
Data only; `bootstrap` keeps the cluster's to it. Upstream: `bootstrappolicy`. Those whose names begin with
`orrery:` are ours alone: for the controller-manager as one user, for what stands in for a network and an
ingress controller, and for processes that stand for many nodes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

Json = dict[str, Any]

READ = "get list watch"
CHANGE = "create delete deletecollection patch update"
ALL_BUT = "create delete deletecollection get list patch update watch"
EVENTS = "create patch update | core events.k8s.io | events"
TOKEN_REVIEWS = "create | authentication.k8s.io | tokenreviews"
ACCESS_REVIEWS = "create | authorization.k8s.io | subjectaccessreviews"
APPROVER = "approve | certificates.k8s.io | signers | kubernetes.io/"

_AGGREGATE_TO = "rbac.authorization.k8s.io/aggregate-to-"

_VIEW = (
    f"{READ} | core | configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods"
    " replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status",
    f"{READ} | core | bindings events limitranges namespaces/status pods/log pods/status"
    " replicationcontrollers/status resourcequotas resourcequotas/status",
    f"{READ} | core | namespaces",
    f"{READ} | discovery.k8s.io | endpointslices",
    f"{READ} | apps | controllerrevisions daemonsets daemonsets/status deployments deployments/scale"
    " deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale"
    " statefulsets/status",
    f"{READ} | autoscaling | horizontalpodautoscalers horizontalpodautoscalers/status",
    f"{READ} | batch | cronjobs cronjobs/status jobs jobs/status",
    f"{READ} | extensions | daemonsets daemonsets/status deployments deployments/scale deployments/status"
    " ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status"
    " replicationcontrollers/scale",
    f"{READ} | policy | poddisruptionbudgets poddisruptionbudgets/status",
    f"{READ} | networking.k8s.io | ingresses ingresses/status networkpolicies",
)
_EDIT = (
    f"{READ} | core | pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy",
    "impersonate | core | serviceaccounts",
    f"{CHANGE} | core | pods pods/attach pods/exec pods/portforward pods/proxy",
    "create | core | pods/eviction",
    f"{CHANGE} | core | configmaps events persistentvolumeclaims replicationcontrollers"
    " replicationcontrollers/scale secrets serviceaccounts services services/proxy",
    "create | core | serviceaccounts/token",
    f"{CHANGE} | apps | daemonsets deployments deployments/rollback deployments/scale replicasets"
    " replicasets/scale statefulsets statefulsets/scale",
    f"{CHANGE} | autoscaling | horizontalpodautoscalers",
    f"{CHANGE} | batch | cronjobs jobs",
    f"{CHANGE} | extensions | daemonsets deployments deployments/rollback deployments/scale ingresses"
    " networkpolicies replicasets replicasets/scale replicationcontrollers/scale",
    f"{CHANGE} | policy | poddisruptionbudgets",
    f"{CHANGE} | networking.k8s.io | ingresses networkpolicies",
    f"{ALL_BUT} | coordination.k8s.io | leases",
)
_SCHEDULER = (
    EVENTS,
    "create | coordination.k8s.io | leases",
    "get update | coordination.k8s.io | leases | kube-scheduler",
    "create | coordination.k8s.io | leasecandidates",
    "delete deletecollection get list patch update watch | coordination.k8s.io | leasecandidates",
    f"{READ} | core | nodes",
    "delete get list watch | core | pods",
    "create | core | bindings pods/binding",
    "patch update | core | pods/status",
    f"{READ} | core | replicationcontrollers services",
    f"{READ} | apps extensions | replicasets",
    f"{READ} | apps | statefulsets",
    f"{READ} | policy | poddisruptionbudgets",
    f"{READ} | core | persistentvolumeclaims persistentvolumes",
    TOKEN_REVIEWS,
    ACCESS_REVIEWS,
    f"{READ} | storage.k8s.io | csinodes",
    f"{READ} | core | namespaces",
    f"{READ} | storage.k8s.io | csidrivers",
    f"{READ} | storage.k8s.io | csistoragecapacities",
    f"{READ} | storage.k8s.io | volumeattachments",
)
_CONTROLLER_MANAGER = (
    EVENTS,
    "create | coordination.k8s.io | leases",
    "get update | coordination.k8s.io | leases | kube-controller-manager",
    "create | core | secrets serviceaccounts",
    "delete | core | secrets",
    "get | core | configmaps namespaces secrets serviceaccounts",
    "update | core | secrets serviceaccounts",
    TOKEN_REVIEWS,
    ACCESS_REVIEWS,
    "list watch | * | *",
    "create | core | serviceaccounts/token",
)
_NODE = (
    TOKEN_REVIEWS,
    "create | authorization.k8s.io | localsubjectaccessreviews subjectaccessreviews",
    f"{READ} | core | services",
    "create get list watch | core | nodes",
    "patch update | core | nodes/status",
    "patch update | core | nodes",
    EVENTS,
    f"{READ} | core | pods",
    "create delete | core | pods",
    "patch update | core | pods/status",
    "create | core | pods/eviction",
    f"{READ} | core | configmaps secrets",
    "get | core | persistentvolumeclaims persistentvolumes",
    "get | core | endpoints",
    "create get list watch | certificates.k8s.io | certificatesigningrequests",
    "create delete get patch update | coordination.k8s.io | leases",
    "get | storage.k8s.io | volumeattachments",
    "create get | core | serviceaccounts/token serviceaccounts",
    "get patch update | core | persistentvolumeclaims/status",
    f"{READ} | storage.k8s.io | csidrivers",
    "create delete get patch update | storage.k8s.io | csinodes",
    f"{READ} | node.k8s.io | runtimeclasses",
)
_PROVISIONER = (
    "create delete get list watch | core | persistentvolumes",
    "get list update watch | core | persistentvolumeclaims",
    f"{READ} | storage.k8s.io | storageclasses",
    "watch | core | events",
    EVENTS,
)
_SIGNERS = "system:certificates.k8s.io:"
_HEALTH = "/healthz /livez /readyz"

CLUSTER_ROLES: dict[str, tuple[str, ...]] = {
    "admin": (),
    "cluster-admin": ("* | * | *", "* | /*"),
    "edit": (),
    "system:aggregate-to-admin": (
        "create | authorization.k8s.io | localsubjectaccessreviews",
        f"{ALL_BUT} | rbac.authorization.k8s.io | rolebindings roles",
    ),
    "system:aggregate-to-edit": _EDIT,
    "system:aggregate-to-view": _VIEW,
    "system:auth-delegator": (TOKEN_REVIEWS, ACCESS_REVIEWS),
    "system:basic-user": (
        "create | authorization.k8s.io | selfsubjectaccessreviews selfsubjectrulesreviews",
        "create | authentication.k8s.io | selfsubjectreviews",
    ),
    f"{_SIGNERS}certificatesigningrequests:nodeclient": (
        "create | certificates.k8s.io | certificatesigningrequests/nodeclient",
    ),
    f"{_SIGNERS}certificatesigningrequests:selfnodeclient": (
        "create | certificates.k8s.io | certificatesigningrequests/selfnodeclient",
    ),
    f"{_SIGNERS}kube-apiserver-client-approver": (f"{APPROVER}kube-apiserver-client",),
    f"{_SIGNERS}kube-apiserver-client-kubelet-approver": (f"{APPROVER}kube-apiserver-client-kubelet",),
    f"{_SIGNERS}kubelet-serving-approver": (f"{APPROVER}kubelet-serving",),
    f"{_SIGNERS}legacy-unknown-approver": (f"{APPROVER}legacy-unknown",),
    "system:discovery": (
        "get | /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/",
    ),
    "system:heapster": (
        f"{READ} | core | events namespaces nodes pods",
        f"{READ} | extensions | deployments",
    ),
    "system:kube-aggregator": (f"{READ} | core | endpoints services",),
    "system:kube-controller-manager": _CONTROLLER_MANAGER,
    "system:kube-dns": ("list watch | core | endpoints services",),
    "system:kube-scheduler": _SCHEDULER,
    "system:kubelet-api-admin": (
        f"{READ} | core | nodes",
        "proxy | core | nodes",
        "* | core | nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats",
    ),
    "system:monitoring": (
        "get | /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*",
    ),
    "system:node": _NODE,
    "system:node-bootstrapper": ("create get list watch | certificates.k8s.io | certificatesigningrequests",),
    "system:node-problem-detector": (
        "get | core | nodes",
        "patch | core | nodes/status",
        EVENTS,
    ),
    "system:node-proxier": (
        "list watch | core | endpoints services",
        f"{READ} | core | nodes",
        EVENTS,
        "list watch | discovery.k8s.io | endpointslices",
        "list watch | networking.k8s.io | servicecidrs",
    ),
    # As the recorded cluster has it: whoever is known may look for what is well known.
    "system:openshift:public-info-viewer": ("get | /.well-known /.well-known/*",),
    "system:persistent-volume-provisioner": _PROVISIONER,
    "system:public-info-viewer": (f"get | {_HEALTH} /version /version/",),
    "system:service-account-issuer-discovery": (
        "get | /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks"
        " /openid/v1/jwks/",
    ),
    "system:volume-scheduler": (
        "get list patch update watch | core | persistentvolumes",
        f"{READ} | storage.k8s.io | storageclasses",
        "get list patch update watch | core | persistentvolumeclaims",
    ),
    "view": (),
    # What all controllers need together. The garbage collector and namespaces need nearly everything; the
    # add-on manager, which upstream runs as the administrator, creates whatever a cluster brings along.
    "orrery:controllers": (
        "create delete deletecollection get list patch update watch | * | *",
        "bind escalate | rbac.authorization.k8s.io | clusterroles roles",
        "approve sign | certificates.k8s.io | signers",
        "get | /api /api/* /apis /apis/*",
    ),
    # The Pod network, cluster DNS and the ingress controller are programs of containers in a real cluster.
    "orrery:pod-network": (
        f"{READ} | core | configmaps namespaces pods secrets services",
        f"{READ} | networking.k8s.io | ingressclasses ingresses networkpolicies",
        f"{READ} | discovery.k8s.io | endpointslices",
        "patch update | networking.k8s.io | ingresses/status",
    ),
    "orrery:hollow-nodes": _NODE,
    "system:cloud-controller-manager": (
        EVENTS,
        "get list patch update watch | core | services",
        "patch update | core | services/status",
        f"{READ} | core | nodes",
        f"{READ} | core | pods",
        f"{READ} | discovery.k8s.io | endpointslices",
        "create get list patch update watch | coordination.k8s.io | leases",
    ),
}
# What gathers others, by label; and which roles bear the labels.
AGGREGATES = {name: f"{_AGGREGATE_TO}{name}" for name in ("admin", "edit", "view")}
LABELS = {
    "edit": f"{_AGGREGATE_TO}admin",
    "view": f"{_AGGREGATE_TO}edit",
    **{f"system:aggregate-to-{name}": f"{_AGGREGATE_TO}{name}" for name in ("admin", "edit", "view")},
}
_LEADER = "create get list update watch | coordination.k8s.io | {}"
_LEADING = (_LEADER.format("leases"), _LEADER.format("leasecandidates"))
ROLES: dict[tuple[str, str], tuple[str, ...]] = {
    ("kube-public", "system:controller:bootstrap-signer"): (
        f"{READ} | core | configmaps",
        "update | core | configmaps | cluster-info",
        EVENTS,
    ),
    ("kube-system", "extension-apiserver-authentication-reader"): (
        f"{READ} | core | configmaps | extension-apiserver-authentication",
    ),
    ("kube-system", "system::leader-locking-kube-controller-manager"): _LEADING,
    ("kube-system", "system::leader-locking-kube-scheduler"): _LEADING,
    ("kube-system", "system:controller:bootstrap-signer"): (f"{READ} | core | secrets",),
    ("kube-system", "system:controller:cloud-provider"): ("create get list watch | core | configmaps",),
    ("kube-system", "system:controller:token-cleaner"): (
        "delete get list watch | core | secrets",
        EVENTS,
    ),
}
_MANAGER, _SCHEDULES = "User system:kube-controller-manager", "User system:kube-scheduler"
# Name of the binding (and of its role, but for the last): subjects.
CLUSTER_BINDINGS: dict[str, tuple[str, ...]] = {
    "cluster-admin": ("Group system:masters",),
    "system:basic-user": ("Group system:authenticated",),
    "system:discovery": ("Group system:authenticated",),
    "system:kube-controller-manager": (_MANAGER,),
    "system:kube-dns": ("ServiceAccount kube-system/kube-dns",),
    "system:kube-scheduler": (_SCHEDULES,),
    "system:monitoring": ("Group system:monitoring",),
    "system:node": (),
    "system:node-proxier": ("User system:kube-proxy",),
    "system:openshift:public-info-viewer": ("Group system:authenticated",),
    "system:public-info-viewer": ("Group system:authenticated", "Group system:unauthenticated"),
    "system:service-account-issuer-discovery": ("Group system:serviceaccounts",),
    "system:volume-scheduler": (_SCHEDULES,),
    "orrery:controllers": (_MANAGER,),
    "orrery:hollow-nodes": ("User system:hollow-nodes",),
    "orrery:pod-network": ("User system:kube-proxy",),
    "system:cloud-controller-manager": ("User system:cloud-controller-manager",),
}
# Namespace, name of the binding: role, subjects.
BINDINGS: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("kube-public", "system:controller:bootstrap-signer"): (
        "system:controller:bootstrap-signer",
        ("ServiceAccount kube-system/bootstrap-signer",),
    ),
    ("kube-system", "system::extension-apiserver-authentication-reader"): (
        "extension-apiserver-authentication-reader",
        (_MANAGER, _SCHEDULES),
    ),
    ("kube-system", "system::leader-locking-kube-controller-manager"): (
        "system::leader-locking-kube-controller-manager",
        (_MANAGER, "ServiceAccount kube-system/kube-controller-manager"),
    ),
    ("kube-system", "system::leader-locking-kube-scheduler"): (
        "system::leader-locking-kube-scheduler",
        (_SCHEDULES, "ServiceAccount kube-system/kube-scheduler"),
    ),
    **{
        ("kube-system", f"system:controller:{name}"): (
            f"system:controller:{name}",
            (f"ServiceAccount kube-system/{name}",),
        )
        for name in ("bootstrap-signer", "cloud-provider", "token-cleaner")
    },
}


@cache
def rules_of(name: str) -> tuple[Json, ...]:
    """The rules of a default ClusterRole."""
    return tuple(rule(line) for line in CLUSTER_ROLES[name])


def rule(line: str) -> Json:
    verbs, *rest = (part.split() for part in line.split("|"))
    if rest[0][0].startswith("/"):
        urls = ["*"] if rest[0] == ["/*"] else rest[0]
        return {"nonResourceURLs": urls, "verbs": verbs}
    groups = ["" if group == "core" else group for group in rest[0]]
    found = {"apiGroups": groups, "resources": rest[1], "verbs": verbs}
    return {**found, "resourceNames": rest[2]} if len(rest) > 2 else found
