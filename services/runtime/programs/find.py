"""find: tests and actions as a tree, evaluated for every path below the starting points."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.runtime import launch
from services.runtime.filesystem import Entry
from services.runtime.globs import matches
from services.runtime.processes import Exit, Process, Program
from services.runtime.programs.input import Pace, path_of, words_of
from services.runtime.programs.listing import owner
from services.runtime.programs.options import busybox, refuse

FOUND_MAX = 100_000
DEPTH_MAX = 50
SYNOPSIS = "[-HL] [PATH]... [OPTIONS] [ACTIONS]"
_SIZES = {"": 512, "b": 512, "c": 1, "w": 2, "k": 1024, "M": 1024**2, "G": 1024**3}
_WITH_VALUE = frozenset(
    (
        "-name",
        "-iname",
        "-path",
        "-ipath",
        "-wholename",
        "-type",
        "-size",
        "-newer",
        "-mtime",
        "-mmin",
        "-user",
        "-group",
        "-perm",
        "-regex",
        "-maxdepth",
        "-mindepth",
        "-links",
        "-inum",
        "-atime",
        "-ctime",
        "-printf",
        "-uid",
        "-gid",
    )
)
_ALONE = frozenset(
    (
        "-print",
        "-print0",
        "-delete",
        "-empty",
        "-prune",
        "-depth",
        "-xdev",
        "-mount",
        "-quit",
        "-true",
        "-false",
        "-ls",
        "-follow",
        "-nouser",
        "-nogroup",
    )
)
_ACTIONS = frozenset(("-print", "-print0", "-delete", "-exec", "-execdir", "-ok", "-quit", "-ls", "-printf"))


async def run(process: Process, words: Sequence[str], *, quoted: bool = False) -> int:
    """A child in the foreground, as execvp would start it; 127 or 126 where it cannot."""
    container = process.container
    try:
        program = launch.find(container, tuple(words), process.env, process.cwd)
    except OSError as error:
        missing = error.errno == 2
        why = "No such file or directory" if missing else words_of(error)
        named = f"can't execute '{words[0]}'" if quoted and busybox(process) else (
            f"‘{words[0]}’" if quoted else words[0]
        )  # fmt: skip
        await process.complain(f"{process.argv[0].rpartition('/')[2]}: {named}: {why}")
        return 127 if missing else 126
    child = container.start_process(tuple(words), program, process, process.env, process.cwd, process.streams)
    return await child.exit


@dataclass(slots=True)
class Node:
    kind: str
    value: str = ""
    children: list[Node] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    gathered: list[str] = field(default_factory=list)  # for -exec … +


@dataclass(slots=True)
class Walk:
    process: Process
    tree: Node
    prints: bool  # no action: what holds is printed
    least: int
    most: int
    deep_first: bool
    status: int = 0
    count: int = 0
    pruned: bool = False
    out: list[str] = field(default_factory=list)


async def find(process: Process) -> int:
    words = list(process.argv[1:])
    while words and words[0] in ("-H", "-L", "-P"):
        words.pop(0)
    starts = []
    while words and not words[0].startswith("-") and words[0] not in ("(", "!"):
        starts.append(words.pop(0))
    parser = _Parser(process, words)
    tree = await parser.parse()
    walk = Walk(
        process,
        tree,
        not parser.acts,
        parser.bounds["-mindepth"],
        parser.bounds["-maxdepth"],
        parser.deep_first,
    )
    try:
        for start in starts or ["."]:
            try:
                process.container.filesystem.lookup(path_of(process, start), follow=False)
            except OSError as error:
                named = start if busybox(process) else f"‘{start}’"
                await process.complain(f"find: {named}: {words_of(error)}")
                walk.status = 1
                continue
            await _visit(walk, Pace(process), start, 0)
    except _Quit:
        pass
    await _flush(walk)
    await _finish(walk, tree)
    return walk.status


class _Quit(Exception):
    pass


async def _flush(walk: Walk) -> None:
    if walk.out:
        await walk.process.write("".join(walk.out))
        walk.out.clear()


async def _finish(walk: Walk, node: Node) -> None:
    for child in node.children:
        await _finish(walk, child)
    if node.gathered:
        at = node.command.index("{}") if "{}" in node.command else len(node.command)
        if await run(walk.process, node.command[:at] + node.gathered + node.command[at + 1 :], quoted=True):
            walk.status = 1


async def _visit(walk: Walk, pace: Pace, shown: str, depth: int) -> None:
    process = walk.process
    filesystem, path = process.container.filesystem, path_of(process, shown)
    try:
        entry = filesystem.lookup(path, follow=False)
    except OSError:
        return
    walk.count += 1
    if walk.count > FOUND_MAX or depth > DEPTH_MAX:
        return
    await pace.spend(200)
    if len(walk.out) > 200:
        await _flush(walk)
    if not walk.deep_first:
        await _judge(walk, shown, entry, depth)
    pruned, walk.pruned = walk.pruned, False
    if entry.kind == "d" and not pruned and depth < walk.most:
        for name in filesystem.listing(path):
            await _visit(walk, pace, f"{shown.rstrip('/') if shown != '/' else ''}/{name}", depth + 1)
    if walk.deep_first:
        await _judge(walk, shown, entry, depth)


async def _judge(walk: Walk, shown: str, entry: Entry, depth: int) -> None:
    if depth >= walk.least and await _holds(walk, walk.tree, shown, entry) and walk.prints:
        walk.out.append(shown + "\n")


async def _holds(walk: Walk, node: Node, shown: str, entry: Entry) -> bool:
    if node.kind == "and":
        for child in node.children:
            if not await _holds(walk, child, shown, entry):
                return False
        return True
    if node.kind == "or":
        for child in node.children:
            if await _holds(walk, child, shown, entry):
                return True
        return False
    if node.kind == "not":
        return not await _holds(walk, node.children[0], shown, entry)
    if node.kind in ("-exec", "-execdir", "-ok"):
        return await _execute(walk, node, shown)
    if node.kind in _ACTIONS or node.kind == "-prune":
        return await _act(walk, node, shown, entry)
    return _test(walk.process, node, shown, entry)


async def _execute(walk: Walk, node: Node, shown: str) -> bool:
    if node.value == "+":
        node.gathered.append(shown)
        return True
    await _flush(walk)
    return await run(walk.process, [word.replace("{}", shown) for word in node.command], quoted=True) == 0


async def _act(walk: Walk, node: Node, shown: str, entry: Entry) -> bool:
    if node.kind == "-prune":
        walk.pruned = True
    elif node.kind == "-print0":
        walk.out.append(shown + "\0")
    elif node.kind == "-quit":
        raise _Quit
    elif node.kind == "-printf":
        text = (
            node.value.replace("%p", shown)
            .replace("%f", shown.rpartition("/")[2])
            .replace("%s", str(entry.size))
        )
        walk.out.append(text.replace("\\n", "\n").replace("\\t", "\t").replace("\\0", "\0"))
    elif node.kind == "-delete":
        try:
            if shown not in (".", "./"):
                walk.process.container.filesystem.remove(path_of(walk.process, shown))
        except OSError as error:
            await walk.process.complain(f"find: {shown}: {words_of(error)}")
            walk.status = 1
            return False
    else:
        walk.out.append(shown + "\n")
    return True


def _test(process: Process, node: Node, shown: str, entry: Entry) -> bool:
    kind, value = node.kind, node.value
    name = shown.rstrip("/").rpartition("/")[2] or shown
    if kind in ("-name", "-iname"):
        return matches(name.lower(), value.lower()) if kind == "-iname" else matches(name, value)
    if kind in ("-path", "-wholename", "-ipath"):
        return matches(shown.lower(), value.lower()) if kind == "-ipath" else matches(shown, value)
    if kind == "-type":
        return entry.kind in {{"f": "-"}.get(letter, letter) for letter in value.split(",")}
    if kind == "-empty":
        if entry.kind == "d":
            return not process.container.filesystem.listing(path_of(process, shown))
        return entry.kind == "-" and len(entry.content()) == 0
    if kind == "-size":
        match = re.fullmatch(r"([-+]?)(\d{1,12})([bcwkMG]?)", value)
        unit = _SIZES[match[3]] if match else 1
        size = -(-(4096 if entry.kind == "d" else entry.size) // unit)
        return match is not None and _ordered(match[1], size, int(match[2]))
    if kind in ("-mtime", "-mmin", "-atime", "-ctime"):
        match = re.fullmatch(r"([-+]?)(\d{1,9})", value)
        age = process.container.now_seconds() - entry.modified
        return match is not None and _ordered(
            match[1], int(age // (60 if kind == "-mmin" else 86400)), int(match[2])
        )
    if kind == "-newer":
        return entry.modified > float(value)
    if kind in ("-user", "-uid"):
        return value in (str(entry.uid), owner(process, entry.uid))
    if kind in ("-group", "-gid"):
        return value in (str(entry.gid), owner(process, entry.gid, "/etc/group"))
    if kind == "-perm":
        digits = value.lstrip("-/+")
        wanted = int(digits, 8) if digits and not set(digits) - set("01234567") else -1
        if value[:1] == "-":
            return entry.mode & wanted == wanted
        return bool(entry.mode & wanted) if value[:1] in "/+" else entry.mode == wanted
    return kind != "-false"


def _ordered(sign: str, have: int, wanted: int) -> bool:
    return have > wanted if sign == "+" else have < wanted if sign == "-" else have == wanted


class _Parser:
    def __init__(self, process: Process, words: list[str]) -> None:
        self._process, self._words, self._at, self._depth = process, words, 0, 0
        self.acts = self.deep_first = False
        self.bounds = {"-mindepth": 0, "-maxdepth": DEPTH_MAX}

    def _peek(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else ""

    async def parse(self) -> Node:
        tree = await self._either() if self._words else Node("and")
        if self._at < len(self._words):
            await self._unknown(self._peek())
        return tree

    async def _unknown(self, word: str) -> None:
        if busybox(self._process):
            await refuse(self._process, f"unrecognized: {word}", SYNOPSIS, 1)
        await self._process.complain(f"find: unknown predicate `{word}'")
        raise Exit(1)

    async def _either(self) -> Node:
        children = [await self._both()]
        while self._peek() in ("-o", "-or"):
            self._at += 1
            children.append(await self._both())
        return children[0] if len(children) == 1 else Node("or", children=children)

    async def _both(self) -> Node:
        children = [await self._one()]
        while self._peek() not in ("", "-o", "-or", ")"):
            if self._peek() in ("-a", "-and"):
                self._at += 1
            children.append(await self._one())
        return Node("and", children=children)

    async def _one(self) -> Node:
        self._depth += 1
        word = self._peek()
        self._at += 1
        if self._depth > DEPTH_MAX:
            await self._unknown(word)
        try:
            if word in ("!", "-not"):
                return Node("not", children=[await self._one()])
            if word == "(":
                inner = await self._either()
                if self._peek() != ")":
                    await self._process.complain("find: unmatched '('")
                    raise Exit(1)
                self._at += 1
                return inner
            if word in ("-exec", "-execdir", "-ok"):
                return await self._command(word)
            if word in _WITH_VALUE:
                return await self._valued(word)
            if word not in _ALONE:
                await self._unknown(word)
            self.acts = self.acts or word in _ACTIONS
            self.deep_first = self.deep_first or word in ("-depth", "-delete")
            return Node(word)
        finally:
            self._depth -= 1

    async def _command(self, word: str) -> Node:
        end = next((at for at in range(self._at, len(self._words)) if self._words[at] in (";", "+")), -1)
        if end <= self._at:
            words = (
                f"{word} requires an argument" if busybox(self._process) else f"missing argument to `{word}'"
            )
            await self._process.complain(f"find: {words}")
            raise Exit(1)
        self.acts = True
        node = Node(word, self._words[end], command=self._words[self._at : end])
        self._at = end + 1
        return node

    async def _valued(self, word: str) -> Node:
        if self._at >= len(self._words):
            words = (
                f"{word} requires an argument" if busybox(self._process) else f"missing argument to `{word}'"
            )
            await self._process.complain(f"find: {words}")
            raise Exit(1)
        value = self._words[self._at]
        self._at += 1
        self.acts = self.acts or word in _ACTIONS
        if word in self.bounds:
            if not value.isdigit():
                await self._process.complain(f"find: invalid number '{value}'")
                raise Exit(1)
            self.bounds[word] = int(value[:6])
            return Node("-true")
        if word == "-newer":
            try:
                entry = self._process.container.filesystem.lookup(path_of(self._process, value))
            except OSError as error:
                named = f"can't stat '{value}'" if busybox(self._process) else f"‘{value}’"
                await self._process.complain(f"find: {named}: {words_of(error)}")
                raise Exit(1) from error
            value = str(entry.modified)
        return Node(word, value)


PROGRAMS: dict[str, Program] = {"find": find}
