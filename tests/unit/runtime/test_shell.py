"""What dash cannot tell us: limits, terminals, tools of busybox, and input from nowhere."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.runtime.model import ContainerState
from services.runtime.sessions import run_to_end
from services.runtime.shell.parser import parse
from services.runtime.shell.syntax import ScriptError
from services.runtime.streams import Pipe, PipeReader, Sink, Stream
from tests.unit.runtime.harness import Bench

PIECES = st.sampled_from(
    ["echo", "a", "$x", "${x:-y}", "$(", ")", "`", "'", '"', "|", "||", "&&", "&", ";", ";;", "(", "{",
    "}", "if",
     "then", "fi", "while", "do", "done", "for", "in", "case", "esac", "<<E", "\n", "E", ">", "<", "2>&1",
     "$((", "))",
     "1+1", "\\", "#", "!", "x=1", "f()", "*", "[", "]", "~", "exit", "break", "trap", "wait", "cat",
     "read x", "\x00"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=25).map(" ".join) | st.text(max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_text_parses_or_is_refused(source: str) -> None:
    try:
        parse(source)
    except ScriptError:
        return


async def test_any_script_ends_or_waits_and_never_breaks_the_process(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    broken = []
    it.machine.report_broken_program = lambda *found: broken.append(found)  # type: ignore[method-assign]

    @given(st.lists(PIECES, max_size=12).map(" ".join))
    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    def run(source: str) -> None:
        streams: dict[int, Stream] = {1: Sink("stdout", lambda *_: None), 2: Sink("stderr", lambda *_: None)}
        process = container.exec(("sh", "-c", source), streams)
        process.signal(9)
        for other in list(container.processes.alive.values()):
            if other.pid != 1:
                other.end(137)

    run()
    assert not broken, broken[0]
    assert container.state is ContainerState.RUNNING


async def test_deep_nesting_is_refused() -> None:
    for source in ("(" * 5000, "$(" * 5000, "{ " * 5000, "${x:-" * 5000, "if " * 5000, "`" + "\\`" * 999):
        try:
            parse(source)
        except ScriptError:
            continue
        raise AssertionError(source[:20])


async def test_endless_recursion_ends(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    status, _, err = await it.shell(container, "f() { f; }; f")
    assert status == 2
    assert "recursion" in err


async def test_yes_into_head_ends(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    task = it.kernel.spawn(run_to_end(container, ("sh", "-c", "yes | head -n 1"), 0))
    await it.clock.advance(1)
    assert task.result() == (0, b"y\n", b"")
    assert sorted(container.processes.alive) == [1]


async def test_a_terminal_echoes_edits_and_ends(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    typed, shown = Pipe(), bytearray()
    out = Sink("stdout", lambda _, data: shown.extend(data), terminal=True)
    process = container.exec(("sh",), {0: PipeReader(typed, terminal=True), 1: out, 2: out}, tty=True)
    await it.kernel.call(typed.write(b"echo hellx\x7fo\rfor i in 1 2\rdo echo $i; done\rcd /tmp\r\x04"))
    assert process.exit.value() == 0
    text = shown.decode()
    assert text.startswith("/ # echo hellx\b \bo\r\nhello\n/ # ")
    assert "> do echo $i; done\r\n1\n2\n" in text
    assert text.endswith("/tmp # ")


async def test_ctrl_c_drops_the_line(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    typed, shown = Pipe(), bytearray()
    out = Sink("stdout", lambda _, data: shown.extend(data), terminal=True)
    container.exec(("sh",), {0: PipeReader(typed, terminal=True), 1: out, 2: out}, tty=True)
    await it.kernel.call(typed.write(b"exit 9\x03echo still here\r"))
    assert b"still here\n" in shown


async def test_tools_of_busybox(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    cases = {
        "ls /nonexistent": (1, "", "ls: /nonexistent: No such file or directory\n"),
        "cat /nonexistent": (1, "", "cat: can't open '/nonexistent': No such file or directory\n"),
        "wget -qO- http://nosuchhost/": (1, "", "wget: bad address 'nosuchhost'\n"),
        "curl -s http://nosuchhost/": (6, "", ""),
        "curl http://nosuchhost/": (6, "", "curl: (6) Could not resolve host: nosuchhost\n"),
        "curl -sS localhost:81": (
            7, "",
            "curl: (7) Failed to connect to localhost port 81 after 0 ms: Could not connect to server\n",
        ),
        "echo 'a\\nb'": (0, "a\\nb\n", ""),
        "nosuch": (127, "", "sh: 1: nosuch: not found\n"),
        "id": (0, "uid=0(root) gid=0 groups=0\n", ""),
        "ls -l /etc/passwd | cut -c1-10": (0, "-rw-r--r--\n", ""),
    }  # fmt: skip
    for script, expected in cases.items():
        assert await it.shell(container, script) == expected, script


async def test_every_tool_survives_strange_arguments(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    broken: list[object] = []
    it.machine.report_broken_program = lambda *found: broken.append(found)  # type: ignore[method-assign]
    strange = [
        "",
        "-",
        "--",
        "-x",
        "-n",
        "x",
        "/",
        "-1",
        "99999999999999999999",
        "\udcff",
        "a=b",
        "-c",
        "{}",
        "[",
    ]
    for name in it.machine.programs:
        for first in strange:
            for second in (None, "x", "-z", "/etc/passwd"):
                argv = (name, first) if second is None else (name, first, second)
                process = container.exec(argv, {})
                process.end(137)
    assert not broken, broken[0]
