"""curl, wget, nslookup, nc, ping, ip, netstat: the Pod network as its programs meet it."""

from __future__ import annotations

import errno
import os
from urllib.parse import SplitResult, urlsplit

from services.runtime.http import Request, Response, header
from services.runtime.network import is_address
from services.runtime.opening import open_file
from services.runtime.processes import Exit, Process, Program
from services.runtime.programs.input import path_of
from services.runtime.programs.options import busybox, numeric, options, usage
from services.runtime.streams import read_all

REDIRECTS_MAX = 20
CONNECT_SECONDS_DEFAULT = "130"
CURL_LONG = {
    "silent": "s", "show-error": "S", "fail": "f", "include": "i", "head": "I", "request": "X", "header": "H",
    "data": "d", "output": "o", "write-out": "w", "max-time": "m", "location": "L", "verbose": "v",
    "insecure": "k",
    "user-agent": "A", "connect-timeout": "Y", "retry": "Z", "data-binary": "d", "user": "u", "get": "G",
    "no-buffer": "N", "remote-name": "O", "fail-with-body": "f", "http1.1": "0",
}  # fmt: skip


class Trouble(Exception):
    """Why a request got no answer: curl's number and both tools' words."""

    def __init__(self, code: int, curl: str, wget: str) -> None:
        super().__init__(curl)
        self.code, self.curl, self.wget = code, curl, wget


async def fetch(process: Process, url: SplitResult, request: Request, limit_seconds: float) -> Response:
    """One request, given up after the limit. Raises Trouble."""
    if url.scheme not in ("http", "https") or not url.hostname:
        raise Trouble(
            1 if url.scheme else 3, f'Protocol "{url.scheme}" not supported', "not an http or ftp url"
        )
    host, port = url.hostname, url.port or (443 if url.scheme == "https" else 80)
    container = process.container
    network, source = container.machine.network, container.sandbox.namespace
    addresses = [host] if is_address(host) else await network.resolve(source, host)
    if not addresses:
        raise Trouble(6, f"Could not resolve host: {host}", f"bad address '{url.netloc}'")
    task = container.kernel.spawn(network.http(source, addresses[0], port, request))
    timer = container.kernel.timer(limit_seconds)
    timer.future.on_done(lambda: task.kill(1))
    try:
        await task.finished
    finally:
        timer.cancel()
        task.kill(1)
    if timer.future.done and task.error is not None:
        spent = int(limit_seconds * 1000)
        raise Trouble(28, f"Connection timed out after {spent} milliseconds", "download timed out")
    try:
        return task.result()
    except OSError as error:
        raise _refused(error, host, addresses[0], port) from error


def _refused(error: OSError, host: str, address: str, port: int) -> Trouble:
    words = os.strerror(error.errno or errno.ECONNREFUSED)
    wget = f"can't connect to remote host ({address}): {words}"
    if error.errno == errno.ECONNRESET:
        return Trouble(52, "Empty reply from server", "error getting response")
    return Trouble(
        7, f"Failed to connect to {host} port {port} after 0 ms: Could not connect to server", wget
    )


async def curl(process: Process) -> int:
    letters = "sSfiIX:H:d:o:w:m:LvkA:Y:Z:u:GNO0"
    headers: list[tuple[str, str]] = []
    words = _without_headers(list(process.argv[1:]), headers)
    found, urls = await options(process, letters, words=words, long=CURL_LONG)
    if not urls:
        await process.complain("curl: try 'curl --help' or 'curl --manual' for more information")
        return 2
    status = 0
    for text in urls:
        status = await _curl_one(process, text, found, headers)
    return status


def _without_headers(words: list[str], headers: list[tuple[str, str]]) -> list[str]:
    """Takes every -H out, since there may be many."""
    rest: list[str] = []
    while words:
        word = words.pop(0)
        if word in ("-H", "--header") and words:
            name, _, value = words.pop(0).partition(":")
            headers.append((name.strip(), value.strip()))
        else:
            rest.append(word)
    return rest


async def _curl_one(
    process: Process, text: str, found: dict[str, str], headers: list[tuple[str, str]]
) -> int:
    quiet = "s" in found and "S" not in found
    limit = await numeric(process, found.get("m") or found.get("Y") or CONNECT_SECONDS_DEFAULT)
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        response = await _follow(process, url, _curl_request(url, found, headers), found, limit)
    except ValueError:
        await process.complain(
            "curl: (3) URL rejected: Port number was not a decimal number between 0 and 65535"
        )
        return 3
    except Trouble as trouble:
        if not quiet:
            await process.complain(f"curl: ({trouble.code}) {trouble.curl}")
        await _write_out(process, found, 0, 0)
        return trouble.code
    if "f" in found and response.status >= 400:
        if not quiet:
            await process.complain(f"curl: (22) The requested URL returned error: {response.status}")
        await _write_out(process, found, response.status, 0)
        return 22
    shown = response.body
    if found.keys() & {"i", "I"}:
        head = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
        length = (
            "" if header(response.headers, "content-length") else f"Content-Length: {len(response.body)}\r\n"
        )
        shown = f"HTTP/1.1 {response.status} {response.reason}\r\n{head}{length}\r\n".encode() + (
            b"" if "I" in found else shown
        )
    target = found.get("o") or (url.path.rpartition("/")[2] if "O" in found else "")
    if target and target != "-":
        await open_file(process, path_of(process, target), ">").write(shown)
    else:
        await process.write(shown)
    await _write_out(process, found, response.status, len(response.body))
    return 0


async def _write_out(process: Process, found: dict[str, str], status: int, size: int) -> None:
    if "w" in found:
        text = (
            found["w"].replace("%{http_code}", f"{status:03d}").replace("%{response_code}", f"{status:03d}")
        )
        text = text.replace("%{size_download}", str(size)).replace("%{time_total}", "0.001000")
        await process.write(text.replace("\\n", "\n").replace("\\t", "\t"))


def _curl_request(url: SplitResult, found: dict[str, str], headers: list[tuple[str, str]]) -> Request:
    body = found.get("d", "").encode("utf-8", "surrogateescape")
    method = found.get("X") or (
        "HEAD" if "I" in found else "POST" if "d" in found and "G" not in found else "GET"
    )
    named = {name.lower() for name, _ in headers}
    standard = [("Host", url.netloc), ("User-Agent", found.get("A", "curl/8.14.1")), ("Accept", "*/*")]
    if body and method != "GET":
        standard.append(("Content-Type", "application/x-www-form-urlencoded"))
    every = [pair for pair in standard if pair[0].lower() not in named] + headers
    return Request(method, _target(url), tuple(every), body)


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


async def _follow(
    process: Process, url: SplitResult, request: Request, found: dict[str, str], limit: float
) -> Response:
    for _ in range(REDIRECTS_MAX):
        response = await fetch(process, url, request, limit)
        place = header(response.headers, "location")
        if "L" not in found or not place or response.status not in (301, 302, 303, 307, 308):
            return response
        url = urlsplit(place if "://" in place else f"{url.scheme}://{url.netloc}{place}")
        request = Request(
            request.method, _target(url), (("Host", url.netloc), *request.headers[1:]), request.body
        )
    raise Trouble(47, f"Maximum ({REDIRECTS_MAX}) redirects followed", "too many redirections")


async def wget(process: Process) -> int:
    long = {"quiet": "q", "output-document": "O", "timeout": "T", "spider": "s", "tries": "t",
    "no-check-certificate": "k",
            "header": "H", "post-data": "d"}  # fmt: skip
    words = [
        f"-q{word[2:]}" if word.startswith("-qO") and len(word) > 3 else word for word in process.argv[1:]
    ]
    found, urls = await options(process, "qO:T:st:kScP:H:d:", words=words, long=long)
    if not urls:
        if busybox(process):
            raise await usage(
                process, "[-cqS] [--spider] [-O FILE] [--header STR] [--post-data STR] [-P DIR] URL..."
            )
        await process.complain(
            "wget: missing URL\nUsage: wget [OPTION]... [URL]...\n\nTry `wget --help' for more options."
        )
        return 1
    text = urls[0]
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        port = url.port or 80
    except ValueError:
        await process.complain(f"wget: bad port spec '{text}'")
        return 1
    method = "HEAD" if "s" in found else "POST" if "d" in found else "GET"
    request = Request(method, _target(url), (("Host", url.netloc), ("User-Agent", "Wget"), ("Connection",
    "close")),
                      found.get("d", "").encode())  # fmt: skip
    quiet = "q" in found
    if not quiet:
        await process.complain(f"Connecting to {url.netloc} ({url.hostname}:{port})")
    try:
        response = await _follow(
            process, url, request, {"L": ""}, await numeric(process, found.get("T") or "900")
        )
    except (Trouble, ValueError) as trouble:
        words_said = trouble.wget if isinstance(trouble, Trouble) else "bad port spec"
        await process.complain(f"wget: {words_said}")
        return 1
    if response.status >= 400:
        await process.complain(f"wget: server returned error: HTTP/1.1 {response.status} {response.reason}")
        return 1
    if "s" in found:
        return 0
    target = found.get("O") or url.path.rpartition("/")[2] or "index.html"
    if target == "-":
        await process.write(response.body)
        return 0
    try:
        await open_file(process, path_of(process, target), ">").write(response.body)
    except OSError as error:
        await process.complain(f"wget: can't open '{target}': {os.strerror(error.errno or 0)}")
        return 1
    if not quiet:
        await process.complain(f"saving to '{target}'\n'{target}' saved")
    return 0


async def nslookup(process: Process) -> int:
    names = [word for word in process.argv[1:] if not word.startswith("-")]
    if not names:
        await process.complain("Usage: nslookup [HOST] [SERVER]")
        return 1
    container = process.container
    server = next(iter(container.sandbox.config.dns.servers), "") if container.sandbox.config.dns else ""
    await process.write(f"Server:\t\t{server or '127.0.0.1'}\nAddress:\t{server or '127.0.0.1'}:53\n\n")
    addresses = await container.machine.network.resolve(container.sandbox.namespace, names[0])
    if not addresses:
        await process.write(f"** server can't find {names[0]}: NXDOMAIN\n\n")
        return 1
    for address in addresses:
        await process.write(f"Name:\t{names[0]}\nAddress: {address}\n")
    await process.write("\n")
    return 0


async def nc(process: Process) -> int:
    found, operands = await options(process, "zvw:lp:n46uq:i:")
    if not operands and "l" not in found:
        raise await usage(process, "[-l] [-p PORT] [-w SEC] [-z] [-v] [HOST PORT]")
    if "l" in found or len(operands) < 2 or not operands[1].isdigit():
        await process.complain("nc: only connections to HOST PORT are emulated")
        return 1
    host, port = operands[0], int(operands[1])
    container = process.container
    network, source = container.machine.network, container.sandbox.namespace
    addresses = await network.resolve(source, host)
    if not addresses:
        await process.complain(f"nc: bad address '{host}'")
        return 1
    try:
        connection = await network.connect(source, addresses[0], port)
    except OSError as error:
        await process.complain(f"nc: {host} ({addresses[0]}:{port}): {os.strerror(error.errno or 0)}")
        return 1
    if "z" in found:
        if "v" in found:
            await process.complain(f"{host} ({addresses[0]}:{port}) open")
        connection.close()
        return 0

    async def send() -> int:
        await connection.outgoing.write(await read_all(process.stdin, 1 << 24))
        connection.outgoing.close_writer()
        return 0

    sending = container.kernel.spawn(send())
    limit = container.kernel.timer(await numeric(process, found["w"])) if "w" in found else None
    if limit is not None:
        limit.future.on_done(connection.close)
    try:
        while data := await connection.incoming.read(65536):
            await process.write(data)
    finally:
        sending.kill(1)
        connection.close()
    return 0


async def ping(process: Process) -> int:
    found, operands = await options(process, "c:w:W:i:qs:4")
    if not operands:
        raise Exit(1)
    container = process.container
    network, source = container.machine.network, container.sandbox.namespace
    addresses = await network.resolve(source, operands[0])
    if not addresses:
        await process.complain(f"ping: bad address '{operands[0]}'")
        return 1
    address = addresses[0]
    count = int(found["c"]) if found.get("c", "").isdigit() else 1_000_000
    await process.write(f"PING {operands[0]} ({address}): 56 data bytes\n")
    received = sent = 0
    while sent < count:
        if sent:
            await process.sleep(1.0)
        if await _reachable(process, address):
            await process.write(f"64 bytes from {address}: seq={sent} ttl=64 time=0.050 ms\n")
            received += 1
        sent += 1
    lost = 100 * (sent - received) // sent if sent else 0
    await process.write(
        f"\n--- {operands[0]} ping statistics ---\n"
        f"{sent} packets transmitted, {received} packets received, {lost}% packet loss\n"
    )
    return 0 if received else 1


async def _reachable(process: Process, address: str) -> bool:
    container = process.container
    try:
        connection = await container.machine.network.connect(container.sandbox.namespace, address, 7)
    except OSError as error:
        return error.errno == errno.ECONNREFUSED
    connection.close()
    return True


async def ip(process: Process) -> int:
    address = process.container.sandbox.ip
    await process.write(
        "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN qlen 1000\n"
        "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    inet 127.0.0.1/8 scope host lo\n"
        "2: eth0@if3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UP\n"
        f"    inet {address}/24 brd {address.rpartition('.')[0]}.255 scope global eth0\n"
    )
    return 0


async def netstat(process: Process) -> int:
    await process.write("Active Internet connections (only servers)\n")
    await process.write("Proto Recv-Q Send-Q Local Address           Foreign Address         State\n")
    for port in sorted(process.container.sandbox.namespace.listeners):
        await process.write(f"tcp        0      0 {f'0.0.0.0:{port}':<23} 0.0.0.0:*               LISTEN\n")
    return 0


PROGRAMS: dict[str, Program] = {
    "curl": curl, "wget": wget, "nslookup": nslookup, "nc": nc, "ping": ping, "ip": ip, "ifconfig": ip,
    "netstat": netstat,
}  # fmt: skip
