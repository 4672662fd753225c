"""One attempt of a probe: a command in the container, or a call to one of its ports.

The words of failures are those of upstream's `pkg/probe`, which are mostly Go's. A redirect to the
same host is followed, as there; one to another host ends in a success with a warning.
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from services.api.core_v1 import Container, HTTPGetAction, Probe
from services.kubelet import grpc_probe
from services.kubelet.cri import Cri, CriError, HttpAnswer
from services.kubelet.probes import Answer, http_answer, resolve_port
from services.machinery.clock import Clock

REDIRECTS_MAX = 10
USER_AGENT = "kube-probe/1.36"


async def ask(
    cri: Cri,
    clock: Clock,
    probe: Probe,
    container: Container,
    container_id: str,
    address: str,
    timeout_seconds: int,
) -> Answer:
    """ValueError when the probe names a port that there is not."""
    if probe.exec:
        return await _exec(cri, probe.exec.command, container_id, timeout_seconds)
    if probe.http_get:
        return await _http(cri, probe.http_get, container, address, timeout_seconds)
    if probe.tcp_socket:
        host, port = probe.tcp_socket.host or address, resolve_port(probe.tcp_socket.port, container)
        return await _tcp(cri, host, port, timeout_seconds)
    if probe.grpc:
        return await grpc_probe.check(
            cri, clock, address, probe.grpc.port, probe.grpc.service or "", timeout_seconds
        )
    raise ValueError(f"missing probe handler for {container.name}")


async def _exec(cri: Cri, command: list[str], container_id: str, timeout_seconds: int) -> Answer:
    try:
        result = await cri.exec_sync(container_id, command, timeout_seconds)
    except CriError as error:
        if error.code == "DeadlineExceeded":
            text = " ".join(command)
            return Answer(False, f'command timed out: "{text}" timed out after {timeout_seconds}s')
        return Answer(False, str(error), error=True)
    output = (result.stdout + result.stderr).decode(errors="replace")
    return Answer(result.exit_code == 0, output)


# ---- HTTP ------------------------------------------------------------------------------------


async def _http(
    cri: Cri, action: HTTPGetAction, container: Container, address: str, timeout_seconds: int
) -> Answer:
    scheme = (action.scheme or "HTTP").lower()
    host, port = action.host or address, resolve_port(action.port, container)
    headers = _headers(action)
    url = f"{scheme}://{_joined(host, port)}/{(action.path or '').lstrip('/')}"
    for _ in range(REDIRECTS_MAX):
        try:
            answer = await _get(cri, url, headers, timeout_seconds)
        except CriError as error:
            said = error.message
            return Answer(False, said if said.startswith("Get ") else f'Get "{url}": {said}')
        target = urljoin(url, answer.location) if answer.location else ""
        if not 300 <= answer.status < 400 or urlsplit(target).hostname != urlsplit(url).hostname:
            return http_answer(answer.status, answer.body)
        url = target
    return Answer(False, f'Get "{url}": stopped after {REDIRECTS_MAX} redirects')


async def _get(cri: Cri, url: str, headers: list[tuple[str, str]], timeout_seconds: int) -> HttpAnswer:
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return await cri.http(
        parts.hostname or "",
        parts.port or (443 if parts.scheme == "https" else 80),
        path,
        scheme=parts.scheme,
        headers=headers,
        timeout_seconds=timeout_seconds,
    )


def _headers(action: HTTPGetAction) -> list[tuple[str, str]]:
    """The probe's own, and those that upstream adds unless they are set, be it to nothing."""
    headers = [(header.name, header.value) for header in action.http_headers]
    names = {name.lower(): value for name, value in headers}
    if "user-agent" not in names:
        headers.append(("User-Agent", USER_AGENT))
    if "accept" not in names:
        headers.append(("Accept", "*/*"))
    return [(name, value) for name, value in headers if value or name.lower() != "accept"]


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# ---- TCP -------------------------------------------------------------------------------------


async def _tcp(cri: Cri, host: str, port: int, timeout_seconds: int) -> Answer:
    try:
        await cri.dial(host, port, timeout_seconds)
    except CriError as error:
        if error.code == "DeadlineExceeded":
            return Answer(False, f"dial tcp {_joined(host, port)}: i/o timeout")
        return Answer(False, error.message)
    return Answer(True)
