"""`--help`: what a command is for, its examples, its flags, its usage line; in kubectl's arrangement."""

from __future__ import annotations

from services.kubectl.commands import registry
from services.kubectl.commands.registry import Command
from services.kubectl.flags import Flag

NAME_WIDTH_MIN = 11
ROOT_LONG = """{program} controls the Kubernetes cluster manager.

 Find more information at: https://kubernetes.io/docs/reference/kubectl/
"""


def root(program: str) -> str:
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, (summary, group) in registry.SUMMARIES.items():
        groups.setdefault(group, []).append((name, summary))
    width = max(len(name) for name in registry.SUMMARIES) + 3
    text = [ROOT_LONG.format(program=program)]
    for group, commands in groups.items():
        lines = "".join(f"  {name.ljust(width)}{summary}\n" for name, summary in commands)
        text.append(f"{group}:\n{lines}")
    text.append(f"Usage:\n  {program} [flags] [options]\n")
    text.append(
        f'Use "{program} <command> --help" for more information about a given command.\n'
        f'Use "{program} options" for a list of global command-line options (applies to all commands).\n'
    )
    return "\n".join(text)


def of(command: Command, path: str, program: str) -> str:
    """`path` is the command as typed, program included."""
    parts = [command.long.strip().format(program=program) + "\n"]
    if command.aliases:
        parts.append(f"Aliases:\n{', '.join((command.name, *command.aliases))}\n")
    if command.examples:
        lines = command.examples.strip("\n").format(program=program)
        parts.append(f"Examples:\n{lines}\n")
    if command.children:
        width = max(NAME_WIDTH_MIN, *(len(child.name) for child in command.children)) + 3
        rows = "".join(
            f"  {child.name.ljust(width)}{child.long.strip().splitlines()[0].rstrip('.')}\n"
            for child in command.children
        )
        parts.append(f"Available Commands:\n{rows}")
    if command.flags:
        parts.append("Options:\n" + "\n".join(_flag(flag) for flag in sorted_flags(command)))
    prefix = path.removesuffix(command.name)
    parts.append(f"Usage:\n  {prefix}{command.use} [options]\n")
    footer = f'Use "{program} options" for a list of global command-line options (applies to all commands).\n'
    if command.children:
        footer = f'Use "{path} <command> --help" for more information about a given command.\n{footer}'
    parts.append(footer)
    return "\n".join(parts)


def sorted_flags(command: Command) -> list[Flag]:
    return sorted((flag for flag in command.flags if not flag.hidden), key=lambda flag: flag.name)


def _flag(flag: Flag) -> str:
    short = f"-{flag.short}, " if flag.short else "    "
    return f"    {short}--{flag.name}={flag.shown_default()}:\n\t{flag.help}\n"


def options(program: str) -> str:
    lines = "\n".join(_flag(flag) for flag in sorted(registry.GLOBAL_FLAGS, key=lambda flag: flag.name))
    return f"The following options can be passed to any command:\n\n{lines}"
