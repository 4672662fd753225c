"""What an image's program does, told as data: the `behaviour` of an image in config/images/.

    program: /usr/local/bin/node      the executable that acts like this
    answers: {"--version": "v7.9.0"}  short invocations: print, exit 0
    acts:    stress                   a whole program of behaviours/; nothing below counts then
    requires: [{env: PASSWORD, error: [...], exitCode: 1}]
    needs:   [{host: crane-mysql, port: 3306, error: [...], exitCode: 1, retrySeconds: 2, attempts: 0}]
    startSeconds: 0.2                 before anything is printed or listened on
    log:     ["Kubia server starting..."]
    http:    [{port: 8080, body: "You've hit ${hostname}\n", log: "Received request from ${client}"}]
    tcp:     [{port: 6379, speaks: redis}, {port: 9, greeting: "..."}, {port: 7, hangs: true}]
    every:   [{seconds: 10, log: "tick"}]
    steps:   [{seconds: 2, log: "working on it"}]
    exit:    {afterSeconds: 5, code: 1, signal: SEGV, log: ["bye"], termination: "why"}
    signals: {TERM: {code: 0, seconds: 0.1, log: [...]}, HUP: ignore}
    memory:  {mebibytes: 20, growMebibytesPerSecond: 1}
    disk:    {mebibytes: 0, growMebibytesPerSecond: 5}
    cpu:     {millicores: 2}
    cases:   [{arguments: [netexec], http: […], exit: null}]   differs when the command line begins like this

A program without anything left to do waits at no cost. A signal that is not listed acts as on Linux,
which means that process 1 ignores it. What a description gets wrong (a word for a number, a speaker that
there is not) ends the container with an error on its stderr, and nothing else.
docs: see config/images/README.md for every field.
"""

from __future__ import annotations

import errno
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from services.runtime import behaviours, http_server
from services.runtime.kernel import Future
from services.runtime.model import SIGKILL, signal_number
from services.runtime.network import Connection, Listener, StreamHandler
from services.runtime.processes import Exit, Process, Program
from services.runtime.templates import fill
from services.runtime.usage import MEBIBYTE

Spec = Mapping[str, Any]
BAD_DESCRIPTION_STATUS = 70  # EX_SOFTWARE


def applies(spec: Spec, path: str, argv: Sequence[str]) -> bool:
    """Whether this command line is the program that the image describes."""
    programs = spec.get("program")
    if path not in (programs if isinstance(programs, list) else [programs]):
        return False
    wanted = spec.get("arguments")
    return wanted is None or list(argv[1 : 1 + len(wanted)]) == wanted or _answer(spec, argv) is not None


def program(spec: Spec) -> Program:
    return lambda process: _run(process, spec)


def _case(spec: Spec, argv: Sequence[str]) -> Spec:
    """What holds for this command line: the first case that it begins like, over the rest."""
    for case in spec.get("cases", ()):
        wanted = case["arguments"]
        if list(argv[1 : 1 + len(wanted)]) == wanted:
            return {name: value for name, value in {**spec, **case}.items() if value is not None}
    return spec


def _answer(spec: Spec, argv: Sequence[str]) -> str | None:
    answers = spec.get("answers", {})
    return answers.get(" ".join(argv[1:])) if len(argv) > 1 else None


async def _run(process: Process, spec: Spec) -> int:
    try:
        return await _live(process, spec)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # Descriptions are data of users: what is wrong in one is theirs to read.
        await process.complain(f"{process.name}: its behaviour is described wrongly: {error!r}")
        return BAD_DESCRIPTION_STATUS


async def _live(process: Process, spec: Spec) -> int:
    spec = _case(spec, process.argv)
    answer = _answer(spec, process.argv)
    if answer is not None:
        await process.write(answer if answer.endswith("\n") else answer + "\n")
        return 0
    if "acts" in spec:
        return await behaviours.ACTORS[spec["acts"]](process)
    _declare_usage(process, spec)
    over: Future[int] = Future()
    _handle_signals(process, spec, over)
    for wish in spec.get("requires", ()):
        await _require(process, wish)
    if spec.get("startSeconds"):
        await process.sleep(float(spec["startSeconds"]))
    for need in spec.get("needs", ()):
        await _need(process, need)
    listeners = await _listen(process, spec)
    try:
        for line in spec.get("log", ()):
            await process.write(fill(line, process) + "\n")
        for repeat in spec.get("every", ()):
            _beside(process, _repeat(process, repeat))
        if spec.get("steps") or spec.get("exit") is not None:
            _beside(process, _go_through(process, spec, over))
        return await over
    finally:
        for listener in listeners:
            process.container.sandbox.namespace.stop(listener)


def _declare_usage(process: Process, spec: Spec) -> None:
    container = process.container
    memory, cpu, disk = spec.get("memory", {}), spec.get("cpu", {}), spec.get("disk", {})
    if memory:
        container.set_memory(
            int(float(memory.get("mebibytes", 1)) * MEBIBYTE),
            float(memory.get("growMebibytesPerSecond", 0)) * MEBIBYTE,
        )
    if disk:
        start, growth = float(disk.get("mebibytes", 0)), float(disk.get("growMebibytesPerSecond", 0))
        container.usage.set_disk(container.now_seconds(), int(start * MEBIBYTE), growth * MEBIBYTE)
    container.usage.set_cpu(container.now_seconds(), int(float(cpu.get("millicores", 1)) * 1_000_000))


def _beside(process: Process, work: Coroutine[Any, Any, int]) -> None:
    """Runs beside the program, and ends with it; a fault in it is told as one of the program."""
    task = process.container.kernel.spawn(work)
    process.exit.on_done(lambda: task.kill(137))

    def ended() -> None:
        if isinstance(task.error, Exception) and not isinstance(task.error, OSError):
            process.container.report(process, task.error)

    task.finished.on_done(ended)


def _handle_signals(process: Process, spec: Spec, over: Future[int]) -> None:
    for name, action in spec.get("signals", {}).items():
        number = signal_number(name)
        if number is None:
            continue
        if action == "ignore":
            process.handlers[number] = None
            continue

        def handle(_: int, action: Mapping[str, Any] = action) -> None:
            ending = {**action, "afterSeconds": action.get("seconds", 0)}
            _beside(process, _end(process, ending, over))

        process.handlers[number] = handle


async def _go_through(process: Process, spec: Spec, over: Future[int]) -> int:
    """The steps of a batch, and the end, if there is one."""
    for step in spec.get("steps", ()):
        await process.sleep(float(step.get("seconds", 0)))
        if "log" in step:
            await process.write(fill(str(step["log"]), process) + "\n")
    if spec.get("exit") is not None:
        await _end(process, spec["exit"], over)
    return 0


async def _end(process: Process, ending: Mapping[str, Any], over: Future[int]) -> int:
    code = int(ending.get("code", 0))
    if "signal" in ending:
        code = 128 + (signal_number(str(ending["signal"])) or SIGKILL)
    seconds = float(ending.get("afterSeconds", 0))
    if seconds > 0:
        await process.sleep(seconds)
    for line in ending.get("log", ()):
        await process.write(fill(line, process) + "\n")
    if "termination" in ending:
        path = str(ending.get("terminationPath", "/dev/termination-log"))
        text = fill(str(ending["termination"]), process).encode()
        with suppress(OSError):
            process.container.filesystem.write(path, text, modified=process.container.now_seconds())
    over.set(code)
    return 0


async def _repeat(process: Process, repeat: Mapping[str, Any]) -> int:
    seconds = max(float(repeat.get("seconds", 1)), 0.1)
    while True:
        await process.sleep(seconds)
        await process.write(fill(str(repeat.get("log", "")), process) + "\n")


async def _require(process: Process, wish: Mapping[str, Any]) -> None:
    """A variable or a file without which the program does not start."""
    name, path = str(wish.get("env", "")), str(wish.get("file", ""))
    there = process.env.get(name) if name else process.container.filesystem.exists(path)
    if there:
        return
    for line in wish.get("error", [f"{name or path} is not set" if name else f"{path}: no such file"]):
        await process.complain(fill(line, process))
    raise Exit(int(wish.get("exitCode", 1)))


async def _need(process: Process, need: Mapping[str, Any]) -> None:
    """Dials what the program cannot live without; without an answer it says why, and exits or tries again."""
    host, port = fill(str(need["host"]), process), _port(process, need["port"])
    pause = float(need.get("retrySeconds", 0))
    attempts = int(need.get("attempts", 0 if "retrySeconds" in need else 1))  # 0: without end
    container = process.container
    network, source = container.machine.network, container.sandbox.namespace
    made = 0
    while True:
        reason = await _dial(network, source, host, port)
        if reason is None:
            return
        made += 1
        values = {"host": host, "port": str(port), "reason": reason, "attempt": str(made)}
        for line in need.get("error", ["cannot connect to ${host}:${port}: ${reason}"]):
            await process.complain(fill(line, process, values))
        if attempts and made >= attempts:
            raise Exit(int(need.get("exitCode", 1)))
        await process.sleep(max(pause, 0.1))


async def _dial(network: Any, source: Any, host: str, port: int) -> str | None:
    """None when it is there, else why not."""
    addresses = await network.resolve(source, host)
    if not addresses:
        return f"getaddrinfo ENOTFOUND {host}"
    try:
        connection: Connection = await network.connect(source, addresses[0], port)
    except OSError as error:
        return f"connect {errno.errorcode.get(error.errno or 0, 'EIO')} {addresses[0]}:{port}"
    connection.close()
    return None


async def _listen(process: Process, spec: Spec) -> list[Listener]:
    listeners: list[Listener] = []
    for server in spec.get("http", ()):
        listener = Listener(http=http_server.handler(process, server))
        for port in _ports(process, server):
            await _bind(process, port, listener, spec)
        listeners.append(listener)
    for server in spec.get("tcp", ()):
        listener = Listener(stream=_speaker(process, server))
        await _bind(process, _port(process, server["port"]), listener, spec)
        listeners.append(listener)
    return listeners


def _speaker(process: Process, server: Mapping[str, Any]) -> StreamHandler:
    """Whoever answers there; a fault of theirs ends the connection and is told, and no more."""
    serve: StreamHandler
    if server.get("hangs"):
        serve = _hang
    elif server.get("echo"):
        serve = _echo
    elif "speaks" in server:
        serve = behaviours.SPEAKERS[server["speaks"]](process, server)
    else:
        serve = _greeter(fill(str(server.get("greeting", "")), process))

    async def guarded(connection: Connection) -> None:
        try:
            await serve(connection)
        except (OSError, Exit):
            raise
        except Exception as error:  # the edge of a program of ours
            process.container.report(process, error)

    return guarded


async def _bind(process: Process, port: int, listener: Listener, spec: Spec) -> None:
    try:
        process.container.sandbox.namespace.listen(port, listener)
    except OSError as error:
        line = spec.get("portTaken", "listen tcp :${port}: bind: address already in use")
        await process.complain(fill(line, process, {"port": str(port)}))
        raise Exit(1) from error


def _ports(process: Process, server: Mapping[str, Any]) -> list[int]:
    """The port of the table; `fromPod` takes what the Pod's spec declares, for images we do not know."""
    if "port" in server:
        return [_port(process, server["port"])]
    declared = process.container.declared_ports()
    return declared or [_port(process, server.get("defaultPort", 8080))]


def _port(process: Process, value: object) -> int:
    """A number, or a text that a flag or a variable fills in; what is no port ends the program."""
    text = fill(str(value), process)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= 65535:
        process.container.log.write("stderr", f"invalid port {text[:100]!r}\n".encode())
        raise Exit(1)
    return int(text)


def _greeter(greeting: str) -> StreamHandler:
    async def serve(connection: Connection) -> None:
        if greeting:
            await connection.outgoing.write(greeting.encode("latin-1", "replace"))
        while await connection.incoming.read(65536):
            pass

    return serve


async def _echo(connection: Connection) -> None:
    while data := await connection.incoming.read(65536):
        await connection.outgoing.write(data)


async def _hang(connection: Connection) -> None:
    """Accepts, and then nothing: until the other side gives up."""
    while await connection.incoming.read(65536):
        pass
