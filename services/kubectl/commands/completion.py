"""`completion`: scripts for bash and zsh, and `__complete`, which they ask for words.

Commands, flags, kinds and names of objects complete. A cluster that does not answer completes
nothing and says nothing.
"""

from __future__ import annotations

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import resources
from services.kubectl.commands import registry
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, Refused
from services.kubectl.session import Session

# Commands whose arguments are a kind and names, and those that take names of one kind.
TYPED = frozenset(
    (
        *("get", "describe", "delete", "edit", "label", "annotate", "patch", "scale", "wait", "expose"),
        *("image", "env", "resources", "selector", "serviceaccount"),
        *("status", "history", "undo", "pause", "resume", "restart"),
    )
)
OF_ONE_KIND = {
    "logs": "Pod",
    "exec": "Pod",
    "cordon": "Node",
    "uncordon": "Node",
    "drain": "Node",
}

BASH = """# bash completion for {program}: source <({program} completion bash)
_{name}_complete() {{
    local words=("${{COMP_WORDS[@]:1:COMP_CWORD}}")
    local IFS=$'\\n'
    COMPREPLY=($({program} __complete -- "${{words[@]}}" 2>/dev/null))
    if [[ ${{#COMPREPLY[@]}} -eq 1 && ${{COMPREPLY[0]}} == */ ]]; then compopt -o nospace; fi
}}
complete -o default -F _{name}_complete {program}
"""
ZSH = """#compdef {program}
# zsh completion for {program}: source <({program} completion zsh)
_{name}() {{
    local -a replies
    replies=("${{(@f)$({program} __complete -- "${{(@)words[2,$CURRENT]}}" 2>/dev/null)}}")
    compadd -- ${{replies:#}}
}}
compdef _{name} {program}
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH}


async def run(session: Session) -> None:
    if not session.args:
        raise session.usage_error("Shell not specified.")
    if len(session.args) > 1:
        raise session.usage_error("Too many arguments. Expected only the shell type.")
    script = SCRIPTS.get(session.args[0])
    if script is None:
        raise session.usage_error(f'Unsupported shell type "{session.args[0]}".')
    program = session.world.program
    session.write(script.format(program=program, name=program.replace("-", "_")))


async def complete(session: Session) -> None:
    *before, last = session.args or [""]
    for word in await _candidates(session, before, last):
        if word.startswith(last):
            session.print(word)


async def _candidates(session: Session, before: list[str], last: str) -> list[str]:
    plain = [word for word in before if not word.startswith("-")]
    if before[-1:] in (["-n"], ["--namespace"]):
        return await _names(session, "Namespace")
    if not plain:
        return registry.names()
    command = registry.load(plain[0])
    if command is None:
        return []
    depth = 1
    while command.children and depth < len(plain) and (child := command.child(plain[depth])):
        command, depth = child, depth + 1
    if last.startswith("-"):
        return [f"--{flag.name}" for flag in (*command.flags, *registry.GLOBAL_FLAGS)]
    if command.children and command.run is None:
        return [child.name for child in command.children]
    if command.name in OF_ONE_KIND:
        return await _names(session, OF_ONE_KIND[command.name])
    if command.name in TYPED:
        return await _typed(session, plain[depth:], last)
    return []


async def _typed(session: Session, words: list[str], last: str) -> list[str]:
    """A kind, then names of that kind; or `kind/name` at once."""
    if words:
        return await _names(session, resources.lookup(words[0]).kind)
    if "/" in last:
        kind = last.partition("/")[0]
        return [f"{kind}/{name}" for name in await _names(session, resources.lookup(kind).kind)]
    return [*sorted(resource.plural for resource in kinds.RESOURCES), "all"]


async def _names(session: Session, kind: str) -> list[str]:
    resource = next(resource for resource in kinds.RESOURCES if resource.kind == kind)
    try:
        objects = await session.client.list(resource, resources.namespace_of(session, resource))
    except (ApiError, Refused, Fail):
        return []
    return [obj["metadata"]["name"] for obj in objects]


COMPLETION = Command(
    "completion",
    "completion SHELL",
    "Output shell completion code for the specified shell (bash or zsh).",
    run=run,
    offline=True,
    examples="""
  # For this shell
  source <({program} completion bash)
""",
)
COMPLETE = Command("__complete", "__complete", "Words for a completion script.", run=complete)
