"""Our shell and its tools against real ones: hundreds of command lines, the same output, errors and status.

What the real ones answered is recorded (tests/contract/shell); where they are installed they are asked
again, so that the recording cannot rot.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from services.runtime.container import Container
from services.runtime.filesystem import Entry
from services.runtime.sessions import Output
from services.runtime.streams import Bytes, Sink, Stream
from tests.contract.shell import FILES, SHELLS, Answer, Case, RealShells, cases, recorded, without_usage
from tests.unit.runtime.harness import bench

ROUNDS_MAX = 200  # of half a second of the container's time


async def ours(case_list: list[Case], root: Path) -> dict[str, Answer]:
    async with bench(root) as it:
        image = "busybox" if case_list[0].shell == "busybox" else "debian"
        sandbox = it.sandbox()
        answers: dict[str, Answer] = {}

        async def ask(container: Container, case: Case) -> None:
            output = Output()
            streams: dict[int, Stream] = {
                0: Bytes(case.stdin.encode()),
                1: Sink("stdout", output.deliver),
                2: Sink("stderr", output.deliver),
            }
            name = "bash" if case.shell == "bash" else "sh"
            status = await container.exec((name, "-c", case.script), streams).exit
            out, err = (text.decode("utf-8", "surrogateescape") for text in (output.out, output.err))
            answers[case.key] = Answer(status, out, without_usage(err))

        tasks = []
        for number, case in enumerate(case_list):
            container = await it.create(
                image, "sleep", "inf", working_dir="/work", sandbox=sandbox, name=f"case-{number}"
            )
            container.start()
            files = container.filesystem
            for name, content in {**FILES, **dict(case.files)}.items():
                files.make_directories(f"/work/{name}".rpartition("/")[0], modified=1e9)
                files.put(f"/work/{name}", Entry(data=content.encode(), modified=1e9))
            tasks.append(it.kernel.spawn(ask(container, case)))
        for _ in range(ROUNDS_MAX):
            if all(task.finished.done for task in tasks):
                break
            await it.clock.advance(0.5)
        for task, case in zip(tasks, case_list, strict=True):
            if not task.finished.done:
                answers[case.key] = Answer(-1, "", "it hangs")
            elif task.error is not None:
                answers[case.key] = Answer(-1, "", repr(task.error))
        return answers


def differences(case_list: list[Case], ours: dict[str, Answer], real: dict[str, Answer]) -> list[str]:
    return [
        f"{case.script!r}\n   real: {real.get(case.key)}\n   ours: {ours[case.key]}"
        for case in case_list
        if (ours[case.key] != real.get(case.key)) != case.differs
    ]


@pytest.mark.parametrize("shell", SHELLS)
async def test_answers_as_the_real_one_did(shell: str, tmp_path: Path) -> None:
    lines = list(cases(shell))
    found = differences(lines, await ours(lines, tmp_path), recorded())
    assert not found, f"{len(found)} of {len(lines)} differ:\n" + "\n".join(found)


def test_the_table_is_what_was_asked_for() -> None:
    lines = [case for shell in SHELLS for case in cases(shell)]
    assert len(lines) >= 400
    assert {case.key for case in lines} == recorded().keys(), "run scripts/record_shell.py"


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_the_real_one_still_answers_so(shell: str) -> None:
    """Output and status only: the words of errors change between versions."""
    shells = RealShells()
    try:
        if not shells.is_yardstick(shell):
            pytest.skip(f"the {shell} that was recorded is not on this machine")
        known = recorded()
        for case in cases(shell):
            answer, before = shells.ask(case), known[case.key]
            assert (answer.status, answer.out) == (before.status, before.out), case.script
    finally:
        shells.close()
