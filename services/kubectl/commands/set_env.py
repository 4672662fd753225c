"""Environment variables of containers: added, removed, listed, or taken over from ConfigMaps and Secrets.

Upstream: kubectl's set env command. A reference that cannot be resolved is told on stderr; the rest is shown.
"""

from __future__ import annotations

import base64
import fnmatch
import re
from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import resources
from services.kubectl.errors import Fail, quote
from services.kubectl.flags import Flag, boolean, text, texts
from services.kubectl.resources import Found
from services.kubectl.session import Session
from services.machinery import quantity

Json = dict[str, Any]
Edit = Callable[[Json, Json], None]  # of an object and the Pod spec in it

FLAGS: tuple[Flag, ...] = (
    text("containers", "Names of the containers, with wildcards", short="c", default="*"),
    texts("env", "KEY=VALUE, another way to give it", short="e", split=False),
    text("from", "A ConfigMap or Secret to take all keys from"),
    texts("keys", "Only these keys of --from"),
    boolean("list", "Show what is set"),
    boolean("overwrite", "Change values that exist", default=True),
    text("prefix", "Put before each name that is set"),
    boolean("resolve", "Show values of references, with --list"),
)
_SOURCES = {"ConfigMap": "configMapKeyRef", "Secret": "secretKeyRef"}
_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_NAME_WORDS = (
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and"
    " must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for"
    " validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')"
)
_SUBSCRIPT = re.compile(r"(.+?)\['(.*)'\]", re.DOTALL)


def _containers(spec: Json, pattern: str) -> list[Json]:
    everything = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return [container for container in everything if fnmatch.fnmatchcase(container["name"], pattern)]


# -- changing ------------------------------------------------------------------------------------


async def editor(session: Session, changes: list[str]) -> Edit:
    """What changes a Pod spec as the line says."""
    flags = session.flags
    added, removed = _parse([*flags["env"], *changes])
    if flags["from"]:
        added += await _taken_over(session)
    entries = {f"{flags['prefix']}{entry['name']}": entry for entry in added}
    entries = {name: {**entry, "name": name} for name, entry in entries.items()}

    def edit(obj: Json, spec: Json) -> None:
        containers = _containers(spec, flags["containers"])
        if not containers:
            where = f"{obj['kind']}/{obj['metadata']['name']}"
            session.warn(f"{where} does not have any containers matching {quote(flags['containers'])}")
        for container in containers:
            _apply(container, entries, removed, overwrite=flags["overwrite"])

    return edit


def _parse(pairs: list[str]) -> tuple[list[Json], set[str]]:
    added: list[Json] = []
    removed: set[str] = set()
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if equals:
            if not _NAME.fullmatch(key):
                raise Fail(f"{quote(key)} is not a valid key name: {_NAME_WORDS}")
            added.append({"name": key, "value": value})
        elif pair.endswith("-"):
            removed.add(pair[:-1])
        else:
            raise Fail(f"unknown environment variable: {pair}")
    if removed & {entry["name"] for entry in added}:
        raise Fail("can not both modify and remove the same environment variable in the same command")
    return added, removed


async def _taken_over(session: Session) -> list[Json]:
    """One variable for each key of --from, named after it."""
    found, errors = await resources.fetch(session, resources.parse(session, [session.flags["from"]]))
    if errors:
        raise errors[0]
    entries: list[Json] = []
    for item in found:
        field = _SOURCES.get(item.resource.kind)
        if field is None:
            raise Fail("unsupported resource specified in --from")
        for key in sorted(item.object.get("data") or {}):
            if session.flags["keys"] and key not in session.flags["keys"]:
                continue
            name = re.sub(r"[^a-zA-Z0-9_]", "_", key).upper()
            if name != key:
                session.warn(f"key {key} transferred to {name}")
            entries.append({"name": name, "valueFrom": {field: {"name": item.name, "key": key}}})
    return entries


def _apply(container: Json, added: dict[str, Json], removed: set[str], *, overwrite: bool) -> None:
    entries = [entry for entry in container.get("env") or () if entry["name"] not in removed]
    known = {entry["name"] for entry in entries}
    clash = sorted(name for name in added if name in known)
    if clash and not overwrite:
        raise Fail(f"'{clash[0]}' already has a value, and --overwrite is false")
    entries = [added.get(entry["name"], entry) for entry in entries]
    entries += [entry for name, entry in added.items() if name not in known]
    if entries:
        container["env"] = entries
    else:
        container.pop("env", None)


# -- listing -------------------------------------------------------------------------------------


async def show(session: Session, item: Found, spec: Json) -> None:
    """`NAME=value`, or where the value comes from; with --resolve what it is there."""
    unresolved = False
    for container in _containers(spec, session.flags["containers"]):
        session.print(f"# {item.resource.kind} {item.name}, container {container['name']}")
        failures: dict[str, list[str]] = {}
        for entry in container.get("env") or ():
            source = entry.get("valueFrom")
            if not source:
                session.print(f"{entry['name']}={entry.get('value', '')}")
                continue
            if session.flags["resolve"]:
                try:
                    session.print(f"{entry['name']}={await _resolved(session, item, container, source)}")
                    continue
                except (ApiError, Fail) as error:
                    message = error.message if isinstance(error, ApiError) else str(error)
                    failures.setdefault(message, []).append(entry["name"])
            session.print(f"# {entry['name']} from {_origin(source)}")
        unresolved = unresolved or bool(failures)
        told = (f"{', '.join(sorted(names))}: {message}" for message, names in failures.items())
        for line in sorted(told):
            session.complain(f"error retrieving reference for {line}")
    if unresolved:
        raise Fail(f"{item.resource.plural}/{item.name} failed to retrieve valueFrom references")


def _origin(source: Json) -> str:
    if reference := source.get("configMapKeyRef"):
        return f"configmap {reference['name']}, key {reference['key']}"
    if reference := source.get("secretKeyRef"):
        return f"secret {reference['name']}, key {reference['key']}"
    if reference := source.get("fieldRef"):
        return f"field path {reference['fieldPath']}"
    if reference := source.get("resourceFieldRef"):
        container = reference.get("containerName")
        return f"resource field {f'{container}/' if container else ''}{reference['resource']}"
    return "invalid valueFrom"


async def _resolved(session: Session, item: Found, container: Json, source: Json) -> str:
    if reference := source.get("configMapKeyRef"):
        return await _value(session, item, "ConfigMap", "config map", reference)
    if reference := source.get("secretKeyRef"):
        encoded = await _value(session, item, "Secret", "secret", reference)
        return base64.b64decode(encoded).decode(errors="replace")
    if reference := source.get("fieldRef"):
        return _field(item.object["metadata"], reference["fieldPath"])
    if reference := source.get("resourceFieldRef"):
        return _amount(container, reference)
    raise Fail("invalid valueFrom")


async def _value(session: Session, item: Found, kind: str, words: str, reference: Json) -> str:
    resource = kinds.resource_of_kind("v1", kind)
    assert resource is not None
    holder = await session.client.get(resource, reference["name"], item.namespace)
    data = holder.get("data") or {}
    if reference["key"] not in data:
        raise Fail(f"key {reference['key']} not found in {words} {reference['name']}")
    return str(data[reference["key"]])


def _field(metadata: Json, path: str) -> str:
    """Of the object that holds the template: the Pods are not made yet."""
    if match := _SUBSCRIPT.fullmatch(path):
        holder, key = match.groups()
        if holder not in ("metadata.annotations", "metadata.labels"):
            raise Fail(f"fieldPath {quote(path)} does not support subscript")
        return str((metadata.get(holder.removeprefix("metadata.")) or {}).get(key, ""))
    name = path.removeprefix("metadata.")
    if name == path or name not in ("annotations", "labels", "name", "namespace", "uid"):
        raise Fail(f"unsupported fieldPath: {path}")
    value = metadata.get(name)
    if isinstance(value, dict):
        return "\n".join(f"{key}={quote(text)}" for key, text in sorted(value.items()))
    return str(value or "")


def _amount(container: Json, reference: Json) -> str:
    kind, _, name = reference["resource"].partition(".")
    known = name in ("cpu", "memory", "ephemeral-storage") or name.startswith("hugepages-")
    if kind not in ("limits", "requests") or not known:
        raise Fail(f"Unsupported container resource : {reference['resource']}")
    amount = ((container.get("resources") or {}).get(kind) or {}).get(name, "0")
    divisor = Fraction(quantity.parse(reference.get("divisor") or "0")) or Fraction(1)
    return str(ceil(Fraction(quantity.parse(amount)) / divisor))
