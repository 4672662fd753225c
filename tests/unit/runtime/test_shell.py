"""What dash cannot tell us: limits, terminals, tools of busybox, and input from nowhere."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.runtime.container import Container
from services.runtime.model import ContainerState
from services.runtime.sessions import run_to_end
from services.runtime.shell.parser import parse
from services.runtime.shell.syntax import ScriptError
from services.runtime.streams import Sink, Stream
from services.runtime.terminal import Terminal, cooked, signal_family
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


class Typist:
    """Somebody at a terminal with a shell."""

    def __init__(self, container: Container, *command: str) -> None:
        self.shown = bytearray()
        self.terminal = Terminal(self.shown.extend, lambda number: signal_family(self.process, number))
        out = Sink("stdout", lambda _, data: self.shown.extend(cooked(data)), terminal=True)
        self.process = container.exec(command, {0: self.terminal, 1: out, 2: out}, tty=True)

    def type(self, data: bytes) -> str:
        """What appears after typing this."""
        before = len(self.shown)
        self.terminal.type(data)
        return self.shown[before:].decode()


async def test_a_terminal_echoes_edits_and_ends(it: Bench) -> None:
    typist = Typist(await it.start("busybox", "sleep", "inf"), "sh")
    assert typist.shown == b"/ # "
    assert typist.type(b"echo hellx\x7fo\r") == "echo hellx\b \bo\r\nhello\r\n/ # "
    assert typist.type(b"for i in 1 2\r") == "for i in 1 2\r\n> "
    assert typist.type(b"do echo $i; done\r") == "do echo $i; done\r\n1\r\n2\r\n/ # "
    assert typist.type(b"cd /tmp\r").endswith("/tmp # ")
    typist.type(b"\x04")
    assert typist.process.exit.value() == 0


async def test_a_line_is_edited_in_its_middle(it: Bench) -> None:
    typist = Typist(await it.start("busybox", "sleep", "inf"), "sh")
    assert typist.type(b"eco hi\x01\x06\x06\x1b[D\x06h\r").endswith("\r\nhi\r\n/ # ")
    assert typist.type(b"nonsense\x15echo a b c\x17\x17x\r").endswith("\r\na x\r\n/ # ")
    assert typist.type(b"echo onetwo\x1b[D\x1b[D\x1b[D\x0b\x01\x05\r").endswith("\r\none\r\n/ # ")
    assert typist.type(b"echo b\x1b[H\x1b[3~\x1b[3~\x1b[3~\x1b[3~printf\r").endswith("\r\nb/ # ")
    assert typist.type("echo grüße\x7f\r".encode()).endswith("\r\ngrüß\r\n/ # ")
    assert typist.type(b"\x1b[99~\x1b[\x00Zecho ok\r").endswith("\r\nok\r\n/ # ")


async def test_lines_come_back_and_names_are_completed(it: Bench) -> None:
    typist = Typist(await it.start("busybox", "sleep", "inf"), "sh")
    typist.type(b"echo first\recho second\r")
    assert typist.type(b"\x1b[A\x1b[A\r").endswith("\r\nfirst\r\n/ # ")
    assert typist.type(b"echo mine\x1b[A\x1b[B\r").endswith("\r\nmine\r\n/ # ")
    assert typist.type(b"cat /etc/pas\t| head -n 1 | cut -c 1-4\r").endswith("\r\nroot\r\n/ # ")
    assert typist.type(b"whoa\t\r").endswith("\r\nroot\r\n/ # ")
    assert "\x1b[H\x1b[J/ # " in typist.type(b"\x0c")
    assert typist.type(b"exit 3\r").endswith("exit 3\r\n")
    assert typist.process.exit.value() == 3


async def test_the_prompt_is_the_images(it: Bench) -> None:
    debian = await it.start("debian", "sleep", "inf")
    assert Typist(debian, "bash").shown == b"root@web:/# "
    assert Typist(debian, "sh").shown == b"# "


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_typing_is_taken(keys: bytes) -> None:
    shown = bytearray()
    terminal = Terminal(shown.extend, lambda _: None)
    terminal.edit(b"$ ", ["old"], lambda _: (0, ["one", "other"]))
    terminal.type(keys)


async def test_ctrl_c_drops_the_line_or_ends_what_runs(it: Bench) -> None:
    typist = Typist(await it.start("busybox", "sleep", "inf"), "sh")
    assert typist.type(b"exit 9\x03") == "exit 9^C\r\n/ # "
    assert typist.type(b"while true; do sleep 100; done\r").endswith("done\r\n")
    assert typist.type(b"\x03") == "^C\r\n/ # "
    assert typist.type(b"echo $?\r") == "echo $?\r\n130\r\n/ # "


async def test_ctrl_d_ends_one_reader_only(it: Bench) -> None:
    typist = Typist(await it.start("busybox", "sleep", "inf"), "sh")
    assert typist.type(b"cat\rhi\r") == "cat\r\nhi\r\nhi\r\n"
    assert typist.type(b"\x04") == "/ # "
    assert not typist.process.exit.done


async def test_ctrl_c_ends_a_program_without_a_shell(it: Bench) -> None:
    typist = Typist(await it.start("busybox", "sleep", "inf"), "sleep", "100")
    typist.type(b"\x03")
    assert typist.process.exit.value() == 130


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
        "nosuch": (127, "", "sh: nosuch: not found\n"),
        "id": (0, "uid=0(root) gid=0(root) groups=0(root)\n", ""),
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


async def test_patterns_cannot_explode(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    long = "a" * 200
    assert await it.shell(
        container, f"case {long} in *a*a*a*a*a*a*a*a*a*a*a*a*b) echo y;; *) echo n;; esac"
    ) == (0, "n\n", "")
    status, _, err = await it.shell(container, f"echo {long} | grep -E '(a*)*b'")
    assert (status, err) == (1, "")
    assert (await it.shell(container, "echo 10.244.0.1 | grep -cE '^([0-9]{1,3}\\.){3}[0-9]+$'"))[1] == "1\n"
    assert (await it.shell(container, f"expr {long} : '\\(a*\\)*b'"))[0] == 1
