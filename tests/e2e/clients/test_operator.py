"""An operator of kopf, a process of its own, reconciles custom objects; the API server may restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import PATIENCE_SECONDS, RETRY_SECONDS, Cluster

pytest.importorskip("kopf", reason="the Python package kopf is not installed")
kubernetes = pytest.importorskip("kubernetes", reason="the Python package kubernetes is not installed")
from kubernetes import client, config  # noqa: E402
from urllib3.exceptions import HTTPError  # noqa: E402

HERE = Path(__file__).parent
GROUP = ("orrery.example", "v1")
Json = dict[str, Any]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def api(kubeconfig: str) -> Iterator[Any]:
    settings = client.Configuration()
    config.load_kube_config(kubeconfig, client_configuration=settings)
    settings.retries = False
    with client.ApiClient(settings) as api:
        yield api


@pytest.fixture(scope="module")
def operator(cluster: Cluster, kubeconfig: str, space: str, tmp_path_factory: Any) -> Iterator[Path]:
    """Its log."""
    define(cluster)  # for good: the cluster is of tests only
    log = tmp_path_factory.mktemp("operator") / "log"
    command = (sys.executable, "-m", "kopf", "run", "--standalone", "--namespace", space)
    with log.open("wb") as out:
        process = subprocess.Popen(
            (*command, str(HERE / "site_operator.py")),
            env={**os.environ, "KUBECONFIG": kubeconfig, "PYTHONWARNINGS": "ignore"},
            stdout=out,
            stderr=out,
        )
        try:
            yield log
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def define(cluster: Cluster) -> None:
    import yaml

    definition = yaml.safe_load((HERE / "site_definition.yaml").read_text())
    settings = client.Configuration()
    config.load_kube_config(str(cluster.home / "kubeconfig"), client_configuration=settings)
    with client.ApiClient(settings) as api:
        extensions = client.ApiextensionsV1Api(api)
        extensions.create_custom_resource_definition(definition)
        name = definition["metadata"]["name"]
        until(lambda: _established(extensions.read_custom_resource_definition(name)))


def _established(definition: Any) -> bool:
    conditions = (definition.status and definition.status.conditions) or ()
    return any(each.type == "Established" and each.status == "True" for each in conditions)


def until(condition: Callable[[], Any], log: Path | None = None) -> Any:
    """What the condition comes to say; whatever refuses meanwhile is asked again."""
    deadline, last = time.monotonic() + PATIENCE_SECONDS, None
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except (client.ApiException, HTTPError, KeyError) as error:  # not yet, or the server restarts
            last = error
        time.sleep(RETRY_SECONDS)
    raise AssertionError(f"it never came to be; at last: {last!r}\n{log.read_text()[-3000:] if log else ''}")


def test_an_operator_does_its_work(api: Any, cluster: Cluster, operator: Path, space: str) -> None:
    sites, core, apps = client.CustomObjectsApi(api), client.CoreV1Api(api), client.AppsV1Api(api)
    head = {"apiVersion": "/".join(GROUP), "kind": "Site"}

    def site(name: str) -> Json:
        found: Json = sites.get_namespaced_custom_object(*GROUP, space, "sites", name)
        return found

    def make(name: str) -> Json:
        body = {**head, "metadata": {"name": name}, "spec": {"image": "luksa/kubia"}}
        made: Json = sites.create_namespaced_custom_object(*GROUP, space, "sites", body)
        return made

    with pytest.raises(client.ApiException) as refused:
        sites.create_namespaced_custom_object(*GROUP, space, "sites", {**head, "metadata": {"name": "x"}})
    assert refused.value.status == 422

    made = make("one")
    assert made["spec"]["replicas"] == 1  # its schema's default
    until(lambda: site("one")["status"]["phase"] == "Created", operator)
    until(lambda: site("one")["status"]["ready"] == 1, operator)
    seen = site("one")
    assert seen["metadata"]["finalizers"] == ["orrery.example/site"]
    assert seen["status"]["create"] == {"image": "luksa/kubia"}
    for child in (
        apps.read_namespaced_deployment("one", space),
        core.read_namespaced_config_map("one", space),
    ):
        (owner,) = child.metadata.owner_references
        assert (owner.kind, owner.uid, owner.controller) == ("Site", made["metadata"]["uid"], True)
    until(lambda: "The site is being built" in messages(core, space, "one"), operator)

    cluster.orrery("restart", "apiserver")
    until(lambda: make("two"))
    patch = {"spec": {"replicas": 2}}
    sites.patch_namespaced_custom_object(*GROUP, space, "sites", "one", patch)
    until(lambda: site("one")["status"]["ready"] == 2, operator)
    until(lambda: site("two")["status"]["ready"] == 1, operator)
    until(lambda: site("one")["status"]["phase"] == "Scaled to 2", operator)
    line = cluster.ok("get", "--raw", f"/apis/{'/'.join(GROUP)}/namespaces/{space}/sites/one")
    assert json.loads(line)["spec"]["replicas"] == 2

    sites.delete_namespaced_custom_object(*GROUP, space, "sites", "one")
    until(lambda: core.read_namespaced_config_map("one-last-words", space), operator)
    until(lambda: gone(lambda: site("one")), operator)
    until(lambda: gone(lambda: apps.read_namespaced_deployment("one", space)), operator)
    until(lambda: gone(lambda: core.read_namespaced_config_map("one", space)), operator)
    assert apps.read_namespaced_deployment("two", space).status.ready_replicas == 1
    sites.delete_namespaced_custom_object(*GROUP, space, "sites", "two")
    until(lambda: gone(lambda: site("two")), operator)


def messages(core: Any, namespace: str, name: str) -> list[str]:
    found = core.list_namespaced_event(namespace, field_selector=f"involvedObject.name={name}").items
    return [event.message for event in found]


def gone(read: Callable[[], Any]) -> bool:
    try:
        read()
    except client.ApiException as error:
        return bool(error.status == 404)
    return False
