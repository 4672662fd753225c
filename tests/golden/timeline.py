"""Recorded timelines of controllers, and live ones in the same form.

An object is flattened to paths as golden/controllers writes them (`status.conditions[type=Ready].status`),
so that a state can be compared field by field. Names that are chance (pod suffixes, template hashes) and
values that differ from run to run are made equal on both sides first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Flat = dict[str, Any]
Key = tuple[str, str]  # kind, name

COMPARED = (
    "Deployment", "ReplicaSet", "ReplicationController", "Pod", "Node", "Namespace", "ConfigMap",
    "ServiceAccount", "Service", "Endpoints", "EndpointSlice",
)  # fmt: skip
_LIST_KEYS = ("type", "name", "uid", "ip")
_NOISE = re.compile(
    r"apiVersion|kind|.*\.uid|metadata\.(resourceVersion|creationTimestamp|managedFields.*|generateName|selfLink)"
    r"|.*Time|.*startedAt|.*timeAdded|status\.(podIP|hostIP|podIPs|hostIPs|qosClass|containerStatuses).*"
    r"|spec\.(volumes|podCIDR|providerID|clusterIP).*|.*last-change-trigger-time|status\.(addresses|nodeInfo|daemonEndpoints|capacity|allocatable).*"
)
# Of a Pod only what controllers and the kubelet's double change; the rest is defaulting.
_POD = re.compile(
    r"metadata\.(labels|ownerReferences|deletion|generation|finalizers).*|spec\.nodeName|status\.phase"
    r"|status\.conditions\[type=(?!PodScheduled).*"
)


def flatten(value: Any, path: str = "") -> Flat:
    if isinstance(value, dict) and value:
        out: Flat = {}
        for key, inner in value.items():
            out |= flatten(inner, f"{path}.{key}" if path else key)
        return out
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        out = {}
        key_field = _key_field(value)
        for index, item in enumerate(value):
            step = f"[{key_field}={item[key_field]}]" if key_field else f"[{index}]"
            out |= flatten(item, path + step)
        return out
    return {path: value}


def _key_field(items: list[Json]) -> str:
    for name in _LIST_KEYS:
        values = [item.get(name) for item in items]
        if all(isinstance(value, str) for value in values) and len(set(values)) == len(values):
            return name
    return ""


@dataclass
class Names:
    """Gives names that are chance the same form in both worlds."""

    erase_pods: bool = True
    chance: re.Pattern[str] | None = None  # names of equals of which upstream takes any
    renames: dict[str, str] = field(default_factory=dict)
    hashes: int = 0
    pods: int = 0

    def learn(self, kind: str, obj: Json) -> None:
        metadata = obj["metadata"]
        name = metadata.get("name", "")
        if kind == "ReplicaSet" and (digest := metadata.get("labels", {}).get("pod-template-hash")):
            if digest not in self.renames:
                self.hashes += 1
                self.renames[digest] = f"HASH{self.hashes}"
        elif kind == "EndpointSlice" and metadata.get("generateName"):
            self.renames.setdefault(name, metadata["generateName"] + "*")
        elif kind == "Pod" and metadata.get("generateName") and name not in self.renames:
            self.pods += 1
            suffix = "*" if self.erase_pods else f"p{self.pods:04d}"
            self.renames[name] = metadata["generateName"] + suffix

    def apply(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.apply(item) for item in value]
        if not isinstance(value, str):
            return value
        # Pods first: their names contain the hash.
        for old, new in sorted(self.renames.items(), key=lambda item: -len(item[0])):
            value = value.replace(old, new)
        if self.chance:
            value = self.chance.sub("?", value)
        return re.sub(r"\bkw-\d\b", "kw-*", value)

    def actual(self, recorded: str, alive: Collection[str]) -> str:
        """The live name of the pod that the recording calls by its number (`w-p0001`).

        Where chance took another one than in the recording, any that is left stands for it.
        """
        generated = [name for name, new in self.renames.items() if not new.startswith("HASH")]
        name = generated[int(recorded[-4:]) - 1]
        return name if name in alive else next(each for each in generated if each in alive)


@dataclass
class Timeline:
    """States of objects over time, fed with entries in order."""

    names: Names
    objects: dict[Key, Flat] = field(default_factory=dict)
    stories: dict[Key, list[Flat]] = field(default_factory=dict)
    _events: set[tuple[str, ...]] = field(default_factory=set)

    def put(self, kind: str, name: str, flat: Flat) -> None:
        kept = {path: self.names.apply(value) for path, value in flat.items() if _keep(kind, path, value)}
        kept = {self.names.apply(path): value for path, value in kept.items()}
        if "metadata.deletionTimestamp" in flat:
            kept["metadata.deletionTimestamp"] = "set"
        self.objects[kind, name] = kept
        story = self.stories.setdefault((kind, self.names.apply(name)), [])
        if not story or story[-1] != kept:
            story.append(kept)

    def remove(self, kind: str, name: str) -> None:
        self.objects.pop((kind, name), None)

    def event(self, about: str, type_: str, reason: str, message: str, component: str) -> None:
        self._events.add((about, type_, reason, message, component))

    @property
    def events(self) -> set[tuple[str, ...]]:
        """Renamed late: an Event may be seen before the object that it is about."""
        return {tuple(self.names.apply(text) for text in event) for event in self._events}

    def state(self, ignore: re.Pattern[str]) -> Counter[tuple[Any, ...]]:
        """Everything that exists now; objects that chance named alike are counted."""
        found: Counter[tuple[Any, ...]] = Counter()
        for (kind, name), flat in self.objects.items():
            label = f"{kind}/{self.names.apply(name)}"
            fields = [
                (path, repr(value)) for path, value in flat.items() if not ignore.fullmatch(f"{label} {path}")
            ]
            if not ignore.fullmatch(label):
                found[(label, tuple(sorted(fields)))] += 1
        return found


def _keep(kind: str, path: str, value: Any) -> bool:
    if value is None or _NOISE.fullmatch(path) or path == "metadata.deletionTimestamp":
        return False
    return kind != "Pod" or bool(_POD.fullmatch(path))


def there_before(entries: Sequence[Json]) -> list[Key]:
    """Objects that existed before the recording began: only their changes are known, not their state."""
    first: dict[Key, str] = {}
    for entry in entries:
        if entry["kind"] in COMPARED:
            first.setdefault((entry["kind"], entry["name"]), entry["verb"])
    return [key for key, verb in first.items() if verb != "ADDED"]


def recorded(entries: Sequence[Json], names: Names, until: float) -> Timeline:
    """The recording as it stood just before `until`."""
    timeline = Timeline(names)
    raw: dict[Key, Flat] = {key: {} for key in there_before(entries)}
    for key in raw:
        timeline.put(*key, {})
    for entry in entries:
        if entry["t"] >= until:
            break
        kind, verb = entry["kind"], entry["verb"]
        if kind == "Event":
            if verb != "DELETED":
                timeline.event(
                    entry["about"],
                    entry["type"],
                    entry["reason"],
                    entry["message"],
                    entry["reportingComponent"],
                )
            continue
        key = (kind, entry["name"])
        if verb == "ADDED":
            names.learn(kind, entry["object"])
            raw[key] = flatten(entry["object"])
        for path, change in entry.get("changed", {}).items():
            _apply(raw.setdefault(key, {}), path, change["to"])
        if kind in COMPARED:
            if verb == "DELETED":
                timeline.remove(*key)
            else:
                timeline.put(*key, raw[key])
        if verb == "DELETED":
            raw.pop(key, None)
    return timeline


def _apply(flat: Flat, path: str, value: Any) -> None:
    for old in [each for each in flat if each == path or each.startswith((path + ".", path + "["))]:
        del flat[old]
    # An empty parent stands as a leaf of its own until something is put into it.
    for old in [
        each for each in flat if flat[each] in ({}, []) and path.startswith((each + ".", each + "["))
    ]:
        del flat[old]
    if value is not None:
        flat.update(flatten(value, path) if isinstance(value, Mapping) else {path: value})


def difference(ours: Counter[tuple[Any, ...]], theirs: Counter[tuple[Any, ...]]) -> str:
    """What only one side has, field by field where the objects can be matched by name."""
    only_ours, only_theirs = list((ours - theirs).elements()), list((theirs - ours).elements())
    lines = []
    for label, fields in only_theirs:
        match = next((each for each in only_ours if each[0] == label), None)
        if match is None:
            lines.append(f"missing {label} {dict(fields)}")
            continue
        only_ours.remove(match)
        mine, wanted = dict(match[1]), dict(fields)
        lines += [
            f"{label} {path}: ours {mine.get(path)} recorded {wanted.get(path)}"
            for path in sorted(mine.keys() | wanted.keys())
            if mine.get(path) != wanted.get(path)
        ]
    lines += [f"surplus {label} {dict(fields)}" for label, fields in only_ours]
    return "\n".join(lines)
