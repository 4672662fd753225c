"""awk: POSIX' language, with the handful of additions that busybox and gawk share.

parser.py and expressions.py read a program into a tree, machine.py and evaluation.py run it; values.py
holds what numbers and strings are to it, channels.py its files, pipes and records. Bounded in steps
between breaths, in memory and in depth.
"""

from __future__ import annotations

from services.runtime.processes import Process, Program
from services.runtime.programs.awk.lexer import BadProgram
from services.runtime.programs.awk.machine import Machine
from services.runtime.programs.awk.parser import parse
from services.runtime.programs.awk.values import AwkFault
from services.runtime.programs.input import read_file, words_of
from services.runtime.programs.options import options, usage
from services.runtime.programs.patterns import BadPattern
from services.runtime.programs.printing import unescape

SYNOPSIS = "[-v VAR=VAL] [-F SEP] [-f FILE]... [AWK_PROGRAM] [FILE]..."


async def awk(process: Process) -> int:
    words = list(process.argv[1:])
    assignments: list[str] = []
    flags: list[str] = []
    while words and words[0].startswith("-") and words[0] not in ("-", "--"):
        word = words.pop(0)
        if word.startswith("-v"):
            assignments.append(word[2:] or (words.pop(0) if words else ""))
            continue
        flags.append(word)
        if word in ("-F", "-f", "-e") and words:
            flags.append(words.pop(0))
    if words[:1] == ["--"]:
        words.pop(0)
    found, _ = await options(process, "F:f:e:", words=flags, synopsis=SYNOPSIS)
    if "f" in found:
        try:
            source = (await read_file(process, found["f"])).decode("utf-8", "surrogateescape")
        except OSError as error:
            await process.complain(f"awk: {found['f']}: {words_of(error)}")
            return 1
    elif "e" in found:
        source = found["e"]
    elif words:
        source = words.pop(0)
    else:
        raise await usage(process, SYNOPSIS)
    try:
        program = parse(source)
        machine = Machine(process, program, words)
        if "F" in found:
            machine.set_variable("FS", "\t" if found["F"] == "t" else unescape(found["F"])[0])
        for assignment in assignments:
            name, _, value = assignment.partition("=")
            machine.set_input(name, unescape(value)[0])
        return await machine.run()
    except (BadProgram, AwkFault, BadPattern) as error:
        await process.complain(f"awk: cmd. line:{getattr(error, 'line', 1)}: {error}")
        return 1
    except RecursionError:
        await process.complain("awk: cmd. line:1: nested too deep")
        return 1


PROGRAMS: dict[str, Program] = {"awk": awk, "gawk": awk, "mawk": awk}
