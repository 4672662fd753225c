"""A controller to be tested: it gives every ConfigMap that asks for it (`wanted: owner`) a label."""

from __future__ import annotations

import sys

from kubernetes import client, config, watch


def reconcile(core: client.CoreV1Api, found: client.V1ConfigMap) -> None:
    wanted = (found.metadata.annotations or {}).get("wanted")
    if wanted and (found.metadata.labels or {}).get("owner") != wanted:
        body = {"metadata": {"labels": {"owner": wanted}}}
        core.patch_namespaced_config_map(found.metadata.name, found.metadata.namespace, body)


def main(namespace: str) -> None:
    config.load_kube_config()
    core = client.CoreV1Api()
    while True:  # a watch ends now and then; the next one begins with all that is there
        for event in watch.Watch().stream(core.list_namespaced_config_map, namespace, timeout_seconds=60):
            if event["type"] != "DELETED":
                reconcile(core, event["object"])


if __name__ == "__main__":
    main(sys.argv[1])
