"""What kr8s is asked to do: each function is one scenario, run by test_kr8s.py in a process of its own.

python -m tests.e2e.clients.kr8s_scenarios SCENARIO KUBECONFIG NAMESPACE
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import httpx
import kr8s
from kr8s.objects import ConfigMap, Deployment, Pod, new_class

from tests.e2e.clients.objects import GREETING, PORT, config_map, pod
from tests.e2e.cluster import PATIENCE_SECONDS

BYTES_COUNT = 100_000


def objects_come_change_and_go(api: Any) -> None:
    made = ConfigMap(config_map("settings", a="1"), api=api)
    assert not made.exists()
    made.create()
    assert made.exists()
    made.patch({"data": {"b": "2"}})
    made.patch([{"op": "remove", "path": "/data/a"}], type="json")
    made.label({"more": "yes"})
    made.annotate({"why": "because"})
    assert dict(made.data) == {"b": "2"}
    (found,) = api.get("configmaps", label_selector={"of": "test"})
    assert (found.labels["more"], found.annotations["why"]) == ("yes", "because")
    assert refused(ConfigMap(config_map("settings"), api=api).create) == 409
    made.delete()
    assert not made.exists()


def refused(action: Callable[[], object]) -> int | None:
    try:
        action()
    except kr8s.ServerError as error:
        return int(error.response.status_code) if error.response else None
    return None


def what_is_served_is_found_by_any_name(api: Any) -> None:
    assert api.version()["major"] == "1"
    for name in ("deploy", "deployments.apps", "Deployment"):
        assert api.lookup_kind(name)[1] == "deployments"
    names = {each["name"] for each in api.api_resources()}
    assert {"pods", "deployments", "customresourcedefinitions"} <= names
    assert len(list(api.get("nodes"))) == 2


def a_deployment_is_scaled_and_waited_for(api: Any) -> None:
    labels = {"app": "scaled"}
    template = {"metadata": {"labels": labels}, "spec": pod("")["spec"]}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    made = Deployment({"metadata": {"name": "scaled"}, "spec": spec}, api=api)
    made.create()
    made.wait("condition=Available", timeout=PATIENCE_SECONDS)
    (only,) = made.pods()
    assert only.ready()
    made.scale(2)
    assert made.replicas == 2
    made.delete()
    made.wait("delete", timeout=PATIENCE_SECONDS)


def a_watch_sees_what_happens(api: Any) -> None:
    ConfigMap(config_map("watched"), api=api).create()
    events = api.watch("configmaps", label_selector="of=test")
    event, found = next(events)
    assert (event, found.name) == ("ADDED", "watched")
    found.patch({"data": {"a": "1"}})
    event, found = next(events)
    assert (event, dict(found.data)) == ("MODIFIED", {"a": "1"})
    found.delete()
    assert next(events)[0] == "DELETED"


def logs(api: Any) -> None:
    web = Pod.get("web", api=api)
    assert next(iter(web.logs())) == GREETING
    for line in web.logs(follow=True):
        if line == GREETING:
            web.exec(["wget", "-qO-", f"http://localhost:{PORT}"])
        elif line.startswith("Received request"):
            break


def exec_(api: Any) -> None:
    web = Pod.get("web", api=api)
    done = web.exec(["sh", "-c", "echo out; echo err >&2"])
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 0)
    failed = web.exec(["sh", "-c", "exit 3"], check=False)
    assert failed.returncode == 3
    assert web.exec(["head", "-c", str(BYTES_COUNT), "/dev/zero"]).stdout == bytes(BYTES_COUNT)


def port_forward(api: Any) -> None:
    web = Pod.get("web", api=api)
    with web.portforward(PORT) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS)
    assert answer.text == "You've hit web\n"


def custom_resources(api: Any) -> None:
    """Of a kind that the library has no class for."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"plural": "gadgets", "kind": "Gadget"}
    spec = {"group": "kr8s.example", "names": names, "scope": "Namespaced", "versions": [version]}
    definitions = new_class("CustomResourceDefinition", "apiextensions.k8s.io/v1", namespaced=False)
    definition = definitions({"metadata": {"name": "gadgets.kr8s.example"}, "spec": spec}, api=api)
    definition.create()
    definition.wait("condition=Established", timeout=PATIENCE_SECONDS)
    gadgets = new_class("Gadget", "kr8s.example/v1")
    made = gadgets({"metadata": {"name": "one"}, "spec": {"size": 3}}, api=api)
    made.create()
    assert gadgets.get("one", api=api).spec.size == 3
    made.delete()
    definition.delete()


SCENARIOS = (
    *(objects_come_change_and_go, what_is_served_is_found_by_any_name, a_deployment_is_scaled_and_waited_for),
    *(a_watch_sees_what_happens, logs, exec_, port_forward, custom_resources),
)


if __name__ == "__main__":
    name, kubeconfig, namespace = sys.argv[1:]
    api = kr8s.api(kubeconfig=kubeconfig)
    api.namespace = namespace
    next(each for each in SCENARIOS if each.__name__ == name)(api)
