"""The shell inside containers."""

from __future__ import annotations

from collections.abc import Sequence

from services.runtime.processes import Process


async def run_script(
    process: Process, source: str, name: str, arguments: Sequence[str], options: Sequence[str]
) -> int:
    raise NotImplementedError
