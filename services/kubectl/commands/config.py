"""`config`: the current namespace, kept beside the cluster's own state. There are no other settings."""

from __future__ import annotations

import json
from typing import Any

from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, quote
from services.kubectl.flags import boolean
from services.kubectl.output import printers
from services.kubectl.output.columns import align
from services.kubectl.session import Session

Json = dict[str, Any]

CONTEXT = "orrery"


def _state(session: Session) -> Json:
    try:
        value = json.loads((session.world.home() / "ok.json").read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


async def set_context(session: Session) -> None:
    if session.args and session.args != [CONTEXT]:
        raise Fail(f"no context exists with the name: {quote(session.args[0])}")
    if not session.args and not session.flags["current"]:
        raise session.usage_error("you must specify a context name or --current")
    state = {**_state(session)}
    if session.flags.changed("namespace"):
        state["namespace"] = session.flags["namespace"]
    home = session.world.home()
    home.mkdir(parents=True, exist_ok=True)
    (home / "ok.json").write_text(json.dumps(state) + "\n")
    session.print(f"Context {quote(CONTEXT)} modified.")


async def current_context(session: Session) -> None:
    session.print(CONTEXT)


async def get_contexts(session: Session) -> None:
    rows = [["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"]]
    known = not session.args or session.args == [CONTEXT]
    if known:
        rows.append(["*", CONTEXT, CONTEXT, "admin", _state(session).get("namespace", "")])
    for line in align(rows):
        session.print(line)
    if not known:
        raise Fail(f"context {session.args[0]} not found")


async def view(session: Session) -> None:
    namespace = _state(session).get("namespace")
    context = {"cluster": CONTEXT, "user": "admin", **({"namespace": namespace} if namespace else {})}
    document = {
        "apiVersion": "v1",
        "clusters": [{"cluster": {"server": session.address}, "name": CONTEXT}],
        "contexts": [{"context": context, "name": CONTEXT}],
        "current-context": CONTEXT,
        "kind": "Config",
        "preferences": {},
        "users": [{"name": "admin", "user": {}}],
    }
    session.write(printers.to_yaml(document))


CONFIG = Command(
    "config",
    "config SUBCOMMAND",
    "Show or set the current namespace.",
    children=(
        Command("current-context", "current-context", "Display the current-context", run=current_context),
        Command(
            "get-contexts",
            "get-contexts [(-o|--output=)name)]",
            "Describe one or many contexts",
            run=get_contexts,
        ),
        Command(
            "set-context",
            "set-context [NAME | --current] [--namespace=namespace]",
            "Set a context entry",
            run=set_context,
            flags=(boolean("current", "Change the current context"),),
        ),
        Command("view", "view", "Display the settings", run=view),
    ),
)
