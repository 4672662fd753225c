"""What each controller may do, by upstream's names: ClusterRoles `system:controller:…`, as lines of rules.

Each is bound to the ServiceAccount of that name in kube-system, for whoever runs such a controller by itself.
Our controller-manager is one user, `system:kube-controller-manager`, as upstream's is without
`--use-service-account-credentials`: what it needs in all stands in `default_roles`. Data only. Upstream:
`bootstrappolicy/controller_policy.go`.
"""

from __future__ import annotations

READ = "get list watch"
EVENTS = "create patch update | core events.k8s.io | events"
_SIGNERS = (
    "kubernetes.io/legacy-unknown kubernetes.io/kube-apiserver-client"
    " kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving"
)
_WORKLOAD = "create delete get list patch update watch"

CONTROLLER_ROLES: dict[str, tuple[str, ...]] = {
    "attachdetach-controller": (
        "list watch | core | persistentvolumeclaims persistentvolumes",
        f"{READ} | core | nodes",
        "patch update | core | nodes/status",
        "list watch | core | pods",
        EVENTS,
        "create delete get list watch | storage.k8s.io | volumeattachments",
        f"{READ} | storage.k8s.io | csidrivers",
        f"{READ} | storage.k8s.io | csinodes",
    ),
    "certificate-controller": (
        "delete get list watch | certificates.k8s.io | certificatesigningrequests",
        "update | certificates.k8s.io | certificatesigningrequests/approval"
        " certificatesigningrequests/status",
        "approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet",
        f"sign | certificates.k8s.io | signers | {_SIGNERS}",
        "create | authorization.k8s.io | subjectaccessreviews",
        EVENTS,
    ),
    "clusterrole-aggregation-controller": (
        "escalate get list patch update watch | rbac.authorization.k8s.io | clusterroles",
    ),
    "cronjob-controller": (
        "get list update watch | batch | cronjobs",
        f"{_WORKLOAD} | batch | jobs",
        "update | batch | cronjobs/status",
        "update | batch | cronjobs/finalizers",
        "delete list watch | core | pods",
        EVENTS,
    ),
    "daemon-set-controller": (
        f"{READ} | apps extensions | daemonsets",
        "update | apps extensions | daemonsets/status",
        "update | apps extensions | daemonsets/finalizers",
        "list watch | core | nodes",
        "create delete list patch watch | core | pods",
        "create | core | pods/binding",
        f"{_WORKLOAD} | apps | controllerrevisions",
        EVENTS,
    ),
    "deployment-controller": (
        "get list update watch | apps extensions | deployments",
        "update | apps extensions | deployments/status",
        "update | apps extensions | deployments/finalizers",
        f"{_WORKLOAD} | apps extensions | replicasets",
        "get list update watch | core | pods",
        EVENTS,
    ),
    "disruption-controller": (
        f"{READ} | apps extensions | deployments",
        f"{READ} | apps extensions | replicasets",
        f"{READ} | core | replicationcontrollers",
        f"{READ} | policy | poddisruptionbudgets",
        f"{READ} | apps | statefulsets",
        "update | policy | poddisruptionbudgets/status",
        "patch update | core | pods/status",
        "get | * | */scale",
        EVENTS,
    ),
    "endpoint-controller": (
        f"{READ} | core | pods services",
        "create delete get list update watch | core | endpoints",
        "create | core | endpoints/restricted",
        EVENTS,
    ),
    "endpointslice-controller": (
        f"{READ} | core | nodes pods services",
        "update | core | services/finalizers",
        "create delete get list update watch | discovery.k8s.io | endpointslices",
        EVENTS,
    ),
    "endpointslicemirroring-controller": (
        f"{READ} | core | endpoints services",
        "update | core | services/finalizers",
        "update | core | endpoints/finalizers",
        "create delete get list update watch | discovery.k8s.io | endpointslices",
        EVENTS,
    ),
    "ephemeral-volume-controller": (
        f"{READ} | core | pods",
        "update | core | pods/finalizers",
        "create get list watch | core | persistentvolumeclaims",
        EVENTS,
    ),
    "expand-controller": (
        "get list patch update watch | core | persistentvolumes",
        "patch update | core | persistentvolumeclaims/status",
        f"{READ} | core | persistentvolumeclaims",
        EVENTS,
        "get | core | services",
    ),
    "generic-garbage-collector": (
        "delete get list patch update watch | * | *",
        EVENTS,
    ),
    "horizontal-pod-autoscaler": (
        f"{READ} | autoscaling | horizontalpodautoscalers",
        "update | autoscaling | horizontalpodautoscalers/status",
        "get update | * | */scale",
        "list watch | core | pods",
        "list watch | metrics.k8s.io | pods",
        f"{READ} | custom.metrics.k8s.io | *",
        f"{READ} | external.metrics.k8s.io | *",
        EVENTS,
    ),
    "job-controller": (
        "get list patch update watch | batch | jobs",
        "update | batch | jobs/status",
        "update | batch | jobs/finalizers",
        "create delete list patch watch | core | pods",
        EVENTS,
    ),
    "legacy-service-account-token-cleaner": (
        "get | core | configmaps | kube-apiserver-legacy-service-account-token-tracking",
        "delete patch | core | secrets",
    ),
    "namespace-controller": (
        "delete get list watch | core | namespaces",
        "update | core | namespaces/finalize namespaces/status",
        "delete deletecollection get list watch | * | *",
    ),
    "node-controller": (
        "delete get list patch update watch | core | nodes",
        "patch update | core | nodes/status",
        "patch update | core | pods/status",
        "delete get list watch | core | pods",
        EVENTS,
    ),
    "persistent-volume-binder": (
        "create delete get list update watch | core | persistentvolumes",
        "update | core | persistentvolumes/status",
        "get list update watch | core | persistentvolumeclaims",
        "update | core | persistentvolumeclaims/status",
        "create delete get list watch | core | pods",
        f"{READ} | storage.k8s.io | storageclasses",
        "list watch | core | nodes",
        EVENTS,
        "watch | core | events",
        "get | core | services",
    ),
    "pod-garbage-collector": (
        "delete list watch | core | pods",
        f"{READ} | core | nodes",
        "patch | core | pods/status",
    ),
    "pv-protection-controller": (
        "get list update watch | core | persistentvolumes",
        EVENTS,
    ),
    "pvc-protection-controller": (
        "get list update watch | core | persistentvolumeclaims",
        f"{READ} | core | pods",
        EVENTS,
    ),
    "replicaset-controller": (
        "get list update watch | apps extensions | replicasets",
        "update | apps extensions | replicasets/status",
        "update | apps extensions | replicasets/finalizers",
        "create delete list patch watch | core | pods",
        EVENTS,
    ),
    "replication-controller": (
        "get list update watch | core | replicationcontrollers",
        "update | core | replicationcontrollers/status",
        "update | core | replicationcontrollers/finalizers",
        "create delete list patch watch | core | pods",
        EVENTS,
    ),
    "resource-claim-controller": (
        f"{READ} | core | pods",
        "update | core | pods/finalizers",
        "create delete get list watch | resource.k8s.io | resourceclaims",
        "patch update | resource.k8s.io | resourceclaims resourceclaims/status",
        "patch update | core | pods/status",
        EVENTS,
    ),
    "resourcequota-controller": (
        "list watch | * | *",
        "update | core | resourcequotas/status",
        EVENTS,
    ),
    "root-ca-cert-publisher": (
        "create update | core | configmaps",
        EVENTS,
    ),
    "route-controller": (
        "list watch | core | nodes",
        "patch | core | nodes/status",
        EVENTS,
    ),
    "selinux-warning-controller": (
        EVENTS,
        f"{READ} | core | persistentvolumes",
        f"{READ} | core | persistentvolumeclaims",
        f"{READ} | core | pods",
        f"{READ} | storage.k8s.io | csidrivers",
    ),
    "service-account-controller": (
        "create | core | serviceaccounts",
        EVENTS,
    ),
    "service-cidrs-controller": (
        "get list patch update watch | networking.k8s.io | servicecidrs",
        "patch update | networking.k8s.io | servicecidrs/finalizers",
        "patch update | networking.k8s.io | servicecidrs/status",
        f"{READ} | networking.k8s.io | ipaddresses",
        EVENTS,
    ),
    "service-controller": (
        f"{READ} | core | services",
        "patch update | core | services/status",
        "list watch | core | nodes",
        EVENTS,
    ),
    "statefulset-controller": (
        "list watch | core | pods",
        f"{READ} | apps | statefulsets",
        "update | apps | statefulsets/status",
        "update | apps | statefulsets/finalizers",
        "create delete get patch update | core | pods",
        f"{_WORKLOAD} | apps | controllerrevisions",
        "create get list watch | core | persistentvolumeclaims",
        "delete update | core | persistentvolumeclaims",
        "update | core | pods/finalizers",
        EVENTS,
    ),
    "ttl-after-finished-controller": (
        "delete get list watch | batch | jobs",
        EVENTS,
    ),
    "ttl-controller": (
        "list patch update watch | core | nodes",
        EVENTS,
    ),
    "validatingadmissionpolicy-status-controller": (
        f"{READ} | admissionregistration.k8s.io | validatingadmissionpolicies",
        "get patch update | admissionregistration.k8s.io | validatingadmissionpolicies/status",
        EVENTS,
    ),
}
