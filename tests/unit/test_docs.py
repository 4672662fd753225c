"""What the documentation says that a machine can check: links, files, commands, flags, variables, ports.

A page that names what is not there is worse than none. What a command *does* the end-to-end tests show.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from services.kubectl.__main__ import _find
from services.kubectl.commands import registry
from services.kubectl.flags import FlagError, parse
from services.launcher.__main__ import make_parser
from services.launcher.plan import PREFERRED_PORTS

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("config/**/*.md")]
)
COMPONENTS = (
    "apiserver", "scheduler", "controller_manager", "cloud_controller_manager", "node", "registry", "runtime",
)  # fmt: skip
FOLDERS = ("services", "docs", "config", "tests", "scripts", "protos", "bench")
EXAMPLES = {"config/images/90-mine.yaml", "hook.py"}  # what a reader is to write


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://", "docker:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@cache
def file_names() -> frozenset[str]:
    return frozenset(file.name for folder in FOLDERS for file in (ROOT / folder).rglob("*.*"))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_that_are_named_exist(page: Path) -> None:
    for word in re.findall(r"`([\w./*-]+)`", page.read_text()):
        if re.match(rf"({'|'.join(FOLDERS)})/", word):
            assert word in EXAMPLES or list(ROOT.glob(word.rstrip("/"))), word
        elif re.fullmatch(r"[a-z_]+(/[a-z_]+)*\.py", word):
            assert word in EXAMPLES or Path(word).name in file_names(), word


def command_lines(page: Path) -> Iterator[str]:
    """Each line of a block of code, without its prompt and its comment."""
    text = page.read_text()
    blocks = re.findall(r"^```(?:sh|bash|)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks += re.findall(
        r"(?:^    .*\n|^\n)+", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            yield re.sub(r"\s+#.*$", "", line.strip().removeprefix("$ ")).rstrip(" &")


def commands(program: str) -> list[Any]:
    found = [
        pytest.param(line, id=f"{named(page)}: {line[:60]}")
        for page in PAGES
        for line in command_lines(page)
        if line.startswith(f"{program} ") and not re.search("[…─]", line)
    ]
    assert found
    return found


def words_of(line: str) -> list[str]:
    """Up to what the shell takes for itself."""
    words = shlex.split(line)
    ends = [words.index(word) for word in ("|", "&&", "<<EOF", "<<END", ";", "<", ">", "&") if word in words]
    return words[1 : min(ends, default=len(words))]


@pytest.mark.parametrize("line", commands("orrery"))
def test_what_orrery_is_told_it_understands(line: str) -> None:
    words = words_of(line)
    make_parser().parse_args(words)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_flags_of_orrery_that_a_sentence_names(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for line in re.findall(r"`(orrery [^`…\[\]|]+)`", text):
        with suppress(SystemExit):  # half a command is fine in a sentence, a flag that is none is not
            make_parser().parse_args(shlex.split(line)[1:])
        assert "unrecognized" not in capsys.readouterr().err, line


@pytest.mark.parametrize("line", commands("ok"))
def test_what_ok_is_told_it_understands(line: str) -> None:
    world: Any = argparse.Namespace(program="ok", environ={})
    command, _, words = _find(words_of(line), world)
    assert command is not None, line
    try:
        parse((*registry.GLOBAL_FLAGS, *command.flags), words)
    except FlagError as error:
        raise AssertionError(f"{line}: {error}") from error


@cache
def help_of(component: str) -> str:
    """All flags, from the parser that the component makes for itself."""
    module = importlib.import_module(f"services.{component}.__main__")
    parser = argparse.ArgumentParser()
    add: Callable[[argparse.ArgumentParser], None] = getattr(module, "add_flags", None) or module._add_flags
    add(parser)
    return parser.format_help() + " --bind-address --log-level --log-format"


def test_the_flags_of_components() -> None:
    page = (ROOT / "docs/reference/README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([\d, –]+) \| (.*) \|$", page, re.MULTILINE)
    assert {name for name, _, _ in rows} == set(COMPONENTS)
    for name, ports, text in rows:
        for flag in re.findall(r"(--[\w-]+)", text.partition(", for a node with")[0]):
            assert flag.replace("--no-", "--") in help_of(name) or flag in help_of(name), (name, flag)
        for port in re.findall(r"\d+", ports):
            assert int(port) in PREFERRED_PORTS.values(), (name, port)


def test_the_kubelets_flags() -> None:
    page = (ROOT / "docs/reference/nodes.md").read_text()
    rows = re.findall(r"^\| (`--.*?) \|", page, re.MULTILINE)
    assert rows
    for flag in re.findall(r"`(--[\w-]+)", "\n".join(rows)):
        assert flag in help_of("node"), flag


def test_the_variables_of_the_environment() -> None:
    page = (ROOT / "docs/reference/README.md").read_text()
    names = re.findall(r"^\| (`ORRERY.*?) \|", page, re.MULTILINE)
    described = set(re.findall(r"ORRERY_\w+", " ".join(names)))
    sources = [*ROOT.glob("services/**/*.py"), ROOT / "docker-compose.yml"]
    read = {name for file in sources for name in re.findall(r"ORRERY_[A-Z_]+", file.read_text())}
    assert described <= read
    assert read - described == INTERNAL


INTERNAL = {"ORRERY_ETCD_ADDRESS"}  # set by compose for its own container


def test_node_ports_that_pages_name_are_those_of_the_addons() -> None:
    manifests = "".join(file.read_text() for file in (ROOT / "config/addons").glob("*.yaml"))
    known = {*re.findall(r"nodePort: (\d+)", manifests), "30000", "32767"}  # and the ends of the range
    for page in PAGES:
        for port in re.findall(r"\b3[0-2]\d{3}\b", page.read_text()):
            assert port in known, (named(page), port)


def test_every_folder_is_on_the_map() -> None:
    """Of `services`, and of the API server, which is the largest of them."""
    layout = (ROOT / "ARCHITECTURE.md").read_text().partition("## Layout")[2]
    packages = [path.parent.name for path in ROOT.glob("services/*/__init__.py")]
    for name in packages:
        assert re.search(rf"`(services/)?{name}`", layout), name
    row = next(line for line in layout.splitlines() if line.startswith("| `services/apiserver`"))
    for path in ROOT.glob("services/apiserver/*/__init__.py"):
        assert re.search(rf"\b{path.parent.name}\b", row), path.parent.name


def test_every_command_of_ok_is_in_its_reference() -> None:
    page = (ROOT / "docs/reference/ok.md").read_text()
    has, _, has_not = page.partition("## What it has not")
    for name in registry.SUMMARIES:
        assert f"`{name}`" in has, name
    first_cells = re.findall(r"^\| (.*?) \|", has_not, re.MULTILINE)
    for name in re.findall(r"`(\w+)`", first_cells[2]):
        assert name not in registry.SUMMARIES, name


def test_every_subcommand_of_create_is_in_its_reference() -> None:
    from services.kubectl.commands.create import CREATE

    page = (ROOT / "docs/reference/ok.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| `create` |"))
    assert {child.name for child in CREATE.children} <= set(re.findall(r"`([\w-]+)`", row))
