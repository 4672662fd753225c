"""PodSecurity: what each level refuses, in whose words, and whom a Namespace's labels warn."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.api.apps_v1 import Deployment
from services.api.core_v1 import Namespace, Pod
from services.api.errors import ApiError
from services.apiserver.rules.pod_security import admission
from services.apiserver.rules.pod_security.standards import LATEST, Policy, details, judge
from tests.unit.apiserver.rules.world import World, create, update

Json = dict[str, Any]
PREFIX = "pod-security.kubernetes.io/"
GOOD = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
    "capabilities": {"drop": ["ALL"]},
}


def spec(security: Json | None = None, **more: Any) -> Json:
    container = {"name": "c", "image": "app:1", **({"securityContext": security} if security else {})}
    return {"containers": [container], **more}


def found(level: str, given: Json, meta: Json | None = None, minor: int = LATEST) -> str:
    return details(judge(Policy(level, minor), meta or {}, given))


def container(**fields: Any) -> Json:
    return spec({**GOOD, **fields})


BASELINE = [
    (spec(hostNetwork=True, hostPID=True), "host namespaces (hostNetwork=true, hostPID=true)"),
    (spec({"privileged": True}), 'privileged (container "c" must not set securityContext.privileged=true)'),
    (
        spec({"capabilities": {"add": ["SYS_TIME", "KILL", "NET_ADMIN"]}}),
        'non-default capabilities (container "c" must not include "NET_ADMIN", "SYS_TIME" in'
        " securityContext.capabilities.add)",
    ),
    (
        spec(volumes=[{"name": "b", "hostPath": {}}, {"name": "a", "hostPath": {}}]),
        'hostPath volumes (volumes "b", "a")',
    ),
    (
        {"containers": [{"name": "a", "ports": [{"hostPort": 80}, {"containerPort": 1}]}]},
        'hostPort (container "a" uses hostPort 80)',
    ),
    (
        {"containers": [{"name": n, "ports": [{"hostPort": p}]} for n, p in (("a", 80), ("b", 443))]},
        'hostPorts (containers "a", "b" use hostPorts 443, 80)',
    ),
    (
        {"containers": [{"name": "a", "livenessProbe": {"httpGet": {"host": "1.2.3.4"}}}]},
        'probe or lifecycle host (container "a" uses probe or lifecycle host "1.2.3.4")',
    ),
    (
        spec({"procMount": "Unmasked"}),
        'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
    ),
    (
        spec(securityContext={"seLinuxOptions": {"type": "spc_t", "user": "root"}}),
        'seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "spc_t"; user may'
        " not be set)",
    ),
    (
        spec({"seccompProfile": {"type": "Unconfined"}}, securityContext={"seccompProfile": {"type": "Bad"}}),
        'seccompProfile (pod and container "c" must not set securityContext.seccompProfile.type to "Bad",'
        ' "Unconfined")',
    ),
    (spec(securityContext={"sysctls": [{"name": "kernel.msgmax"}]}), "forbidden sysctls (kernel.msgmax)"),
    (
        spec(securityContext={"windowsOptions": {"hostProcess": True}}),
        "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
    ),
    (
        spec({"appArmorProfile": {"type": "Unconfined"}}),
        'forbidden AppArmor profile (container "c" must not set AppArmor profile type to "Unconfined")',
    ),
]


@pytest.mark.parametrize(("given", "words"), BASELINE)
def test_what_baseline_refuses(given: Json, words: str) -> None:
    assert found("baseline", given) == words
    assert found("privileged", given) == ""


RESTRICTED = [
    (
        container(allowPrivilegeEscalation=True),
        'allowPrivilegeEscalation != false (container "c" must set'
        " securityContext.allowPrivilegeEscalation=false)",
    ),
    (
        container(capabilities={"drop": ["KILL"], "add": ["CHOWN"]}),
        'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"];'
        ' container "c" must not include "CHOWN" in securityContext.capabilities.add)',
    ),
    (container(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}), ""),
    (
        {**container(), "volumes": [{"name": "v", "nfs": {}}, {"name": "w", "emptyDir": {}}]},
        'restricted volume types (volume "v" uses restricted volume type "nfs")',
    ),
    (
        container(runAsNonRoot=False),
        'runAsNonRoot != true (container "c" must not set securityContext.runAsNonRoot=false)',
    ),
    (
        container(runAsNonRoot=None),
        'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)',
    ),
    ({**container(runAsNonRoot=None), "securityContext": {"runAsNonRoot": True}}, ""),
    (container(runAsUser=0), 'runAsUser=0 (container "c" must not set runAsUser=0)'),
    (
        container(seccompProfile=None),
        'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to'
        ' "RuntimeDefault" or "Localhost")',
    ),
    ({**container(runAsNonRoot=False, runAsUser=0), "hostUsers": False}, ""),
    ({**container(capabilities=None, seccompProfile=None), "os": {"name": "windows"}}, ""),
]


@pytest.mark.parametrize(("given", "words"), RESTRICTED)
def test_what_restricted_refuses_besides(given: Json, words: str) -> None:
    assert found("restricted", given) == words
    assert found("baseline", given) == ""


def test_a_version_knows_only_what_it_knew() -> None:
    probes = {"containers": [{"name": "a", "livenessProbe": {"httpGet": {"host": "h"}}}]}
    assert found("baseline", probes, minor=33) == ""
    annotated = {"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}}
    assert found("baseline", spec(), annotated, 18).startswith("seccompProfile (forbidden annotation ")
    assert found("baseline", spec(), annotated) == ""
    rmem = spec(securityContext={"sysctls": [{"name": "net.ipv4.tcp_rmem"}]})
    assert found("baseline", rmem, minor=31) == "forbidden sysctls (net.ipv4.tcp_rmem)"
    assert found("baseline", rmem, minor=99) == ""
    unmasked = {**container(procMount="Unmasked"), "hostUsers": False}
    assert found("baseline", unmasked) == ""
    assert found("restricted", unmasked).startswith("procMount ")


# -- the plugin ----------------------------------------------------------------------------------


def world(**labels: str) -> World:
    made = World()
    named = {PREFIX + name.replace("_", "-"): value for name, value in labels.items()}
    made.objects["Namespace", "", "default"]["metadata"]["labels"] = named
    return made


def pod(**fields: Any) -> bytes:
    return orjson.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec(**fields)}
    )


def test_a_pod_is_refused_by_what_its_namespace_enforces() -> None:
    with pytest.raises(ApiError) as refused:
        create(Pod, pod(hostNetwork=True), world(enforce="baseline", enforce_version="v1.30"))
    words = 'violates PodSecurity "baseline:v1.30": host namespaces (hostNetwork=true)'
    assert refused.value.message == f'pods "p" is forbidden: {words}'


def test_a_warning_is_no_refusal() -> None:
    seen = world(warn="baseline")
    create(Pod, pod(hostIPC=True), seen)
    assert seen.warnings == ['would violate PodSecurity "baseline:latest": host namespaces (hostIPC=true)']


def test_workloads_are_warned_about_and_not_refused() -> None:
    seen = world(enforce="baseline", warn="baseline")
    template = {"metadata": {"labels": {"a": "b"}}, "spec": spec(hostPID=True)}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
    create(Deployment, orjson.dumps(body), seen)
    assert seen.warnings == ['would violate PodSecurity "baseline:latest": host namespaces (hostPID=true)']


def test_labels_that_make_no_sense() -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "n", "labels": {f"{PREFIX}enforce": "strict", f"{PREFIX}warn-version": "1.2"}},
    }
    with pytest.raises(ApiError) as refused:
        create(Namespace, orjson.dumps(body))
    assert refused.value.code == 422
    assert f"metadata.labels[{PREFIX}enforce]" in refused.value.message
    assert 'Invalid value: "strict": must be one of privileged, baseline, restricted' in refused.value.message
    assert 'Invalid value: "1.2": must be "latest" or "v1.x"' in refused.value.message


def test_bad_labels_that_are_there_enforce_the_strictest_and_warn_of_nothing() -> None:
    policies, faults = admission.read({f"{PREFIX}enforce": "x", f"{PREFIX}warn": "y"})
    assert str(policies.enforce) == "restricted:latest"
    assert policies.warn.level == "privileged"
    assert len(faults) == 2


def test_labelling_a_namespace_warns_of_the_pods_in_it() -> None:
    seen = World()
    for name in ("b", "a", "c"):
        shown = {"metadata": {"name": name, "namespace": "default"}, "spec": spec(hostNetwork=name != "c")}
        seen.objects["Pod", "default", name] = shown
    seen.objects["Pod", "default", "d"] = {"metadata": {"name": "d"}, "spec": spec({"privileged": True})}
    old = {"metadata": {"name": "default"}, "spec": {}, "status": {}}
    new = {"metadata": {"name": "default", "labels": {f"{PREFIX}enforce": "baseline"}}, "spec": {}}
    from services.api.kinds import resource_of

    admission.admit("update", resource_of(Namespace), "", new, old, seen)
    assert seen.warnings == [
        'existing pods in namespace "default" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 1 other pod): host namespaces",
        "d: privileged",
    ]
    seen.warnings.clear()
    admission.admit("update", resource_of(Namespace), "", old, new, seen)
    assert not seen.warnings


def test_only_what_is_judged_matters_in_an_update() -> None:
    old = create(Pod, pod(hostNetwork=True))
    new = orjson.loads(orjson.dumps(old))
    new["metadata"]["labels"] = {"a": "b"}
    assert update(Pod, new, old)["metadata"]["labels"] == {"a": "b"}
