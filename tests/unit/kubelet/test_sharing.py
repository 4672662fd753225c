from __future__ import annotations

import msgspec

from services.api import core_v1, meta_v1
from services.kubelet import sharing
from services.kubelet.sharing import Shared


def pod(name: str, **spec: object) -> core_v1.Pod:
    env = [core_v1.EnvVar(name="MODE", value="fast")]
    probe = core_v1.Probe(http_get=core_v1.HTTPGetAction(path="/", port=8080))
    mount = core_v1.VolumeMount(name=f"token-{name}", mount_path="/token")
    container = core_v1.Container(
        name="app", image="me/app", env=env, readiness_probe=probe, volume_mounts=[mount]
    )
    made = core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name=name, namespace="default", uid=f"uid-{name}", labels={"app": "web"}),
        spec=core_v1.PodSpec(containers=[container], **spec),  # type: ignore[arg-type]
        status=core_v1.PodStatus(phase="Running"),
    )
    return fresh(made)


def fresh(made: core_v1.Pod) -> core_v1.Pod:
    """As it comes from the wire: nothing in it is anybody else's."""
    return msgspec.json.decode(msgspec.json.encode(made), type=core_v1.Pod)


def test_changes_nothing_that_can_be_seen() -> None:
    shared = Shared()
    for made in (pod("a"), pod("b", priority=1, host_network=True), pod("c", node_selector={"disk": "ssd"})):
        before = msgspec.json.encode(made)
        assert msgspec.json.encode(shared.pod(made, None)) == before


def test_equal_parts_become_one() -> None:
    shared = Shared()
    one, two = shared.pod(pod("a"), None), shared.pod(pod("b"), None)
    first, second = one.spec.containers[0], two.spec.containers[0]
    assert first is not second  # they mount different volumes
    assert first.env is second.env
    assert first.readiness_probe is second.readiness_probe
    assert one.metadata.labels is two.metadata.labels
    nothing: list[object] = [one.spec.volumes, two.spec.tolerations]
    assert nothing[0] is nothing[1]  # both empty


def test_a_pod_of_another_kind_of_number_is_another() -> None:
    shared = Shared()
    shared.pod(pod("a", priority=1), None)
    assert shared.pod(pod("b", priority=0), None).spec.priority == 0
    assert shared.pod(pod("c", host_network=True), None).spec.host_network is True


def test_an_unchanged_spec_is_kept() -> None:
    shared = Shared()
    known = shared.pod(pod("a"), None)
    news = shared.pod(fresh(known), known)
    assert news.spec is known.spec
    changed = shared.pod(pod("a", priority=3), known)
    assert changed.spec.priority == 3


def test_forgets_past_its_bound() -> None:
    shared = Shared()
    kept = [shared.pod(pod(f"p{number}", priority=number), None) for number in range(sharing.KNOWN_MAX)]
    assert len(shared._parts) <= sharing.KNOWN_MAX + 100
    assert [one.spec.priority for one in kept] == list(range(sharing.KNOWN_MAX))
