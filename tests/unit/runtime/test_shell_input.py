"""Scripts that come through a pipe, waits that a signal ends, bytes that are no text, memory that counts."""

from __future__ import annotations

from services.runtime.container import Container
from services.runtime.kernel import Future, Unless
from services.runtime.model import SIGTERM, ContainerState, Resources
from services.runtime.processes import Process
from services.runtime.sessions import attach, run_to_end
from services.runtime.streams import Pipe, PipeReader, Sink, Stream
from tests.unit.runtime.harness import Bench
from tests.unit.runtime.test_shell import Typist

MEBIBYTE = 1024 * 1024


class Piped:
    """A command whose input comes bit by bit."""

    def __init__(self, container: Container, *command: str) -> None:
        self.pipe, self.shown = Pipe(), bytearray()
        reader = PipeReader(self.pipe)
        out = Sink("out", lambda _, data: self.shown.extend(data))
        streams: dict[int, Stream] = {0: reader, 1: out, 2: out}
        self.process: Process = container.exec(command, streams)
        reader.release()
        self._kernel = container.kernel

    def send(self, text: str) -> str:
        """What is answered to it, so far."""
        self.shown.clear()
        self._kernel.spawn(self.pipe.write(text.encode()))
        return self.shown.decode()

    def end(self) -> str:
        self.shown.clear()
        self.pipe.close_writer()
        return self.shown.decode()


async def test_a_piped_script_runs_as_it_comes(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    piped = Piped(container, "sh")
    assert piped.send("echo hi\n") == "hi\n"
    assert piped.send("echo a; if true\n") == "a\n" or piped.shown == b""  # one line is one piece
    assert "b\n" in piped.send("then echo b; fi\n")
    assert piped.send("cat <<E\none\n") == ""
    assert piped.send("two\nE\necho 'x\n") == "one\ntwo\n"
    assert piped.send("y'\nech") == "x\ny\n"
    assert piped.send("o split\\\n") == ""
    assert piped.send(" line\nread answer\n") == "split line\n"
    assert piped.send("42\n") == ""
    assert piped.send("echo $answer; trap 'echo bye' EXIT\n") == "42\n"
    assert piped.send("exit 3\n") == "bye\n"
    assert piped.process.exit.value() == 3


async def test_a_piped_script_ends_with_its_input_or_its_first_nonsense(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    piped = Piped(container, "sh")
    assert piped.send("false\necho unended") == ""
    assert piped.end() == "unended\n"
    assert piped.process.exit.value() == 0
    piped = Piped(container, "sh")
    piped.send("echo one\n\n")
    assert piped.send("echo two; )\n").startswith("sh: ")
    assert piped.process.exit.value() == 2
    piped = Piped(container, "sh")
    piped.send("if true; then echo late\n")
    assert "unexpected" in piped.end()


async def test_the_first_shell_of_a_container_answers_while_its_input_stays_open(it: Bench) -> None:
    container = await it.start("busybox", "sh", stdin=True)
    assert container.stdin is not None
    it.kernel.spawn(container.stdin.write(b"echo hi\n"))
    assert it.log(container) == ["hi"]
    assert container.state is ContainerState.RUNNING


async def test_an_unended_command_of_much_input_is_bounded(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    piped = Piped(container, "sh")
    piped.send("cat <<E | wc -l\n" + "line\n" * 30_000 + "E\n")
    assert piped.end().strip() == "30000" or piped.shown == b""
    assert piped.process.exit.done


async def test_ctrl_c_ends_a_read(it: Bench) -> None:
    typist = Typist(await it.start("busybox", "sleep", "inf"), "sh")
    typist.type(b"read line\r")
    assert typist.type(b"half\x03") == "half^C\r\n/ # "
    assert typist.type(b"echo $?\r").endswith("130\r\n/ # ")
    assert typist.type(b"read line\rwhole\recho $line\r").endswith("whole\r\n/ # ")


async def test_a_trap_ends_a_read_and_bash_reads_on(it: Bench) -> None:
    script = "trap 'echo trapped' TERM; read x; echo $? $x"
    piped = Piped(await it.start("busybox", "sleep", "inf"), "sh", "-c", script)
    piped.process.signal(SIGTERM)
    assert piped.shown == b"trapped\n1\n"
    piped = Piped(await it.start("debian", "sleep", "inf", sandbox=it.sandbox("other")), "bash", "-c", script)
    piped.process.signal(SIGTERM)
    assert piped.shown == b"trapped\n"
    assert piped.send("typed\n") == "0 typed\n"


async def test_read_waits_only_as_long_as_it_is_told(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    piped = Piped(container, "sh", "-c", "read -t 2 x; echo $?")
    await it.clock.advance(1)
    assert not piped.process.exit.done
    await it.clock.advance(1.5)
    assert piped.shown == b"1\n"


async def test_an_awaited_coroutine_is_given_up_for_a_disturbance(it: Bench) -> None:
    pipe, disturbed = Pipe(), Future[None]()
    waiting = it.kernel.spawn(_unless(pipe, disturbed))
    disturbed.set(None)
    assert waiting.result() is None
    it.kernel.spawn(pipe.write(b"kept"))
    assert it.kernel.spawn(_unless(pipe, Future[None]())).result() == b"kept"


async def _unless(pipe: Pipe, disturbed: Future[None]) -> bytes | None:
    return await Unless(pipe.read(10), disturbed)


async def test_escapes_make_bytes(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    cases = {
        "printf '\\377' | wc -c": "1\n",
        "printf '\\303\\251'": "é",
        "x=$(printf '\\303\\251'); echo ${#x}": "1\n",
        "echo -e '\\xff' | wc -c": "2\n",
        "printf '%b' '\\0377' | wc -c": "1\n",
        "printf '%c' é | wc -c": "1\n",
        "printf 'a\\377b' | tr '\\377' -": "a-b",
    }
    for script, expected in cases.items():
        assert (await it.shell(container, script))[1] == expected, script
    debian = await it.start("debian", "sleep", "inf", sandbox=it.sandbox("other"))
    assert (await it.run(debian, "bash", "-c", "echo -n $'\\xff' | wc -c"))[1].strip() == "1"


async def test_random_devices_do_not_say_zero(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    first = await it.shell(container, "head -c 12 /dev/urandom | base64")
    second = await it.shell(container, "head -c 12 /dev/urandom | base64")
    assert len(first[1]) == 17
    assert first[1] != second[1] != "AAAAAAAAAAAAAAAA\n"


async def ended_by(it: Bench, script: str, limit_mebibytes: int) -> str:
    limits = Resources(memory_limit_bytes=limit_mebibytes * MEBIBYTE)
    sandbox = it.sandbox(str(len(it.machine.sandboxes)))
    container = await it.start("busybox", "sh", "-c", script, resources=limits, sandbox=sandbox)
    for _ in range(400):
        if container.state is ContainerState.EXITED:
            break
        await it.clock.advance(0.25)
    return container.reason


async def test_what_tools_and_variables_keep_is_memory(it: Bench) -> None:
    assert await ended_by(it, "tail /dev/zero", 6) == "OOMKilled"
    assert await ended_by(it, "x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done", 50) == "OOMKilled"
    assert await ended_by(it, "x=$(head -c 6000000 /dev/zero | tr '\\0' x); sleep 1", 5) == "OOMKilled"
    assert await ended_by(it, "dd if=/dev/zero of=/dev/null bs=100M count=1; sleep 1", 50) == "OOMKilled"
    assert await ended_by(it, "awk 'BEGIN { while (1) a[i++] = i }'", 8) == "OOMKilled"
    assert await ended_by(it, "tail -n 1 /etc/passwd; head -c 9000000 /dev/zero | wc -c", 8) == "Completed"


async def test_memory_is_given_back(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    before = container.memory()
    piped = Piped(container, "sh")
    piped.send("x=$(head -c 1000000 /dev/zero | tr '\\0' x)\n")
    assert container.memory() >= before + 1_000_000
    piped.send("(true; y=$x$x; echo ${#y}; sleep 100)&\nunset x\n")
    assert container.memory() >= before + 2_000_000
    piped.send("kill $!\n")
    await it.clock.advance(0.1)
    assert container.memory() < before + 2_000_000
    piped.end()
    await it.clock.advance(0.1)
    assert container.memory() == before


async def test_the_kill_of_a_machine_reaches_into_containers(it: Bench) -> None:
    victim = await it.start("busybox", "sleep", "inf")
    console = await it.start("busybox", "sleep", "inf", sandbox=it.sandbox("console"))
    it.machine.beyond = {4000: victim.processes.first}.get
    assert (await it.shell(console, "kill -9 4001"))[0] == 1
    asked = it.kernel.spawn(run_to_end(console, ("sh", "-c", "kill -9 4000"), 0))
    await it.clock.advance(0.1)
    assert asked.result()[0] == 0
    assert (victim.state, victim.exit_code) == (ContainerState.EXITED, 137)


async def test_a_terminals_size_reaches_who_runs_in_it(it: Bench) -> None:
    debian = await it.start("debian", "sleep", "inf")
    typist = Typist(debian, "bash")
    assert typist.type(b"stty size; echo $COLUMNS\r").endswith("24 80\r\n80\r\nroot@web:/# ")
    typist.terminal.resize(120, 40)
    assert typist.type(b"stty size; echo $COLUMNS\r").endswith("40 120\r\n120\r\nroot@web:/# ")
    script = b"trap 'echo wider' WINCH; read x\r"
    typist = Typist(await it.start("busybox", "sleep", "inf", sandbox=it.sandbox("other")), "sh")
    typist.type(script)
    before = len(typist.shown)
    typist.terminal.resize(200, 50)
    assert b"wider" in typist.shown[before:]


async def test_lines_are_edited_where_a_terminal_is_attached(it: Bench) -> None:
    container = await it.start("busybox", "sh", stdin=True, tty=True)
    assert container.terminal is not None
    shown = bytearray()
    attach(container, lambda _, data: shown.extend(data))
    container.terminal.type(b"eco one\x01\x06\x06h\r\x1b[A\r")
    assert shown.count(b"\none\n") + shown.count(b"\none\r\n") == 2
