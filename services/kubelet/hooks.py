"""Lifecycle hooks: what a container is told after its start and before its end."""

from __future__ import annotations

from services.api.core_v1 import Container, LifecycleHandler
from services.kubelet.cri import CriError
from services.kubelet.node_context import NodeContext
from services.kubelet.probes import resolve_port

HOOK_SECONDS_MAX = 600  # Upstream has no limit; a hook that hangs for longer is given up here.


class HookError(Exception):
    """The hook failed; the text is for the log, since it may hold secrets."""


async def run_hook(
    context: NodeContext, hook: LifecycleHandler, container: Container, container_id: str, address: str
) -> None:
    """Runs one hook to its end. Raises HookError."""
    try:
        if hook.exec:
            result = await context.cri.exec_sync(container_id, hook.exec.command, HOOK_SECONDS_MAX)
            if result.exit_code:
                command = " ".join(hook.exec.command)
                raise HookError(f"command '{command}' exited with {result.exit_code}")
        elif hook.http_get:
            action = hook.http_get
            answer = await context.cri.http(
                action.host or address,
                resolve_port(action.port, container),
                "/" + (action.path or "").lstrip("/"),
                scheme=(action.scheme or "HTTP").lower(),
                headers=[(header.name, header.value) for header in action.http_headers],
                timeout_seconds=HOOK_SECONDS_MAX,
            )
            if answer.status >= 400:
                raise HookError(f"HTTP status {answer.status}")
        elif hook.sleep:
            await context.clock.sleep(hook.sleep.seconds)
    except (CriError, ValueError) as error:
        raise HookError(str(error)) from error
