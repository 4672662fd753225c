"""Lifecycle hooks: what a container is told after its start and before its end.

A hook over HTTP asks and does not mind the answer. Upstream: `pkg/kubelet/lifecycle/handlers.go`.
"""

from __future__ import annotations

from services.api.core_v1 import Container, HTTPGetAction, LifecycleHandler
from services.kubelet.cri import CriError
from services.kubelet.node_context import NodeContext
from services.kubelet.probes import resolve_port

HOOK_SECONDS_MAX = 600  # Upstream has no limit; a hook that hangs for longer is given up here.


class HookError(Exception):
    """The hook failed; the text may hold what the command printed."""


async def run_hook(
    context: NodeContext,
    hook: LifecycleHandler,
    container: Container,
    container_id: str,
    address: str,
    pod_name: str,
) -> None:
    """Runs one hook to its end. `pod_name` is for the words of a HookError."""
    where = f'for Container "{container.name}" in Pod "{pod_name}" failed - error:'
    try:
        if hook.exec:
            await _exec(context, hook.exec.command, container_id, where)
        elif hook.http_get:
            await _http(context, hook.http_get, container, address, where)
        elif hook.sleep:
            await context.clock.sleep(hook.sleep.seconds)
    except (CriError, ValueError) as error:
        raise HookError(str(error)) from error


async def _exec(context: NodeContext, command: list[str], container_id: str, where: str) -> None:
    shown = f"Exec lifecycle hook ([{' '.join(command)}]) {where}"
    try:
        result = await context.cri.exec_sync(container_id, command, HOOK_SECONDS_MAX)
    except CriError as error:
        raise HookError(f'{shown} {error}, message: ""') from error
    if result.exit_code:
        said = result.stderr.decode(errors="replace")
        failed = f"command '{' '.join(command)}' exited with {result.exit_code}: {said}"
        output = (result.stdout + result.stderr).decode(errors="replace")
        raise HookError(f"{shown} {failed}, message: {_quoted(output)}")


async def _http(
    context: NodeContext, action: HTTPGetAction, container: Container, address: str, where: str
) -> None:
    shown = f"HTTP lifecycle hook ({action.path or ''}) {where}"
    try:
        await context.cri.http(
            action.host or address,
            resolve_port(action.port, container),
            "/" + (action.path or "").lstrip("/"),
            scheme=(action.scheme or "HTTP").lower(),
            headers=[(header.name, header.value) for header in action.http_headers],
            timeout_seconds=HOOK_SECONDS_MAX,
        )
    except (CriError, ValueError) as error:
        said = error.message if isinstance(error, CriError) else error
        raise HookError(f"{shown} {said}") from error


def _quoted(text: str) -> str:
    """As Go's %q prints it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
