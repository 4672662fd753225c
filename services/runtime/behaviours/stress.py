"""`stress`: takes the CPU and the memory that its command line names, as tutorials on limits use it.

    stress --cpu 2 --vm 1 --vm-bytes 150M --vm-hang 1 --timeout 60

Also understands `-cpus 2 -mem-total 950Mi -mem-alloc-size 100Mi -mem-alloc-sleep 1s`, which is the
older image of upstream's tasks. Nothing is computed and nothing allocated: the load is declared,
and the kernel's accounts do the rest.
"""

from __future__ import annotations

import re

from services.runtime.kernel import Future
from services.runtime.processes import Process
from services.runtime.usage import MEBIBYTE

CPU_OF_A_HOG = 1_000_000_000  # nanocores
HOGS_MAX = 1_000
_UNITS = {"": 1, "b": 1, "k": 1024, "m": MEBIBYTE, "g": 1024 * MEBIBYTE}
_SPANS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "ms": 0.001}


async def stress(process: Process) -> int:
    words = list(process.argv[1:])
    if not words or words[0] in ("--help", "-?"):
        await process.write("Usage: stress [OPTION [ARG]] ...\n")
        return 0 if words else 1
    options = options_of(words)
    try:
        cpu, vm, vm_bytes = _count(options, "cpu", "c", "cpus"), _count(options, "vm", "m"), _bytes(options)
        seconds = _span(options.get("timeout", options.get("t", "0")))
        step_bytes, step_seconds = (
            size_of(options.get("mem-alloc-size", "0")),
            _span(options.get("mem-alloc-sleep", "0")),
        )
    except ValueError as error:
        await process.complain(f"stress: FAIL: [{process.pid}] (244) unrecognized option: {error}")
        return 1
    total = vm * vm_bytes + size_of(options.get("mem-total", "0"))
    await process.write(f"stress: info: [{process.pid}] dispatching hogs: {cpu} cpu, 0 io, {vm} vm, 0 hdd\n")
    container = process.container
    # A hog of memory that does not hang touches its pages all the time.
    busy = cpu + (vm if "vm-hang" not in options and "vm-keep" not in options else 0)
    container.usage.set_cpu(container.now_seconds(), busy * CPU_OF_A_HOG)
    if step_bytes and step_seconds:
        container.set_memory(MEBIBYTE, step_bytes / step_seconds if total else 0.0)
        await process.sleep(total / step_bytes * step_seconds)
    container.set_memory(MEBIBYTE + total, 0)
    if not seconds:
        await Future[None]()
    await process.sleep(seconds)
    container.usage.set_cpu(container.now_seconds(), 0)
    await process.write(f"stress: info: [{process.pid}] successful run completed in {seconds:.0f}s\n")
    return 0


def options_of(words: list[str]) -> dict[str, str]:
    """`--name value`, `--name=value`, `-n value`; a name without a value is there, and empty."""
    found: dict[str, str] = {}
    name = ""
    for word in words:
        if word.startswith("-") and not word[1:2].isdigit():
            name, _, value = word.lstrip("-").partition("=")
            found[name] = value
        elif name:
            found[name] = word
            name = ""
    return found


def size_of(text: str) -> int:
    match = re.fullmatch(r"(\d{1,9})([bkmg]?)i?b?", text.strip().lower())
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _UNITS[match[2]]


def _bytes(options: dict[str, str]) -> int:
    return size_of(options.get("vm-bytes", "256M"))


def _count(options: dict[str, str], *names: str) -> int:
    text = next((options[name] for name in names if name in options), "0")
    return min(int(text), HOGS_MAX)


def _span(text: str) -> float:
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)(ms|[smhd]?)", text.strip())
    if match is None:
        raise ValueError(text)
    return float(match[1]) * _SPANS[match[2]]
