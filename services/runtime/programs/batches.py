"""xargs: what comes in becomes the arguments of commands."""

from __future__ import annotations

from services.runtime import launch
from services.runtime.processes import Process, Program
from services.runtime.programs.find import run
from services.runtime.programs.options import options
from services.runtime.streams import read_all

INPUT_BYTES_MAX = 16 * 1024 * 1024
ITEMS_MAX = 20_000


async def xargs(process: Process) -> int:
    """Options end at the command, whose own options are not ours."""
    words = list(process.argv[1:])
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        at += 2 if words[at] in ("-n", "-I", "-P", "-L", "-s", "-E", "-d", "-a") else 1
    found, _ = await options(
        process,
        "0rn:I:P:L:ts:E:xopd:",
        words=words[:at],
        synopsis="[OPTIONS] [PROG ARGS]",
        long={"null": "0", "no-run-if-empty": "r", "max-args": "n", "delimiter": "d"},
    )
    command = words[at:] or ["echo"]
    text = (await read_all(process.stdin, INPUT_BYTES_MAX)).decode("utf-8", "surrogateescape")
    items = _items(text, found)
    if items is None:
        await process.complain(
            "xargs: unmatched single quote" if "'" in text else "xargs: unmatched double quote"
        )
        return 1
    if not items and ("r" in found or "I" in found):
        return 0
    if "I" in found:
        groups = [[word.replace(found["I"] or "{}", item) for word in command] for item in items]
    else:
        size = int(found["n"][:6]) if found.get("n", "").isdigit() and int(found["n"]) else ITEMS_MAX
        size = int(found["L"][:6]) if found.get("L", "").isdigit() and int(found["L"]) else size
        groups = [command + items[at : at + size] for at in range(0, len(items), size)] or [command]
    status = 0
    for group in groups:
        if "t" in found:
            await process.complain(" ".join(group))
        code = await run(process, group)
        if code in (126, 127) and not _started(process, group[0]):
            return code
        if code == 255:
            await process.complain(f"xargs: {group[0]}: exited with status 255; aborting")
            return 124
        status = 123 if code else status
    return status


def _started(process: Process, name: str) -> bool:

    try:
        launch.search(process.container, name, process.env, process.cwd)
    except OSError:
        return False
    return True


def _items(text: str, found: dict[str, str]) -> list[str] | None:
    if "0" in found:
        return [item for item in text.split("\0") if item]
    if "d" in found:
        sign = found["d"].replace("\\n", "\n").replace("\\t", "\t")[:1] or "\n"
        return text.removesuffix(sign).split(sign)
    if "I" in found:
        return [line.strip() for line in text.splitlines() if line.strip()]
    return _words(text)


def _words(text: str) -> list[str] | None:
    """Blanks separate, quotes and backslashes hide them. None when a quote stays open."""
    items: list[str] = []
    current: list[str] | None = None
    quote, at = "", 0
    while at < len(text):
        sign = text[at]
        at += 1
        if quote:
            if sign == quote:
                quote = ""
            elif sign == "\n":
                return None
            else:
                assert current is not None
                current.append(sign)
        elif sign in "'\"":
            quote, current = sign, current if current is not None else []
        elif sign == "\\" and at < len(text):
            current = [*(current or []), text[at]]
            at += 1
        elif sign.isspace():
            if current is not None:
                items.append("".join(current))
            current = None
        else:
            current = current if current is not None else []
            current.append(sign)
    if quote:
        return None
    return [*items, "".join(current)] if current is not None else items


PROGRAMS: dict[str, Program] = {"xargs": xargs}
