"""Nothing typed into a container may hold up, fill up or leave it: loops, bombs, floods, patterns, depth."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.runtime.container import Container
from services.runtime.model import ContainerState
from services.runtime.programs.patterns import BadPattern, basic, extended
from services.runtime.streams import Sink, Stream
from tests.unit.runtime.harness import Bench

ENDLESS = [
    "while :; do :; done",
    "until false; do x=$((x+1)); done",
    "f() { while true; do f2; done; }; f2() { :; }; f",
    "yes > /dev/null",
    "yes | cat | cat > /dev/null",
    "cat /dev/zero > /dev/null",
    "tail -f /etc/passwd",
    "sed ':a;ba' /etc/passwd",
    "awk 'BEGIN { while (1) x++ }'",
    "awk 'BEGIN { for (;;) ; }'",
    "seq 1 1000000000 | tail -1",
    "seq 1 1000000000 | sort > /dev/null",
    "yes | awk '{ n++ }'",
    "yes | sed s/y/n/ | grep -c n",
    "yes | tr y n | wc -l",
    "yes '' | xargs sleep 9",
    "find / -exec sleep 9 ';'",
    "watch true",
    "trap '' TERM INT HUP; while :; do sleep 1; done",
    "bash -c 'for ((;;)); do :; done'",
    "bash -c 'while ((1)); do ((i++)); done'",
    ":(){ :|:& };:",
    "b() { b | b & }; b",
    "while :; do sleep 99 & done",
]
ENDING = {
    "yes | head -1": "y\n",
    "seq 1 1000000000 | head -2": "1\n2\n",
    "yes | sed 2q": "y\ny\n",
    "cat /dev/zero | head -c 3 | od -An -c": "  \\0  \\0  \\0\n",
    "x=a; i=0; while [ $i -lt 40 ]; do x=$x$x; i=$((i+1)); done; echo no": "",
    "echo $((9**999999999)) 2>&1 | cut -c 1-2": None,
    "bash -c 'echo $((2**10**9))'": "0\n",
    "bash -c 'echo {1..100000000}'": "{1..100000000}\n",
    "bash -c 'a[999999999999]=x; echo ${#a[@]}'": "1\n",
    "printf '%999999999d' 1 | wc -c": None,
    "printf '%s' \"$(yes | head -c 6000000)\" | wc -c": None,
    "seq 1 30000 | xargs echo | wc -w": "30000\n",
    "awk 'BEGIN { x = \"a\"; while (1) x = x x }'; echo $?": "1\n",
    "awk 'function f(n) { return f(n + 1) } BEGIN { f(1) }'; echo $?": "1\n",
    "awk 'BEGIN { $999999999 = 1 }'; echo $?": "1\n",
    "awk 'BEGIN { printf \"%9999999d\", 1 }' | wc -c": None,
    "head -c 200000 /dev/zero | tr '\\0' a | grep -cE '(a|aa)+$'; echo $?": None,
    "head -c 3000 /dev/zero | tr '\\0' a | sed -E 's/(a*)*b/x/' | wc -c": None,
    "expr aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa : '\\(a*\\)*b'; echo $?": "\n1\n",
    "eval eval eval eval echo deep": "deep\n",
    "sh -c 'sh -c \"sh -c true\"'; echo $?": "0\n",
    "dd if=/dev/zero of=/big bs=1M count=500 2>/dev/null; echo $?": None,
    "cat /proc/1/environ /proc/self/status /proc/cpuinfo > /dev/null 2>&1; echo $?": None,
    "seq 1 400000 | sort > /dev/null; echo $?": "2\n",
    "ulimit -v 10; echo $?": "0\n",
}


async def settled(it: Bench, container: Container, script: str) -> tuple[bool, bytes]:
    """Whether the script ends by itself, and what it wrote."""
    out = bytearray()

    def keep(_: str, data: bytes) -> None:
        out.extend(data[: 100_000 - len(out)])

    streams: dict[int, Stream] = {1: Sink("stdout", keep), 2: Sink("stderr", lambda *_: None)}
    process = container.exec(("sh", "-c", script), streams)
    for _ in range(40):
        if process.exit.done:
            break
        await it.clock.advance(0.5)
    ended = process.exit.done
    for one in list(container.processes.alive.values()):
        if one.pid != 1:
            one.end(137)
    await it.clock.advance(0.5)
    return ended, bytes(out)


@pytest.fixture
def broken(it: Bench) -> list[object]:
    found: list[object] = []
    it.machine.report_broken_program = lambda *one: found.append(one)  # type: ignore[method-assign]
    return found


@pytest.mark.parametrize("script", ENDLESS)
async def test_what_never_ends_lets_others_run_and_is_killed(
    it: Bench, broken: list[object], script: str
) -> None:
    container = await it.start("busybox", "sleep", "inf")
    container.exec(("sh", "-c", script), {})
    for _ in range(5):
        await it.clock.advance(0.2)
    assert container.state is ContainerState.RUNNING
    for one in list(container.processes.alive.values()):
        if one.pid != 1:
            one.signal(9)
    await it.clock.advance(1)
    for one in list(container.processes.alive.values()):  # what a bomb forked while it was being killed
        if one.pid != 1:
            one.end(137)
    await it.clock.advance(1)
    assert sorted(container.processes.alive) == [1]
    assert container.state is ContainerState.RUNNING
    assert not broken, broken[0]


@pytest.mark.parametrize("script", ENDING)
async def test_what_is_too_much_is_refused_or_cut(it: Bench, broken: list[object], script: str) -> None:
    container = await it.start("busybox", "sleep", "inf")
    ended, out = await settled(it, container, script)
    assert ended, "it hangs"
    expected = ENDING[script]
    assert expected is None or out.decode("utf-8", "replace") == expected
    assert not broken, broken[0]


@given(st.text(alphabet="ab().*+?[]{}|^$\\1<>-:x", max_size=14), st.text(alphabet="ab\nx ", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_pattern_matches_or_is_refused(pattern: str, text: str) -> None:
    for compile_ in (basic, extended):
        try:
            found = compile_(pattern)
            hit = found.search(text)
            assert (hit is not None) == found.test(text)
            for match in found.finditer(text):
                assert 0 <= match.start() <= match.end() <= len(text)
        except BadPattern:
            continue


TOOLS = st.sampled_from(
    [
        "awk '{print $1}'",
        "awk",
        "sed",
        "grep -E",
        "sort -k",
        "tr",
        "cut -d",
        "find /",
        "printf",
        "expr",
        "test",
        "date",
        "tar c",
        "od",
        "xargs",
        "head -c",
        "tail -n",
        "seq",
        "[[",
        "((",
        "declare -A m",
        "read -a x",
        "${a[@]}",
        "{1..9}",
        "<(cat)",
        "<<<",
        "local x",
        "case x in",
        "esac",
        "for ((i=0;i<3;i++)); do",
        "done",
        "$((",
        "))",
        "function f {",
        "}",
    ]
)
ODD = st.sampled_from(
    [
        "'",
        '"',
        "\\",
        "$x",
        "`",
        "|",
        ";",
        "&",
        "\n",
        "[",
        "]",
        "/etc/passwd",
        "../../..",
        "-1",
        "99999999999999999999",
        "\x00",
        "\udcff",
        "ü",
        "*",
        "~",
        ">",
        "2>&1",
        "<",
        "%s%d",
        "s/a/b/",
        "{print}",
        "(a*)*",
        "!",
        "#",
    ]
)


async def test_any_line_of_tools_ends_or_waits_and_never_breaks_out(it: Bench, broken: list[object]) -> None:
    before = sorted(os.listdir("/")), os.getcwd(), dict(os.environ)
    container = await it.start("debian", "sleep", "inf")

    @given(st.sampled_from(["sh", "bash"]), st.lists(TOOLS | ODD, max_size=10).map(" ".join))
    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    def run(shell: str, source: str) -> None:
        streams: dict[int, Stream] = {1: Sink("stdout", lambda *_: None), 2: Sink("stderr", lambda *_: None)}
        container.exec((shell, "-c", source), streams).signal(9)
        for other in list(container.processes.alive.values()):
            if other.pid != 1:
                other.end(137)

    run()
    assert not broken, broken[0]
    assert container.state is ContainerState.RUNNING
    assert (sorted(os.listdir("/")), os.getcwd(), dict(os.environ)) == before
