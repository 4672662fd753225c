"""Connections to webhooks: kept from call to call, and never taken from under one that is at work."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from services.apiserver.admission import calling
from services.process.clock import SystemClock
from tests.support.webhook import allow, webhook_server

Json = dict[str, Any]
REVIEW = {"apiVersion": "admission.k8s.io/v1", "request": {"uid": "1"}}


async def test_more_webhooks_than_sessions_may_be_called_at_once(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(calling, "SESSIONS_MAX", 2)
    caller = calling.Caller(lambda: None, SystemClock())  # type: ignore[arg-type,return-value]
    all_here, count = asyncio.Event(), 5

    async def together(review: Json) -> Json:
        if len(hook.asked) == count:
            all_here.set()
        await all_here.wait()
        return allow(review)

    async with webhook_server(tmp_path) as hook:
        paths = [f"/{number}" for number in range(count)]
        hook.answers = dict.fromkeys(paths, together)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(caller.ask(hook.client(path), REVIEW, 30)) for path in paths]
        assert [task.result()["response"]["allowed"] for task in tasks] == [True] * count
        assert len(caller._sessions) == 2
        await caller.close()
