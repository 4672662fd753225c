"""Command lines and what real shells answered to them.

`dash.txt`, `busybox.txt` and `bash.txt` are the lines, one script each (⏎ is a line end inside it).
A line that begins with `@stdin ` or `@file name ` prepares the script after it; `@differs ` before a script
says that ours is known to answer otherwise, and has to go when that is no longer so; `# ` is a comment.
Every script starts in /work with the files of `FILES`. `recorded.jsonl` holds what the real shell wrote and
its exit status, as scripts/record_shell.py saw it; nobody writes that file by hand.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
RECORDED = HERE / "recorded.jsonl"
SHELLS = ("dash", "busybox", "bash")
SECONDS_MAX = 120
IGNORABLE = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
OUTPUT_CHARACTERS_MAX = 20_000

FILES = {
    "fruits.txt": "apple\nbanana\ncherry\nApple pie\nbanana split\n",
    "numbers.txt": "10\n9\n2\n33\n2\n-5\n0\n",
    "people.csv": "name,age,city\nAda,36,London\nGrace,85,Arlington\nLinus,54,Portland\n",
    "table.txt": "web 1 running\ndb 3 stopped\ncache 2 running\n",
    "log.txt": "10.0.0.1 GET /index.html 200 512\n10.0.0.2 GET /missing 404 128\n10.0.0.1 POST /api 500 64\n",
    "d/a.txt": "alpha\n",
    "d/b.log": "beta\nbetter\n",
    "d/sub/c.txt": "gamma\n",
    ".hidden": "secret\n",
    "empty": "",
}


@dataclass(frozen=True, slots=True)
class Case:
    shell: str
    script: str
    stdin: str = ""
    files: tuple[tuple[str, str], ...] = ()
    differs: bool = False

    @property
    def key(self) -> str:
        return json.dumps([self.shell, self.script, self.stdin, list(self.files)])


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    out: str
    err: str


@dataclass(slots=True)
class _Preparation:
    stdin: str = ""
    files: dict[str, str] = field(default_factory=dict)


def cases(shell: str) -> Iterator[Case]:
    prepared = _Preparation()
    for line in (HERE / f"{shell}.txt").read_text().splitlines():
        text = line.replace("⏎", "\n")
        if not line or line.startswith("# "):
            continue
        if line.startswith("@stdin "):
            prepared.stdin = text.removeprefix("@stdin ")
        elif line.startswith("@file "):
            name, _, content = text.removeprefix("@file ").partition(" ")
            prepared.files[name] = content
        else:
            script = text.removeprefix("@differs ")
            yield Case(shell, script, prepared.stdin, tuple(prepared.files.items()), script != text)
            prepared = _Preparation()


def recorded() -> dict[str, Answer]:
    answers = {}
    for line in RECORDED.read_text().splitlines():
        row = json.loads(line)
        case = Case(
            row["shell"], row["script"], row.get("stdin", ""), tuple(map(tuple, row.get("files", ())))
        )
        answers[case.key] = Answer(row["status"], row["out"], row["err"])
    return answers


def without_usage(err: str) -> str:
    """Errors up to where busybox begins to explain itself: its version and its help are its own."""
    head, banner, _ = err.partition("BusyBox v")
    return head + ("(usage)" if banner else "")


@contextmanager
def heeding_signals() -> Iterator[None]:
    """What is started meanwhile does not inherit that a signal is ignored, as `nohup` would have it."""
    ignored = [each for each in IGNORABLE if signal.getsignal(each) is signal.SIG_IGN]
    for each in ignored:
        signal.signal(each, lambda *_: None)  # a handler ends with exec, what is ignored stays so
    try:
        yield
    finally:
        for each in ignored:
            signal.signal(each, signal.SIG_IGN)


class RealShells:
    """The shells of this machine, each in a folder of its own."""

    def __init__(self, busybox: str | None = None) -> None:
        self.paths = {
            "dash": shutil.which("dash"), "bash": shutil.which("bash"),
            "busybox": busybox or os.environ.get("BUSYBOX") or shutil.which("busybox"),
        }  # fmt: skip
        self._root = Path(tempfile.mkdtemp(prefix="shell-"))
        self._bin = self._root / "bin"
        self._bin.mkdir()
        if self.paths["busybox"]:
            listed = subprocess.run(
                [self.paths["busybox"], "--list"], capture_output=True, text=True, check=True
            )
            for applet in listed.stdout.split():
                (self._bin / applet).symlink_to(self.paths["busybox"])

    def close(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)

    def is_yardstick(self, shell: str) -> bool:
        """Whether this is the kind and version that was recorded; others differ here and there."""
        path = self.paths[shell]
        if path is None:
            return False
        if shell == "busybox":
            banner = subprocess.run([path], capture_output=True, text=True, check=False).stdout
            # Some builds find their tools inside before they look into PATH.
            asked = subprocess.run(
                [path, "sh", "-c", "command -v ls"], capture_output=True, text=True, check=False
            )
            return "v1.35.0 (Debian" in banner and asked.stdout.startswith("/")
        if shell == "bash":
            asked = subprocess.run(
                [path, "-c", "echo $BASH_VERSION"], capture_output=True, text=True, check=True
            )
            return asked.stdout.startswith("5.2.")
        return True

    def ask(self, case: Case) -> Answer:
        work = Path(tempfile.mkdtemp(dir=self._root)) / "work"
        for name, content in {**FILES, **dict(case.files)}.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(content.encode("utf-8", "surrogateescape"))
        name = "bash" if case.shell == "bash" else "sh"
        path = str(self._bin) if case.shell == "busybox" else "/usr/bin:/bin"
        with heeding_signals():
            done = subprocess.run(
                [name, "-c", case.script], executable=self.paths[case.shell],
                cwd=work, input=case.stdin.encode(), capture_output=True, timeout=SECONDS_MAX,
                env={"PATH": path, "HOME": "/root", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PWD": str(work)},
            )  # fmt: skip
        texts = [
            data.decode("utf-8", "surrogateescape")[:OUTPUT_CHARACTERS_MAX]
            .replace(str(work), "/work").replace(str(self._bin), "/bin")
            for data in (done.stdout, done.stderr)
        ]  # fmt: skip
        texts[1] = without_usage(texts[1])
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return Answer(status, texts[0], texts[1])
