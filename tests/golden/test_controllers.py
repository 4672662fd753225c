"""Controllers against what real ones did: the recorded scenarios, played on real processes.

Each scenario's actions are sent to a control plane (etcd, API server, scheduler, controller manager) with a
double for the kubelets. Instead of keeping the recorder's pace, a test waits before each action, and at the
end, until the cluster is in the state in which the recording was; then the Events (reason, message, type,
component) and the steps of each object are compared as partial orders. What still differs is in ACCEPTED.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from services.api.errors import ApiError
from services.api.kinds import RESOURCES, Resource, resource_named, resource_of_kind
from services.client.client import Client, connect
from services.client.raw import RawClient
from services.client.transport import PatchType, Target, WriteOptions
from services.process.clock import SystemClock
from tests.golden.timeline import COMPARED, Names, Timeline, difference, flatten, recorded, there_before
from tests.support.control_plane import ControlPlane, control_plane
from tests.support.kwok import Kwok

GOLDEN = Path(os.environ.get("ORRERY_GOLDEN", Path(__file__).parents[2] / ".." / "shared" / "golden"))
if not (GOLDEN / "controllers").is_dir():
    pytest.skip(f"no golden data at {GOLDEN}", allow_module_level=True)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STATE_SECONDS_MAX = 60.0
PAUSE_SECONDS = 0.08  # A pause this long between two actions was made to let the cluster get quiet.
ROOT_CA = "-----BEGIN CERTIFICATE-----\n"

# Scenarios of kinds that are served.
SCENARIOS = (
    "deploy-create", "deploy-pause-resume", "deploy-progress-deadline", "deploy-proportional-scale",
    "deploy-recreate", "deploy-rollback", "deploy-rolling-surge0-unavailable1",
    "deploy-rolling-surge1-unavailable0", "deploy-rolling-surge100", "deploy-rollover",
    "deploy-template-label-annotation", "gc-background", "gc-foreground", "gc-orphan", "namespace-defaults",
    "node-lifecycle-taints", "node-noexecute-taint", "ns-deletion", "pod-graceful-delete",
    "pod-scheduling-gates", "pod-succeeded-conditions", "pv-binding", "pvc-unbound", "rc-scale",
    "rs-adoption", "rs-pod-failed-replaced", "rs-release", "rs-scale-down-notready-first",
    "service-endpoints-readiness",
    "service-headless-endpoints",
)  # fmt: skip
# Where the recording names a pod, its number counts: which one goes is what the scenario is about.
NAMED_PODS = {"rs-scale-down-notready-first", "rs-pod-failed-replaced"}

# Where upstream chooses by chance (equal pods), any choice is right.
RANDOM_CHOICE = {"rs-adoption": re.compile(r"orphan-\d")}

# All new Pods turn ready at nearly the same time: in how many steps the old ones go is chance.
STEPS_BY_CHANCE = {"deploy-rolling-surge100"}

# "Kind/name path" or "Kind/name" → why ours differs. Everywhere:
ACCEPTED_ALWAYS = {
    r"ConfigMap/openshift-service-ca\.crt": "another product's controller ran when it was recorded",
    r"ConfigMap/kube-root-ca\.crt data.*": "another certificate",
    r"Node/(kw-\*|man-0)": "the double's nodes; they are not the scenario's",
    r"Namespace/.* metadata\.labels.*": "the recorder's namespace came with the cluster's own labels",
}
ACCEPTED: dict[str, dict[str, str]] = {
    "node-unreachable": {
        r"EndpointSlice/svc-\*": "how many Pods one write tells of is chance; other scenarios compare it"
    },
    "deploy-rolling-surge100": {
        r"ReplicaSet/.* (metadata\.generation|status\.observedGeneration)": "counts the steps: chance",
    },
}
# Which Events are compared: those of the controllers. The scheduler has its own tests.
COMPONENTS = {
    "deployment-controller", "replicaset-controller", "replication-controller", "node-controller",
    "taint-eviction-controller", "persistentvolume-controller",
}  # fmt: skip


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    root = tmp_path_factory.mktemp("plane")
    certificate = root / "ca.crt"
    certificate.write_text(ROOT_CA)
    with control_plane(root) as made:
        made.start("scheduler", "--no-leader-elect")
        # Its default class would serve the claims that are to stay without a volume.
        flags = ("--no-leader-elect", "--controllers=*,-hostpath-provisioner")
        lasting = ("--node-monitor-grace-period", "7200", "--root-ca-file", str(certificate))
        made.start("controller_manager", *flags, *lasting)
        yield made


class Scene:
    """One scenario: what was recorded, and what happens live."""

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        data = json.loads((GOLDEN / "controllers" / f"{name}.json").read_text())
        self.namespace: str = data["namespace"]
        self.actions: list[dict[str, Any]] = data["actions"]
        self.entries: list[dict[str, Any]] = data["timeline"]
        self.raw = RawClient(client.transport)
        self.live = Timeline(self._names())
        self.changed = asyncio.Event()
        self.own_nodes = {entry["name"] for entry in self.entries if entry["kind"] == "Node"}
        unknown = [rf"{kind}/{re.escape(name)} .*" for kind, name in there_before(self.entries)]
        patterns = [*ACCEPTED_ALWAYS, *ACCEPTED.get(name, {}), *unknown]
        self.ignore = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))

    def _names(self) -> Names:
        return Names(self.name not in NAMED_PODS, RANDOM_CHOICE.get(self.name))

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            compared = (*COMPARED, "Event")
            watched = [each for each in RESOURCES if each.kind in compared and not each.stored_as]
            tasks = [group.create_task(self._watch(resource)) for resource in watched]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def _watch(self, resource: Resource) -> None:
        namespace = self.namespace if resource.namespaced else ""
        async for batch in self.raw.watch(resource, namespace):
            for change in batch:
                if change.type != "BOOKMARK":
                    self._see(resource.kind, change.type, change.object)
            self.changed.set()

    def _see(self, kind: str, verb: str, obj: dict[str, Any]) -> None:
        name = obj["metadata"]["name"]
        if kind == "Event":
            about = obj["involvedObject"]
            if verb != "DELETED":
                self.live.event(
                    f"{about['kind']}/{about.get('name', '')}", obj.get("type", ""), obj.get("reason", ""),
                    obj.get("message", ""), obj.get("reportingComponent", ""),
                )  # fmt: skip
            return
        if (kind == "Node" and name not in self.own_nodes) or (
            kind == "Namespace" and name != self.namespace
        ):
            return
        self.live.names.learn(kind, obj)
        if verb == "DELETED":
            self.live.remove(kind, name)
        else:
            self.live.put(kind, name, flatten(obj))

    def recorded(self, until: float) -> Timeline:
        return recorded(self.entries, self._names(), until)

    async def reach(self, until: float) -> None:
        """Waits for the state that the recording had just before that time."""
        wanted = self.recorded(until).state(self.ignore)
        has_namespace = any(entry["kind"] == "Namespace" for entry in self.entries)
        try:
            async with asyncio.timeout(STATE_SECONDS_MAX):
                while self._state(has_namespace) != wanted:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            ours = self._state(has_namespace)
            pytest.fail(f"before t={until}:\n{difference(ours, wanted)}", pytrace=False)

    def _state(self, has_namespace: bool) -> Any:
        """What came with the namespace counts only where the recording watched for it."""
        kinds = {entry["kind"] for entry in self.entries}
        found = self.live.state(self.ignore)
        for key in list(found):
            if key[0].partition("/")[0] not in kinds:
                del found[key]
        return found

    async def act(self, action: dict[str, Any]) -> None:
        path, _, query = action["path"].partition("?")
        resource, namespace, name, subresource = self._target(path)
        body, why = action.get("body") or {}, ""
        try:
            match action["method"]:
                case "POST":
                    target = Target(resource, namespace, name, subresource)
                    await self.raw.transport.create(target, json.dumps(body).encode(), WriteOptions())
                    status = 201
                case "PATCH":
                    patch_type = PatchType(action["contentType"])
                    await self.raw.patch(
                        resource, name, namespace, body, patch_type=patch_type, subresource=subresource
                    )
                    status = 200
                case "DELETE":
                    assert not parse_qs(query)
                    options = json.dumps(body).encode() if body else b""
                    await self.raw.transport.delete(Target(resource, namespace, name), options)
                    status = 200
                case other:
                    raise AssertionError(other)
        except ApiError as error:
            status, why = error.code, error.message
        assert status == action["status"], f"{action['method']} {path}: {why}"

    def _target(self, path: str) -> tuple[Resource, str, str, str]:
        parts = path.strip("/").split("/")
        group, parts = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
        namespace = ""
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        resource = resource_named(group, "v1", parts[0])
        assert resource is not None, path
        name = parts[1] if len(parts) > 1 else ""
        if re.fullmatch(r".*-p\d{4}", name):
            alive = {each for kind, each in self.live.objects if kind == "Pod"}
            name = self.live.names.actual(name, alive)
        return resource, namespace, name, parts[2] if len(parts) > 2 else ""


async def play(scene: Scene) -> None:
    if not any(a["path"] == "/api/v1/namespaces" for a in scene.actions):
        namespace = resource_of_kind("v1", "Namespace")
        assert namespace is not None
        await scene.raw.create(namespace, {"metadata": {"name": scene.namespace}})
        await wait_for_account(scene)
    before = 0.0
    for action in scene.actions:
        if action["t"] - before >= PAUSE_SECONDS:
            await scene.reach(action["t"])
        before = action["t"]
        await scene.act(action)
    await scene.reach(float("inf"))


async def wait_for_account(scene: Scene) -> None:
    """The recorder's namespaces were complete before it began."""
    async with asyncio.timeout(STATE_SECONDS_MAX):
        while ("ServiceAccount", "default") not in scene.live.objects:
            scene.changed.clear()
            await scene.changed.wait()


async def compare_events(scene: Scene) -> None:
    theirs = controllers_events(scene, scene.recorded(float("inf")))
    with suppress(TimeoutError):
        # They are written on the side: the last may come after the state that they tell of.
        async with asyncio.timeout(STATE_SECONDS_MAX):
            while not theirs <= controllers_events(scene, scene.live):
                scene.changed.clear()
                await scene.changed.wait()
    ours = controllers_events(scene, scene.live)
    assert sorted(ours - theirs) == [], "events that were not recorded"
    assert sorted(theirs - ours) == [], "events that are missing"


def controllers_events(scene: Scene, timeline: Timeline) -> set[tuple[str, ...]]:
    """Of the controllers, about what is in the scenario's namespace."""
    found = {e for e in timeline.events if e[4] in COMPONENTS and not e[0].startswith("Node/")}
    if scene.name in STEPS_BY_CHANCE:
        return {tuple(re.sub(r" from \d+ to \d+", "", text) for text in event) for event in found}
    return found


def steps(timeline: Timeline, kind: str, path: str) -> dict[str, list[Any]]:
    """The values that a field of each object of that kind took, one after the other."""
    out: dict[str, list[Any]] = {}
    for (each, name), story in timeline.stories.items():
        if each == kind:
            values = [flat[path] for flat in story if path in flat]
            out[name] = [v for i, v in enumerate(values) if not i or values[i - 1] != v]
    return {name: values for name, values in out.items() if values}


def is_part(shorter: list[Any], longer: list[Any]) -> bool:
    rest = iter(longer)
    return all(any(value == each for each in rest) for value in shorter)


def compare_steps(scene: Scene) -> None:
    theirs = scene.recorded(float("inf"))
    for kind, path in (("ReplicaSet", "spec.replicas"), ("ReplicationController", "spec.replicas")):
        ours, wanted = steps(scene.live, kind, path), steps(theirs, kind, path)
        if scene.name in STEPS_BY_CHANCE:
            ours, wanted = ({name: [v[0], v[-1]] for name, v in each.items()} for each in (ours, wanted))
        assert ours == wanted
    told = (
        ("Namespace", "status.conditions[type=NamespaceDeletionContentFailure].message"),
        ("Deployment", "status.conditions[type=Progressing].reason"),
    )
    for kind, path in told:
        expected = steps(theirs, kind, path)
        for name, values in steps(scene.live, kind, path).items():
            # Status writes may be fewer or more; the story they tell is the same.
            assert is_part(values, expected[name]) or is_part(expected[name], values), (
                values,
                expected[name],
            )


@asynccontextmanager
async def stage(name: str, plane: ControlPlane, *, nodes: int = 3) -> AsyncIterator[Scene]:
    clock = SystemClock()
    async with connect(plane.apiserver, user_agent="golden", field_manager="golden") as client:
        kwok = Kwok(client, clock)
        if nodes:
            await kwok.create_nodes(nodes)
        scene = Scene(name, client)
        async with asyncio.TaskGroup() as group:
            double = group.create_task(kwok.run())
            async with scene.watching():
                yield scene
            double.cancel()


@pytest.mark.parametrize("name", SCENARIOS)
async def test_scenario(name: str, plane: ControlPlane) -> None:
    async with stage(name, plane) as scene:
        await play(scene)
        await compare_events(scene)
        compare_steps(scene)


async def test_node_unreachable(tmp_path: Path) -> None:
    """A cluster of one node that falls silent: marked, its Pods too, but nobody is evicted."""
    with control_plane(tmp_path) as plane:
        plane.start("scheduler", "--no-leader-elect")
        plane.start("controller_manager", "--no-leader-elect", "--node-monitor-grace-period", "4")
        async with stage("node-unreachable", plane, nodes=0) as scene:
            await play(scene)
            await compare_events(scene)
