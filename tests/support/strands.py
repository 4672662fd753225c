"""Sees work that goes on in turns (`services.apiserver.strands`)."""

from __future__ import annotations

import asyncio
import threading


def strand_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "strand"]


async def in_turns(task: asyncio.Task[object]) -> None:
    """Waits until a task's work goes on in turns. The task must not end before."""
    while not strand_threads():
        if task.done():
            raise AssertionError(f"was done at once: {task.exception() or task.result()}")
        await asyncio.sleep(0)
