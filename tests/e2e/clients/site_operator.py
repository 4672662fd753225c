"""An operator as people write them: for each Site a Deployment and a ConfigMap, whose state the Site shows.

Run by kopf in a process of its own; it knows nothing of where its cluster comes from.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import kopf
from kubernetes import client, config

Json = dict[str, Any]


@kopf.on.startup()
def connect(settings: kopf.OperatorSettings, **_: Any) -> None:
    config.load_kube_config()
    settings.persistence.finalizer = "orrery.example/site"


def children(name: str, spec: Any) -> tuple[Json, Json]:
    labels = {"site": name}
    containers = [{"name": "web", "image": spec["image"]}]
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": spec["replicas"],
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels},
        "data": {"image": spec["image"]},
    }
    return deployment, settings


@kopf.on.create("orrery.example", "v1", "sites")
def create(name: str, namespace: str, spec: Any, body: Any, patch: kopf.Patch, **_: Any) -> Json:
    deployment, settings = children(name, spec)
    kopf.adopt([deployment, settings])
    client.AppsV1Api().create_namespaced_deployment(namespace, deployment)
    client.CoreV1Api().create_namespaced_config_map(namespace, settings)
    patch.status["phase"] = "Created"
    kopf.event(body, type="Normal", reason="Building", message="The site is being built")
    return {"image": spec["image"]}


@kopf.on.update("orrery.example", "v1", "sites", field="spec.replicas")
def scale(name: str, namespace: str, new: int, patch: kopf.Patch, **_: Any) -> None:
    client.AppsV1Api().patch_namespaced_deployment_scale(name, namespace, {"spec": {"replicas": new}})
    patch.status["phase"] = f"Scaled to {new}"


@kopf.on.event("apps", "v1", "deployments", labels={"site": kopf.PRESENT})
def observe(name: str, namespace: str, status: Any, type: str, **_: Any) -> None:
    if type == "DELETED":
        return
    body = {"status": {"ready": status.get("readyReplicas", 0)}}
    try:
        client.CustomObjectsApi().patch_namespaced_custom_object_status(
            "orrery.example", "v1", namespace, "sites", name, body
        )
    except client.ApiException as error:
        if error.status != 404:
            raise


@kopf.on.delete("orrery.example", "v1", "sites")
def delete(name: str, namespace: str, logger: Any, **_: Any) -> None:
    """What has no owner is cleaned up by hand, and the finalizer waits for that."""
    last_words = {"metadata": {"name": f"{name}-last-words"}, "data": {"site": name}}
    client.CoreV1Api().create_namespaced_config_map(namespace, last_words)
    logger.info("The site is gone")
