"""What an image's program does, told as data: the `behaviour` of an image in config/images/.

    program: /usr/local/bin/node      the executable that acts like this
    answers: {"--version": "v7.9.0"}  short invocations: print, exit 0
    needs:   [{host: crane-mysql, port: 3306, error: [...], exitCode: 1}]
    startSeconds: 0.2                 before anything is printed or listened on
    log:     ["Kubia server starting..."]
    http:    [{port: 8080, body: "You've hit ${hostname}\n", log: "Received request from ${client}"}]
    tcp:     [{port: 3306, greeting: "..."}]
    every:   [{seconds: 10, log: "tick"}]
    exit:    {afterSeconds: 5, code: 1, log: ["bye"]}
    signals: {TERM: {code: 0, seconds: 0.1, log: [...]}, HUP: ignore}
    memory:  {mebibytes: 20, growMebibytesPerSecond: 1}
    cpu:     {millicores: 2}
    cases:   [{arguments: [netexec], http: […], exit: null}]   differs when the command line begins like this

A program without anything left to do waits at no cost. A signal that is not listed acts as on Linux,
which means that process 1 ignores it. docs: see config/images/README.md for every field.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import Any

from services.runtime import http_server
from services.runtime.kernel import Future
from services.runtime.model import signal_number
from services.runtime.network import Connection, Listener
from services.runtime.processes import Exit, Process, Program
from services.runtime.templates import fill
from services.runtime.usage import MEBIBYTE

Spec = Mapping[str, Any]
CONNECT_SECONDS = 1.0


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
    spec = _case(spec, process.argv)
    answer = _answer(spec, process.argv)
    if answer is not None:
        await process.write(answer if answer.endswith("\n") else answer + "\n")
        return 0
    _declare_usage(process, spec)
    over: Future[int] = Future()
    _handle_signals(process, spec, over)
    if spec.get("startSeconds"):
        await process.sleep(float(spec["startSeconds"]))
    for need in spec.get("needs", ()):
        await _need(process, need)
    listeners = await _listen(process, spec)
    try:
        for line in spec.get("log", ()):
            await process.write(fill(line, process) + "\n")
        for repeat in spec.get("every", ()):
            _repeat(process, repeat, over)
        ending = spec.get("exit")
        if ending is not None:
            _end_later(process, ending, over)
        return await over
    finally:
        for listener in listeners:
            process.container.sandbox.namespace.stop(listener)


def _declare_usage(process: Process, spec: Spec) -> None:
    container = process.container
    memory, cpu = spec.get("memory", {}), spec.get("cpu", {})
    if memory:
        container.set_memory(
            int(float(memory.get("mebibytes", 1)) * MEBIBYTE),
            float(memory.get("growMebibytesPerSecond", 0)) * MEBIBYTE,
        )
    container.usage.set_cpu(container.now_seconds(), int(float(cpu.get("millicores", 1)) * 1_000_000))


def _handle_signals(process: Process, spec: Spec, over: Future[int]) -> None:
    for name, action in spec.get("signals", {}).items():
        number = signal_number(name)
        if number is None:
            continue
        if action == "ignore":
            process.handlers[number] = None
            continue

        def handle(_: int, action: Mapping[str, Any] = action) -> None:
            _end_later(process, {**action, "afterSeconds": action.get("seconds", 0)}, over)

        process.handlers[number] = handle


def _end_later(process: Process, ending: Mapping[str, Any], over: Future[int]) -> None:
    def end() -> None:
        for line in ending.get("log", ()):
            process.container.log.write("stdout", (fill(line, process) + "\n").encode())
        over.set(int(ending.get("code", 0)))

    seconds = float(ending.get("afterSeconds", 0))
    if seconds <= 0:
        end()
        return
    timer = process.container.kernel.timer(seconds)
    timer.future.on_done(end)
    process.exit.on_done(timer.cancel)


def _repeat(process: Process, repeat: Mapping[str, Any], over: Future[int]) -> None:
    async def tick() -> int:
        while not over.done:
            await process.sleep(max(float(repeat.get("seconds", 1)), 0.1))
            await process.write(fill(str(repeat.get("log", "")), process) + "\n")
        return 0

    task = process.container.kernel.spawn(tick())
    process.exit.on_done(lambda: task.kill(137))


async def _need(process: Process, need: Mapping[str, Any]) -> None:
    """Dials what the program cannot live without; where nobody answers it prints why, and exits."""
    host, port = fill(str(need["host"]), process), _port(process, need["port"])
    container = process.container
    network, source = container.machine.network, container.sandbox.namespace
    reason = await _dial(network, source, host, port)
    if reason is None:
        return
    values = {"host": host, "port": str(port), "reason": reason}
    for line in need.get("error", ["cannot connect to ${host}:${port}: ${reason}"]):
        await process.complain(fill(line, process, values))
    raise Exit(int(need.get("exitCode", 1)))


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
        listener = Listener(stream=_greeter(str(server.get("greeting", ""))))
        await _bind(process, _port(process, server["port"]), listener, spec)
        listeners.append(listener)
    return listeners


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


def _greeter(greeting: str) -> Any:
    async def serve(connection: Connection) -> None:
        if greeting:
            await connection.outgoing.write(greeting.encode("latin-1", "replace"))
        while await connection.incoming.read(65536):
            pass

    return serve
