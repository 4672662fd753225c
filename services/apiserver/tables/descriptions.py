"""What each column of a Table means, in the words of upstream's API reference.

Clients compare column definitions whole, so these are data: keyed by kind and column name. Where
no row of `columns` asks for one, it does not belong here.
"""

DESCRIPTIONS: dict[str, str] = {
    "name": (
        "Name must be unique within a namespace. Is required when creating resources, although some "
        "resources may allow a client to request the generation of an appropriate name automatically. "
        "Name is primarily intended for creation idempotence and configuration definition. Cannot be "
        "updated. More info: "
        "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
    ),
    "age": (
        "CreationTimestamp is a timestamp representing the server time when this object was created. It "
        "is not guaranteed to be set in happens-before order across separate operations. Clients may not "
        "set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. "
        "Read-only. Null for lists. More info: "
        "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
    ),
    "containers": "Names of each container in the template.",
    "images": "Images referenced by each container in the template.",
    "pod.Ready": "The aggregate readiness state of this pod for accepting traffic.",
    "pod.Status": "The aggregate status of the containers in this pod.",
    "pod.Restarts": (
        "The number of times the containers in this pod have been restarted and when the last container "
        "in this pod has restarted."
    ),
    "pod.IP": (
        "podIP address allocated to the pod. Routable at least within the cluster. Empty if not yet "
        "allocated."
    ),
    "pod.Node": (
        "NodeName indicates in which node this pod is scheduled. If empty, this pod is a candidate for "
        "scheduling by the scheduler defined in schedulerName. Once this field is set, the kubelet for "
        "this node becomes responsible for the lifecycle of this pod. This field should not be used to "
        "express a desire for the pod to be scheduled on a specific node. "
        "https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename"
    ),
    "pod.Nominated Node": (
        "nominatedNodeName is set only when this pod preempts other pods on the node, but it cannot be "
        "scheduled right away as preemption victims receive their graceful termination periods. This "
        "field does not guarantee that the pod will be scheduled on this node. Scheduler may decide to "
        "place the pod elsewhere if other nodes become available sooner. Scheduler may also decide to "
        "give the resources on this node to a higher priority pod that is created after preemption. As a "
        "result, this field may be different than PodSpec.nodeName when the pod is scheduled."
    ),
    "pod.Readiness Gates": (
        "If specified, all readiness gates will be evaluated for pod readiness. A pod is ready when all "
        "its containers are ready AND all conditions specified in the readiness gates have status equal "
        'to "True" More info: https://git.k8s.io/enhancements/keps/sig-network/580-pod-readiness-gates'
    ),
    "deployment.Ready": "Number of the pod with ready state",
    "deployment.Up-to-date": (
        "Total number of non-terminating pods targeted by this deployment that have the desired template "
        "spec."
    ),
    "deployment.Available": (
        "Total number of available non-terminating pods (ready for at least minReadySeconds) targeted by "
        "this deployment."
    ),
    "deployment.Selector": (
        "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones "
        "affected by this deployment. It must match the pod template's labels."
    ),
    "replicationcontroller.Desired": (
        "Replicas is the number of desired replicas. This is a pointer to distinguish between explicit "
        "zero and unspecified. Defaults to 1. More info: "
        "https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller#what-is-a-replicationcontroller"
    ),
    "replicationcontroller.Current": (
        "Replicas is the most recently observed number of replicas. More info: "
        "https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller#what-is-a-replicationcontroller"
    ),
    "replicationcontroller.Ready": "The number of ready replicas for this replication controller.",
    "replicationcontroller.Selector": (
        "Selector is a label query over pods that should match the Replicas count. If Selector is empty, "
        "it is defaulted to the labels present on the Pod template. Label keys and values that must "
        "match in order to be controlled by this replication controller, if empty defaulted to labels on "
        "Pod template. More info: "
        "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"
    ),
    "replicaset.Desired": (
        "Replicas is the number of desired pods. This is a pointer to distinguish between explicit zero "
        "and unspecified. Defaults to 1. More info: "
        "https://kubernetes.io/docs/concepts/workloads/controllers/replicaset"
    ),
    "replicaset.Current": (
        "Replicas is the most recently observed number of non-terminating pods. More info: "
        "https://kubernetes.io/docs/concepts/workloads/controllers/replicaset"
    ),
    "replicaset.Ready": (
        "The number of non-terminating pods targeted by this ReplicaSet with a Ready Condition."
    ),
    "replicaset.Selector": (
        "Selector is a label query over pods that should match the replica count. Label keys and values "
        "that must match in order to be controlled by this replica set. It must match the pod template's "
        "labels. More info: "
        "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"
    ),
    "service.Type": (
        "type determines how the Service is exposed. Defaults to ClusterIP. Valid options are "
        'ExternalName, ClusterIP, NodePort, and LoadBalancer. "ClusterIP" allocates a cluster-internal '
        "IP address for load-balancing to endpoints. Endpoints are determined by the selector or if that "
        "is not specified, by manual construction of an Endpoints object or EndpointSlice objects. If "
        'clusterIP is "None", no virtual IP is allocated and the endpoints are published as a set of '
        'endpoints rather than a virtual IP. "NodePort" builds on ClusterIP and allocates a port on '
        'every node which routes to the same endpoints as the clusterIP. "LoadBalancer" builds on '
        "NodePort and creates an external load-balancer (if supported in the current cloud) which routes "
        'to the same endpoints as the clusterIP. "ExternalName" aliases this service to the specified '
        "externalName. Several other fields do not apply to ExternalName services. More info: "
        "https://kubernetes.io/docs/concepts/services-networking/service/#publishing-services-service-types"
    ),
    "service.Cluster-IP": (
        "clusterIP is the IP address of the service and is usually assigned randomly. If an address is "
        "specified manually, is in-range (as per system configuration), and is not in use, it will be "
        "allocated to the service; otherwise creation of the service will fail. This field may not be "
        "changed through updates unless the type field is also being changed to ExternalName (which "
        "requires this field to be blank) or the type field is being changed from ExternalName (in which "
        'case this field may optionally be specified, as describe above).  Valid values are "None", '
        'empty string (""), or a valid IP address. Setting this to "None" makes a "headless '
        'service" (no virtual IP), which is useful when direct endpoint connections are preferred and '
        "proxying is not required.  Only applies to types ClusterIP, NodePort, and LoadBalancer. If this "
        "field is specified when creating a Service of type ExternalName, creation will fail. This field "
        "will be wiped when updating a Service to type ExternalName. More info: "
        "https://kubernetes.io/docs/concepts/services-networking/service/#virtual-ips-and-service-proxies"
    ),
    "service.External-IP": (
        "externalIPs is a list of IP addresses for which nodes in the cluster will also accept traffic "
        "for this service.  These IPs are not managed by Kubernetes. The user is responsible for "
        "ensuring that traffic arrives at a node with this IP.  A common example is external "
        "load-balancers that are not part of the Kubernetes system."
    ),
    "service.Port(s)": (
        "The list of ports that are exposed by this service. More info: "
        "https://kubernetes.io/docs/concepts/services-networking/service/#virtual-ips-and-service-proxies"
    ),
    "service.Selector": (
        "Route service traffic to pods with label keys and values matching this selector. If empty or "
        "not present, the service is assumed to have an external process managing its endpoints, which "
        "Kubernetes will not modify. Only applies to types ClusterIP, NodePort, and LoadBalancer. "
        "Ignored if type is ExternalName. More info: "
        "https://kubernetes.io/docs/concepts/services-networking/service/"
    ),
    "serviceaccount.Secrets": (
        "Secrets is a list of the secrets in the same namespace that pods running using this "
        "ServiceAccount are allowed to use. Pods are only limited to this list if this service account "
        'has a "kubernetes.io/enforce-mountable-secrets" annotation set to "true". The '
        '"kubernetes.io/enforce-mountable-secrets" annotation is deprecated since v1.32. Prefer '
        "separate namespaces to isolate access to mounted secrets. This field should not be used to find "
        "auto-generated service account token secrets for use outside of pods. Instead, tokens can be "
        "requested directly using the TokenRequest API, or service account token secrets can be manually "
        "created. More info: https://kubernetes.io/docs/concepts/configuration/secret"
    ),
    "endpoints.Endpoints": (
        "The set of all endpoints is the union of all subsets. Addresses are placed into subsets "
        "according to the IPs they share. A single address with multiple ports, some of which are ready "
        "and some of which are not (because they come from different containers) will result in the "
        "address being displayed in different subsets for the different ports. No address will appear in "
        "both Addresses and NotReadyAddresses in the same subset. Sets of addresses and ports that "
        "comprise a service."
    ),
    "node.Status": "The status of the node",
    "node.Roles": "The roles of the node",
    "node.Version": "Kubelet Version reported by the node.",
    "node.OS-Image": (
        "OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy))."
    ),
    "node.Kernel-Version": (
        "Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64)."
    ),
    "node.Container-Runtime": (
        "ContainerRuntime Version reported by the node through runtime remote API (e.g. containerd://1.4.2)."
    ),
    "event.Last Seen": "The time at which the most recent occurrence of this event was recorded.",
    "event.Type": "Type of this event (Normal, Warning), new types could be added in the future",
    "event.Reason": (
        "This should be a short, machine understandable string that gives the reason for the transition "
        "into the object's current status."
    ),
    "event.Object": "The object that this event is about.",
    "event.Subobject": (
        "If referring to a piece of an object instead of an entire object, this string should contain a "
        "valid JSON/Go field access statement, such as desiredState.manifest.containers[2]. For example, "
        "if the object reference is to a container within a pod, this would take on a value like: "
        '"spec.containers{name}" (where "name" refers to the name of the container that triggered '
        'the event) or if no container name is specified "spec.containers[2]" (container with index 2 '
        "in this pod). This syntax is chosen only to have some well-defined way of referencing a part of "
        "an object."
    ),
    "event.Source": "The component reporting this event. Should be a short machine understandable string.",
    "event.Message": "A human-readable description of the status of this operation.",
    "event.First Seen": (
        "The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)"
    ),
    "event.Count": "The number of times this event has occurred.",
    "secret.Type": (
        "Used to facilitate programmatic handling of secret data. More info: "
        "https://kubernetes.io/docs/concepts/configuration/secret/#secret-types"
    ),
    "secret.Data": (
        "Data contains the secret data. Each key must consist of alphanumeric characters, '-', '_' or "
        "'.'. The serialized form of the secret data is a base64 encoded string, representing the "
        "arbitrary (possibly non-string) data value here. Described in "
        "https://tools.ietf.org/html/rfc4648#section-4"
    ),
    "configmap.Data": (
        "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', "
        "'_' or '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored "
        "in Data must not overlap with the keys in the BinaryData field, this is enforced during "
        "validation process."
    ),
    "lease.Holder": (
        "holderIdentity contains the identity of the holder of a current lease. If Coordinated Leader "
        "Election is used, the holder identity must be equal to the elected LeaseCandidate.metadata.name "
        "field."
    ),
    "controllerrevision.Controller": "Controller of the object",
    "controllerrevision.Revision": "Revision indicates the revision of the state represented by Data.",
    "scale.Desired": "replicas is the desired number of instances for the scaled object.",
    "scale.Available": "replicas is the actual number of observed instances of the scaled object.",
    "namespace.Status": "The status of the namespace",
    "node.addresses": (
        "List of addresses reachable to the node. Queried from cloud provider, if available. More info: "
        "https://kubernetes.io/docs/reference/node/node-status/#addresses Note: This field is declared "
        "as mergeable, but the merge key is not sufficiently unique, which can cause data corruption "
        "when it is merged. Callers should instead use a full-replacement patch. See "
        "https://pr.k8s.io/79391 for an example. Consumers should assume that addresses can change "
        "during the lifetime of a Node. However, there are some exceptions where this may not be "
        "possible, such as Pods that inherit a Node's address in its own status or consumers of the "
        "downward API (status.hostIP)."
    ),
    "persistentvolume.Capacity": (
        "capacity is the description of the persistent volume's resources and capacity. More info: "
        "https://kubernetes.io/docs/concepts/storage/persistent-volumes#capacity"
    ),
    "persistentvolume.Access Modes": (
        "accessModes contains all ways the volume can be mounted. More info: "
        "https://kubernetes.io/docs/concepts/storage/persistent-volumes#access-modes"
    ),
    "persistentvolume.Reclaim Policy": (
        "persistentVolumeReclaimPolicy defines what happens to a persistent volume when released from its"
        " claim. Valid options are Retain (default for manually created PersistentVolumes), Delete "
        "(default for dynamically provisioned PersistentVolumes), and Recycle (deprecated). Recycle must "
        "be supported by the volume plugin underlying this PersistentVolume. More info: "
        "https://kubernetes.io/docs/concepts/storage/persistent-volumes#reclaiming"
    ),
    "persistentvolume.Status": (
        "phase indicates if a volume is available, bound to a claim, or released by a claim. More info: "
        "https://kubernetes.io/docs/concepts/storage/persistent-volumes#phase"
    ),
    "persistentvolume.Claim": (
        "claimRef is part of a bi-directional binding between PersistentVolume and PersistentVolumeClaim."
        " Expected to be non-nil when bound. claim.VolumeName is the authoritative bind between PV and "
        "PVC. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#binding"
    ),
    "persistentvolume.StorageClass": "StorageClass of the pv",
    "persistentvolume.VolumeAttributesClass": "VolumeAttributesClass of the pv",
    "persistentvolume.Reason": (
        "reason is a brief CamelCase string that describes any failure and is meant for machine parsing "
        "and tidy display in the CLI."
    ),
    "persistentvolume.VolumeMode": (
        "volumeMode defines if a volume is intended to be used with a formatted filesystem or to remain "
        "in raw block state. Value of Filesystem is implied when not included in spec."
    ),
    "persistentvolumeclaim.Status": "phase represents the current phase of PersistentVolumeClaim.",
    "persistentvolumeclaim.Volume": (
        "volumeName is the binding reference to the PersistentVolume backing this claim."
    ),
    "persistentvolumeclaim.Capacity": "capacity represents the actual resources of the underlying volume.",
    "persistentvolumeclaim.Access Modes": (
        "accessModes contains the actual access modes the volume backing the PVC has. More info: "
        "https://kubernetes.io/docs/concepts/storage/persistent-volumes#access-modes-1"
    ),
    "persistentvolumeclaim.StorageClass": "StorageClass of the pvc",
    "persistentvolumeclaim.VolumeAttributesClass": "VolumeAttributesClass of the pvc",
    "persistentvolumeclaim.VolumeMode": (
        "volumeMode defines what type of volume is required by the claim. Value of Filesystem is implied "
        "when not included in claim spec."
    ),
    "runtimeclass.Handler": (
        "handler specifies the underlying runtime and configuration that the CRI implementation will use"
        " to handle pods of this class. The possible values are specific to the node & CRI configuration."
        "  It is assumed that all handlers are available on every node, and handlers of the same name are"
        ' equivalent on every node. For example, a handler called "runc" might specify that the runc OCI'
        " runtime (using native Linux containers) will be used to run the containers in a pod. The Handler"
        " must be lowercase, conform to the DNS Label (RFC 1123) requirements, and is immutable."
    ),
    "volumeattributesclass.DriverName": ("Name of the CSI driver This field is immutable."),
    "storageclass.Provisioner": "provisioner indicates the type of the provisioner.",
    "storageclass.ReclaimPolicy": (
        "reclaimPolicy controls the reclaimPolicy for dynamically provisioned PersistentVolumes of this "
        "storage class. Defaults to Delete."
    ),
    "storageclass.VolumeBindingMode": (
        "volumeBindingMode indicates how PersistentVolumeClaims should be provisioned and bound.  When "
        "unset, VolumeBindingImmediate is used. This field is only honored by servers that enable the "
        "VolumeScheduling feature."
    ),
    "storageclass.AllowVolumeExpansion": (
        "allowVolumeExpansion shows whether the storage class allow volume expand."
    ),
    "csidriver.AttachRequired": (
        "attachRequired indicates this CSI volume driver requires an attach operation (because it "
        "implements the CSI ControllerPublishVolume() method), and that the Kubernetes attach detach "
        "controller should call the attach volume interface which checks the volumeattachment status "
        "and waits until the volume is attached before proceeding to mounting. The CSI "
        "external-attacher coordinates with CSI volume driver and updates the volumeattachment status "
        "when the attach operation is complete. If the value is specified to false, the attach "
        "operation will be skipped. Otherwise the attach operation will be called.\n\nThis field is "
        "immutable."
    ),
    "csidriver.PodInfoOnMount": (
        "podInfoOnMount indicates this CSI volume driver requires additional pod information (like "
        "podName, podUID, etc.) during mount operations, if set to true. If set to false, pod "
        "information will not be passed on mount. Default is false.\n\nThe CSI driver specifies "
        "podInfoOnMount as part of driver deployment. If true, Kubelet will pass pod information as "
        "VolumeContext in the CSI NodePublishVolume() calls. The CSI driver is responsible for parsing "
        "and validating the information passed in as VolumeContext.\n\nThe following VolumeContext "
        "will be passed if podInfoOnMount is set to true. This list might grow, but the prefix will be "
        'used. "csi.storage.k8s.io/pod.name": pod.Name "csi.storage.k8s.io/pod.namespace": '
        'pod.Namespace "csi.storage.k8s.io/pod.uid": string(pod.UID) '
        '"csi.storage.k8s.io/ephemeral": "true" if the volume is an ephemeral inline '
        'volume\n                                defined by a CSIVolumeSource, otherwise "false"\n\n'
        '"csi.storage.k8s.io/ephemeral" is a new feature in Kubernetes 1.16. It is only required for '
        'drivers which support both the "Persistent" and "Ephemeral" VolumeLifecycleMode. Other '
        "drivers can leave pod info disabled and/or ignore this field. As Kubernetes 1.15 doesn't "
        "support this field, drivers can only support one mode when deployed on such a cluster and the "
        "deployment determines which mode that is, for example via a command line parameter of the "
        "driver.\n\nThis field was immutable in Kubernetes < 1.29 and now is mutable."
    ),
    "csidriver.StorageCapacity": (
        "storageCapacity indicates that the CSI volume driver wants pod scheduling to consider the "
        "storage capacity that the driver deployment will report by creating CSIStorageCapacity "
        "objects with capacity information, if set to true.\n\nThe check can be enabled immediately "
        "when deploying a driver. In that case, provisioning new volumes with late binding will pause "
        "until the driver deployment has published some suitable CSIStorageCapacity object.\n\n"
        "Alternatively, the driver can be deployed with the field unset or false and it can be flipped "
        "later when storage capacity information has been published.\n\nThis field was immutable in "
        "Kubernetes <= 1.22 and now is mutable."
    ),
    "csidriver.TokenRequests": (
        "tokenRequests indicates the CSI driver needs pods' service account tokens it is mounting "
        "volume for to do necessary authentication. Kubelet will pass the tokens in VolumeContext in "
        "the CSI NodePublishVolume calls. The CSI driver should parse and validate the following "
        'VolumeContext: "csi.storage.k8s.io/serviceAccount.tokens": {\n  "<audience>": {\n    '
        '"token": <token>,\n    "expirationTimestamp": <expiration timestamp in RFC3339>,\n  },\n  '
        "...\n}\n\nNote: Audience in each TokenRequest should be different and at most one token is "
        "empty string. To receive a new token after expiry, RequiresRepublish can be used to trigger "
        "NodePublishVolume periodically."
    ),
    "csidriver.RequiresRepublish": (
        "requiresRepublish indicates the CSI driver wants `NodePublishVolume` being periodically "
        "called to reflect any possible change in the mounted volume. This field defaults to false.\n\n"
        "Note: After a successful initial NodePublishVolume call, subsequent calls to "
        "NodePublishVolume should only update the contents of the volume. New mount points will not be "
        "seen by a running container."
    ),
    "csidriver.Modes": (
        "volumeLifecycleModes defines what kind of volumes this CSI volume driver supports. The "
        'default if the list is empty is "Persistent", which is the usage defined by the CSI '
        "specification and implemented in Kubernetes via the usual PV/PVC mechanism.\n\nThe other mode "
        'is "Ephemeral". In this mode, volumes are defined inline inside the pod spec with '
        "CSIVolumeSource and their lifecycle is tied to the lifecycle of that pod. A driver has to be "
        "aware of this because it is only going to get a NodePublishVolume call for such a volume.\n\n"
        "For more information about implementing this mode, see "
        "https://kubernetes-csi.github.io/docs/ephemeral-local-volumes.html A driver can support one "
        "or more of these modes and more modes may be added in the future.\n\nThis field is beta. This "
        "field is immutable."
    ),
    "csinode.Drivers": "Drivers indicates the number of CSI drivers registered on the node",
    "volumeattachment.Attacher": (
        "attacher indicates the name of the volume driver that MUST handle this request. This is the "
        "name returned by GetPluginName()."
    ),
    "volumeattachment.PV": "persistentVolumeName represents the name of the persistent volume to attach.",
    "volumeattachment.Node": "nodeName represents the node that the volume should be attached to.",
    "volumeattachment.Attached": (
        "attached indicates the volume is successfully attached. This field must only be set by the "
        "entity completing the attach operation, i.e. the external-attacher."
    ),
}
