"""`wait`: until objects have a condition, a field has a value, or they exist or are gone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from services.api.errors import ApiError
from services.kubectl import following, manifests, resources
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, quote, raise_all
from services.kubectl.flags import Flag, boolean, seconds, text, texts
from services.kubectl.output import printers
from services.kubectl.output.results import PRINT_FLAGS, Results
from services.kubectl.resources import Wanted
from services.kubectl.session import Session
from services.machinery import jsonpath
from services.machinery.clock import Clock

Json = dict[str, Any]
Met = Callable[[Json], bool]

FOREVER_SECONDS = 168 * 3600
FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    boolean("all", "Every object of the kind in the namespace"),
    boolean("all-namespaces", "In all namespaces", short="A"),
    text("field-selector", "Only objects whose fields match"),
    texts("filename", "Files that name the objects", short="f"),
    texts("for", "create, delete, condition=NAME[=VALUE], or jsonpath='{PATH}'[=VALUE]", split=False),
    boolean("local", "Not supported"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    text("selector", "Only objects whose labels match", short="l"),
    seconds("timeout", "How long; negative: a week, 0: look once", default=30),
)


def condition(word: str) -> Met:
    """Whether an object's condition has that status; `observedGeneration`, where kept, must be current."""
    name, equals, value = word.partition("=")
    wanted = value.lower() if equals else "true"

    def met(obj: Json) -> bool:
        status = obj.get("status") or {}
        for entry in status.get("conditions") or ():
            if entry.get("type", "").lower() != name.lower():
                continue
            generation = obj["metadata"].get("generation", 0)
            observed = entry.get("observedGeneration", status.get("observedGeneration", generation))
            return observed >= generation and str(entry.get("status", "")).lower() == wanted
        return False

    return met


def path(word: str) -> Met:
    expression, equals, value = _split_path(word)
    try:
        nodes = printers.parse_jsonpath(jsonpath.relaxed(expression))
    except jsonpath.JsonPathError as error:
        raise Fail(str(error)) from error
    wanted = value.strip("'\"")

    def met(obj: Json) -> bool:
        found = jsonpath.find(nodes, obj)
        if not equals:
            return bool(found)
        if len(found) != 1 or isinstance(found[0], (dict, list)):
            return False
        return jsonpath.format_value(found[0]) == wanted

    return met


def _split_path(word: str) -> tuple[str, str, str]:
    """The path may hold `==` inside of its braces."""
    end = word.rfind("}")
    if end < 0:
        return word.partition("=")
    expression, rest = word[: end + 1], word[end + 1 :].lstrip("'\"")
    if rest and not rest.startswith("="):
        raise Fail(
            "jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3"
            " or --for=jsonpath='{.status.readyReplicas}'"
        )
    return expression.lstrip("'\""), rest[:1], rest[1:]


async def run(session: Session) -> None:
    flags = session.flags
    if flags["local"]:
        raise Fail(f"{session.world.program} cannot do this with --local")
    words = flags["for"] or ("",)
    checks = [(word, _check_for(word)) for word in words]
    wanted = (
        manifests.references(session)
        if flags["filename"]
        else resources.parse(session, session.args, collections=bool(flags["all"] or flags["selector"]))
    )
    limit = flags["timeout"] if flags["timeout"] >= 0 else FOREVER_SECONDS
    patience = Patience(session.world.clock, limit)
    for word, met in checks:
        lowered = word.lower()
        if lowered == "delete":
            await _deleted(session, wanted, patience)
        elif lowered == "create":
            await _created(session, wanted, patience)
        elif met is not None and limit:
            await _until(session, wanted, met, patience)
        elif met is not None:
            await _at_once(session, wanted, met)


class Patience:
    """One for all that a command waits for: what comes later has only what is left."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._end = clock, clock.monotonic() + seconds

    def left(self) -> AbstractAsyncContextManager[object]:
        return self._clock.timeout(max(self._end - self._clock.monotonic(), 0.001))


def _check_for(word: str) -> Met | None:
    if word.lower() in ("delete", "create"):
        return None
    if word.startswith("condition="):
        return condition(word.removeprefix("condition="))
    if word.startswith("jsonpath="):
        return path(word.removeprefix("jsonpath="))
    raise Fail(f"unrecognized condition: {quote(word)}")


async def _names(
    session: Session, wanted: list[Wanted]
) -> tuple[list[tuple[Wanted, str, str]], list[Exception]]:
    """What to wait for, with namespaces and uids; collections become what is in them."""
    found, errors = await resources.fetch(
        session,
        wanted,
        labels=session.flags["selector"],
        fields=session.flags["field-selector"],
        all_namespaces=session.flags["all-namespaces"],
    )
    items = [
        (Wanted(item.resource, item.name), item.namespace, str(item.object["metadata"].get("uid", "")))
        for item in found
    ]
    return items, errors


async def _at_once(session: Session, wanted: list[Wanted], met: Met) -> None:
    """`--timeout=0`: as it is now."""
    found, errors = await resources.fetch(
        session,
        wanted,
        labels=session.flags["selector"],
        fields=session.flags["field-selector"],
        all_namespaces=session.flags["all-namespaces"],
    )
    results = Results(session, "condition met")
    if not found and not errors:
        raise Fail("no matching resources found")
    for item in found:
        if met(item.object):
            results.show(item.object)
        else:
            errors.append(Fail(f"condition not met for {item.resource.plural}/{item.name}"))
    raise_all(errors)


async def _until(session: Session, wanted: list[Wanted], met: Met, patience: Patience) -> None:
    items, errors = await _names(session, wanted)
    results = Results(session, "condition met")
    if not items and not errors:
        raise Fail("no matching resources found")
    for item, namespace, _ in items:
        try:
            async with patience.left():
                async for obj in following.states(session, item.resource, namespace, item.name):
                    if obj is None:
                        errors.append(_gone(item))
                        break
                    if met(obj):
                        results.show(obj)
                        session.world.out.flush()
                        break
        except TimeoutError:
            errors.append(_timed_out(item))
    raise_all(errors)


def _gone(item: Wanted) -> Exception:
    from services.api import errors as api_errors

    return api_errors.not_found(item.resource, item.name)


def _timed_out(item: Wanted) -> Fail:
    return Fail(f"timed out waiting for the condition on {item.resource.plural}/{item.name}")


async def _deleted(session: Session, wanted: list[Wanted], patience: Patience) -> None:
    items, errors = await _names(session, wanted)
    errors = [error for error in errors if not (isinstance(error, ApiError) and error.reason == "NotFound")]
    results = Results(session, "condition met")
    for item, namespace, uid in items:
        try:
            async with patience.left():
                await following.until_gone(session, item.resource, namespace, item.name, uid)
            results.show(
                {
                    "apiVersion": item.resource.api_version,
                    "kind": item.resource.kind,
                    "metadata": {"name": item.name},
                }
            )
        except TimeoutError:
            errors.append(_timed_out(item))
    raise_all(errors)


async def _created(session: Session, wanted: list[Wanted], patience: Patience) -> None:
    results = Results(session, "condition met")
    for item in wanted:
        namespace = resources.namespace_of(session, item.resource)
        try:
            async with patience.left():
                async for obj in following.states(session, item.resource, namespace, item.name):
                    if obj is not None:
                        results.show(obj)
                        break
        except TimeoutError as error:
            raise Fail("timed out waiting for the condition") from error


WAIT = Command(
    "wait",
    "wait ([-f FILENAME] | resource.group/resource.name | resource.group [(-l label | --all)])"
    " [--for=create|--for=delete|--for condition=available|--for=jsonpath='{}'[=value]]",
    "Wait for a specific condition on one or many resources.",
    run=run,
    flags=FLAGS,
    examples="""
  # Until a Pod is ready
  {program} wait --for=condition=Ready pod/kubia

  # Until it is gone
  {program} wait --for=delete pod/kubia --timeout=60s
""",
)
