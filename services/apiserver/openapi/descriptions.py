"""What `explain` says of the types and fields met most often, in our own words. Pure."""

from __future__ import annotations

_EVERYWHERE = {
    "apiVersion": "The group and version whose schema this object follows.",
    "kind": "The kind of the object, in CamelCase. Never changes.",
    "metadata": "What every object has: name, namespace, labels, owners.",
    "spec": "What is wanted.",
    "status": "What was last observed. Written by the system.",
    "items": "The objects of the list.",
}
_OF = {
    "core.v1.Pod": "Containers that run together on one node and share its network and volumes.",
    "core.v1.Service": "A stable name and address in front of the Pods that its selector finds.",
    "core.v1.ConfigMap": "Settings that Pods read as environment variables or files.",
    "core.v1.Secret": "Like a ConfigMap, for what few should see; values are base64.",
    "core.v1.Namespace": "A scope for names; deleted together with all that is in it.",
    "core.v1.Node": "A machine that runs Pods.",
    "core.v1.PodSpec": "How a Pod is to run.",
    "core.v1.PodSpec.containers": "The containers; at least one, and none can be added later.",
    "core.v1.PodSpec.initContainers": "Containers that run to their end, one by one, before the others.",
    "core.v1.PodSpec.nodeName": "The node the Pod is bound to. The scheduler fills it in.",
    "core.v1.PodSpec.restartPolicy": "Whether containers that end are started again.",
    "core.v1.PodSpec.volumes": "What containers can mount.",
    "core.v1.Container": "One container of a Pod.",
    "core.v1.Container.name": "Unique within the Pod, and a DNS label.",
    "core.v1.Container.image": "The image to run.",
    "core.v1.Container.command": "Runs instead of the image's entrypoint.",
    "core.v1.Container.args": "Arguments; they replace those of the image.",
    "core.v1.Container.ports": "Ports the container listens on, for those who read the Pod.",
    "core.v1.Container.resources": "What the container is given and what it may use at most.",
    "apps.v1.Deployment": "Keeps equal Pods running and replaces them step by step when they change.",
    "apps.v1.DeploymentSpec.replicas": "How many Pods are wanted. 1 when nothing is said.",
    "apps.v1.DeploymentSpec.selector": "Which Pods are its own. They match the template's labels. Fixed.",
    "apps.v1.DeploymentSpec.template": "The Pods to make.",
    "apps.v1.DeploymentSpec.strategy": "How old Pods give way to new ones.",
    "apps.v1.ReplicaSet": "Keeps a number of equal Pods running.",
    "meta.v1.ObjectMeta.name": "Unique within the namespace and kind. Never changes.",
    "meta.v1.ObjectMeta.namespace": "Where the name is unique; empty for objects of the whole cluster.",
    "meta.v1.ObjectMeta.labels": "Names and values by which objects are selected.",
    "meta.v1.ObjectMeta.annotations": "Names and values that nothing selects by.",
}


def description_of(owner: str, field: str = "") -> str:
    """Of the type `core.v1.Pod`, or of one of its fields. Empty for most."""
    if not field:
        return _OF.get(owner, "")
    return _OF.get(f"{owner}.{field}") or _EVERYWHERE.get(field, "")
