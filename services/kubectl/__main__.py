"""`ok`: kubectl's commands over gRPC, for those who have no kubectl.

One line is one run: find the command, read its flags, find the cluster, do it, exit with kubectl's
code. Nothing is imported before it is needed, since people wait for the prompt. The cluster is the
one of `--server`, of ORRERY_SERVER, or of `$ORRERY_HOME/cluster.json`, in this order.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from services.api.errors import ApiError
from services.client.credentials import Credentials, of_administrator
from services.kubectl import errors
from services.kubectl.commands import registry
from services.kubectl.commands.registry import Command
from services.kubectl.flags import Flag, FlagError, Help, Parsed, check_required, parse
from services.kubectl.session import Session, World

DEFAULT_ADDRESS = "127.0.0.1:6444"
GC_THRESHOLD = 50_000
USER_AGENT = "kubectl/v1.36.2 (orrery)"


def main() -> int:
    gc.set_threshold(GC_THRESHOLD)  # imports make many objects that stay; looking through them costs the user
    program = os.path.basename(sys.argv[0])
    try:
        return run(sys.argv[1:], _world("ok" if program.startswith("__main__") else program))
    except BrokenPipeError:  # `ok get pods | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    finally:
        gc.freeze()  # the interpreter, too, would look through all of them once more before it ends


def _world(program: str) -> World:
    from random import Random, SystemRandom

    from services.process.clock import SystemClock

    return World(
        out=sys.stdout,
        err=sys.stderr,
        stdin=sys.stdin.buffer,
        environ=os.environ,
        clock=SystemClock(),
        random=Random(SystemRandom().getrandbits(64)),
        connect=_connect,
        program=program,
    )


@asynccontextmanager
async def _connect(address: str, credentials: Credentials | None = None) -> AsyncIterator[Any]:
    from services.client.grpc_transport import GrpcTransport

    opening = GrpcTransport.open(address, user_agent=USER_AGENT, credentials=credentials)
    async with opening as transport:
        yield transport


def run(argv: Sequence[str], world: World) -> int:
    """Executes one command line. Returns the exit code."""
    return asyncio.run(execute(argv, world))


async def execute(argv: Sequence[str], world: World) -> int:
    """As `run`, for those who have an event loop already."""
    try:
        return await _execute(list(argv), world)
    except errors.Exit as end:
        return end.code
    except (errors.Fail, errors.Several, errors.Refused, ApiError) as error:
        return _tell(error, world)
    except BaseExceptionGroup as group:
        return _tell(_innermost(group), world)
    finally:
        world.out.flush()


def _tell(error: BaseException, world: World) -> int:
    text, code = errors.render(error)
    world.out.flush()
    world.err.write(text.rstrip("\n") + "\n")
    return code


def _innermost(error: BaseException) -> BaseException:
    """The one that says what happened, of what tasks raised together; faults of ours rise as they are."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, (errors.Fail, errors.Several, errors.Refused, ApiError)):
        raise error
    return error


async def _execute(argv: list[str], world: World) -> int:
    command, path, words = _find(argv, world)
    if command is None:
        from services.kubectl import help

        world.out.write(help.options(world.program) if words[:1] == ["options"] else help.root(world.program))
        return 0
    try:
        flags = parse((*registry.GLOBAL_FLAGS, *command.flags), words)  # a command's own come before
    except Help:
        from services.kubectl import help

        world.out.write(help.of(command, path, world.program))
        return 0
    except FlagError as error:
        raise errors.Fail(f"{error}\nSee '{path} --help' for usage.") from error
    try:
        check_required(command.flags, flags)
    except FlagError as error:
        raise errors.Fail(str(error)) from error
    if command.run is None:
        return _group(command, path, flags, world)
    await _run(command, path, flags, world)
    return 0


def _group(command: Command, path: str, flags: Parsed, world: World) -> int:
    """A command that only groups others was typed alone, or with a word that is none of them."""
    if flags.args:
        quoted = errors.quote(" ".join(flags.args))
        raise errors.Fail(f"{command.unknown.format(quoted=quoted)}\nSee '{path} -h' for help and examples")
    from services.kubectl import help

    # Upstream's groups differ in where they say this, too.
    stream = world.out if command.name in ("certificate", "rollout") else world.err
    stream.write(help.of(command, path, world.program))
    return 0 if command.name == "certificate" else 1


def _find(argv: list[str], world: World) -> tuple[Command | None, str, list[str]]:
    """The command that the line names, its path, and the line without the names."""
    words, path = list(argv), world.program
    at = _first_word(words, registry.GLOBAL_FLAGS)
    if at is None:
        return _no_command(words, world)
    name = words[at]
    if name in ("help", "options"):
        return None, path, [name]
    command = registry.load(name)
    if command is None:
        raise errors.Fail(
            f"unknown command {errors.quote(name)} for {errors.quote(world.program)}{_hint(name)}"
        )
    del words[at]
    path = f"{path} {command.name}"
    while command.children:
        at = _first_word(words, (*command.flags, *registry.GLOBAL_FLAGS))
        child = command.child(words[at]) if at is not None else None
        if at is None or child is None:
            break
        del words[at]
        command, path = child, f"{path} {child.name}"
    return command, path, words


def _no_command(words: list[str], world: World) -> tuple[None, str, list[str]]:
    try:
        parse(registry.GLOBAL_FLAGS, words)
    except Help:
        pass
    except FlagError as error:
        raise errors.Fail(f"{error}\nSee '{world.program} --help' for usage.") from error
    return None, world.program, words


def _first_word(words: list[str], flags: Sequence[Flag]) -> int | None:
    """Where the first word stands that is neither a flag nor a flag's value."""
    takes_value = {f"--{flag.name}" for flag in flags if flag.bare is None}
    takes_value |= {f"-{flag.short}" for flag in flags if flag.short and flag.bare is None}
    skip = False
    for index, word in enumerate(words):
        if skip:
            skip = False
        elif word == "--":
            return None
        elif word.startswith("-") and len(word) > 1:
            skip = word in takes_value
        else:
            return index
    return None


def _hint(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, registry.names(), n=3, cutoff=0.6)
    return "\n\nDid you mean this?\n" + "".join(f"\t{word}\n" for word in close) if close else ""


async def _run(command: Command, path: str, flags: Parsed, world: World) -> None:
    from services.client.raw import RawClient
    from services.kubectl.link import Link
    from services.machinery import trace

    _check_globals(flags)
    address, state, cluster = _address(flags, world)
    namespace = flags["namespace"] or state.get("namespace") or "default"
    credentials = _credentials(flags, world)
    cause = trace.start(world.random)
    if flags["v"].isdigit() and int(flags["v"]) >= 6:
        world.err.write(f"trace {trace.trace_id(cause)}\n")
    assert command.run is not None
    with trace.scope(cause):
        async with world.connect(address, credentials) as transport:
            link = Link(transport, address, lambda text: session.warn(text), cluster=cluster)
            session = Session(
                world, flags, address, namespace, RawClient(link), path, credentials=credentials
            )
            try:
                async with world.clock.timeout(timeout_seconds(flags) if command.name != "get" else None):
                    await _begun(command.run, session)
            except TimeoutError as error:
                raise errors.Fail("context deadline exceeded") from error


async def _begun(run: Callable[[Session], Awaitable[None]], session: Session) -> None:
    """Once more where it met a kind that the server may know."""
    from services.kubectl import served

    served.forget()
    try:
        await run(session)
    except served.Unserved:
        await served.ask(session.client)
        await run(session)


def _check_globals(flags: Parsed) -> None:
    if flags["context"] and flags["context"] != "orrery":
        raise errors.Fail(f"context {errors.quote(flags['context'])} does not exist")
    if (flags["as-group"] or flags["as-uid"]) and not flags["as"]:
        raise errors.Verbatim(
            "Error in configuration: requesting uid, groups or user-extra for u without impersonating a user"
        )
    timeout_seconds(flags)


def timeout_seconds(flags: Parsed) -> float | None:
    from services.machinery import duration

    text = flags["request-timeout"]
    try:
        return float(text) or None if text.isdigit() else duration.parse(text) or None
    except ValueError as error:
        raise errors.Fail(
            "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a"
            " corresponding time unit (e.g. 1s | 2m | 3h)"
        ) from error


def _credentials(flags: Parsed, world: World) -> Credentials | None:
    """The administrator of the cluster; in whose name else, if somebody was named."""
    found = of_administrator(world.home(), world.environ)
    if found is None:
        return None
    said = [("authorization", f"Bearer {flags['token']}")] if flags["token"] else []
    said += [("impersonate-user", flags["as"])] if flags["as"] else []
    said += [("impersonate-group", group) for group in flags["as-group"]]
    said += [("impersonate-uid", flags["as-uid"])] if flags["as-uid"] else []
    return replace(found, metadata=tuple(said))


def _address(flags: Parsed, world: World) -> tuple[str, dict[str, Any], bool]:
    """Where the API server is, what is stored beside it, and whether there is a cluster to ask at all.

    A home that was named and has no cluster is an empty one: what listens at the default port belongs to
    somebody else. Nobody named a home: that port is where compose puts its cluster.
    """
    state = _read(world.home() / "ok.json")
    given = flags["server"] or world.environ.get("ORRERY_SERVER", "")
    if given:
        return given.removeprefix("https://").removeprefix("http://").rstrip("/"), state, True
    known = str(_read(world.home() / "cluster.json").get("apiserver") or "")
    return known or DEFAULT_ADDRESS, state, bool(known) or not world.environ.get("ORRERY_HOME")


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
