"""Environment variables of containers: added, removed, listed, or taken over from ConfigMaps and Secrets."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

from services.api import kinds
from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, boolean, text, texts
from services.kubectl.session import Session

Json = dict[str, Any]

FLAGS: tuple[Flag, ...] = (
    text("containers", "Names of the containers, with wildcards", short="c", default="*"),
    texts("env", "KEY=VALUE, another way to give it", short="e", split=False),
    text("from", "A ConfigMap or Secret to take all keys from"),
    texts("keys", "Only these keys of --from"),
    boolean("list", "Show what is set"),
    boolean("overwrite", "Change values that exist", default=True),
    text("prefix", "Put before each name of --from"),
    boolean("resolve", "Show values of references, with --list"),
)


def _containers(spec: Json, pattern: str) -> list[Json]:
    everything = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return [container for container in everything if fnmatch.fnmatchcase(container["name"], pattern)]


def listing(resource: kinds.Resource, name: str, spec: Json, session: Session) -> str:
    lines = []
    for container in _containers(spec, session.flags["containers"]):
        lines.append(f"# {resource.kind} {name}, container {container['name']}")
        for entry in container.get("env") or ():
            lines.append(_line(entry))
    return "".join(f"{line}\n" for line in lines)


def _line(entry: Json) -> str:
    source = entry.get("valueFrom")
    if not source:
        return f"{entry['name']}={entry.get('value', '')}"
    if reference := source.get("configMapKeyRef"):
        return f"# {entry['name']} from configmap {reference['name']}, key {reference['key']}"
    if reference := source.get("secretKeyRef"):
        return f"# {entry['name']} from secret {reference['name']}, key {reference['key']}"
    if reference := source.get("fieldRef"):
        return f"# {entry['name']} from field path {reference['fieldPath']}"
    return f"# {entry['name']} from resource field"


def editor(session: Session, changes: list[str]) -> Callable[[Json], None] | None:
    """What changes a Pod spec as the line says; None when it says nothing."""
    pairs = [*changes, *session.flags["env"]]
    if not pairs:
        return None
    added: dict[str, str] = {}
    removed: set[str] = set()
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if equals:
            added[key] = value
        elif pair.endswith("-"):
            removed.add(pair[:-1])
        else:
            raise Fail(f"environment variables must be of the form key=value and cannot be empty: {pair}")
    if removed & set(added):
        raise Fail(
            f"can not both modify and remove environment variables: {', '.join(sorted(removed & set(added)))}"
        )

    def edit(spec: Json) -> None:
        containers = _containers(spec, session.flags["containers"])
        if not containers:
            raise Fail(f"does not have any containers matching {session.flags['containers']!r}")
        for container in containers:
            _apply(container, added, removed, overwrite=session.flags["overwrite"])

    return edit


def _apply(container: Json, added: dict[str, str], removed: set[str], *, overwrite: bool) -> None:
    entries = [entry for entry in container.get("env") or () if entry["name"] not in removed]
    known = {entry["name"] for entry in entries}
    clash = sorted(name for name in added if name in known)
    if clash and not overwrite:
        raise Fail(f"'{clash[0]}' already has a value, and --overwrite is false")
    entries = [
        {"name": entry["name"], "value": added[entry["name"]]} if entry["name"] in added else entry
        for entry in entries
    ]
    entries += [{"name": name, "value": value} for name, value in added.items() if name not in known]
    if entries:
        container["env"] = entries
    else:
        container.pop("env", None)
