"""skopeo from Debian, and docker with its engine, against our registry: pull, log in, push, delete.

Skipped where the machine has none of them; the small client of tests/support/oci.py always runs.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.integration.registry.conftest import Doors
from tests.integration.registry.test_push import on_a_node

skopeo = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


async def run(*argv: str, cwd: Path | None = None) -> tuple[int, str]:
    """The exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=cwd
    )
    async with asyncio.timeout(120):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@skopeo
async def test_skopeo(doors: Doors, tmp_path: Path) -> None:
    address = doors.base.removeprefix("http://")
    source, target = ("--src-tls-verify=false", "--dest-tls-verify=false")
    code, text = await run("skopeo", "inspect", "--tls-verify=false", f"docker://{address}/nginx:1.29")
    assert code == 0, text
    assert "1.29" in json.loads(text)["RepoTags"]
    code, text = await run(
        "skopeo", "copy", source, f"docker://{address}/luksa/kubia:v2", f"dir:{tmp_path}/kubia"
    )
    assert code == 0, text
    push = ("skopeo", "copy", target, f"dir:{tmp_path}/kubia")
    code, text = await run(*push, f"docker://{address}/crane")
    assert code != 0
    assert "denied: requested access to the resource is denied" in text
    code, text = await run(*push, "--dest-creds", "orrery:wrong", f"docker://{address}/crane")
    assert code != 0
    assert "unauthorized: incorrect username or password" in text
    code, text = await run(*push, "--dest-creds", "me:secret", f"docker://{address}/crane")
    assert code == 0, text
    found = await on_a_node(doors, "crane")
    assert found.behaviour["http"][0]["body"].startswith("This is v2")  # type: ignore[index]
    code, text = await run(
        "skopeo", "copy", "--all", source, target, "--dest-creds", "me:secret",
        f"docker://{address}/busybox", f"docker://{address}/me/busybox",
    )  # fmt: skip
    assert code == 0, text
    assert (await on_a_node(doors, "me/busybox")).digest == (await on_a_node(doors, "busybox")).digest
    code, text = await run(
        "skopeo", "delete", "--tls-verify=false", "--creds", "me:secret", f"docker://{address}/me/busybox"
    )
    assert code == 0, text
    code, text = await run("skopeo", "inspect", "--tls-verify=false", f"docker://{address}/nosuch")
    assert code != 0
    assert "denied: requested access to the resource is denied" in text


async def engine() -> bool:
    return shutil.which("docker") is not None and (await run("docker", "info"))[0] == 0


async def test_docker(doors: Doors, tmp_path: Path) -> None:
    if not await engine():
        pytest.skip("no docker engine runs here")
    address = doors.base.removeprefix("http://")
    docker = ("docker", "--config", str(tmp_path / "config"))
    image, mine = f"{address}/luksa/kubia", f"{address}/me/kubia:v9"
    try:
        code, text = await run(*docker, "pull", image)
        assert code == 0, text
        await run(*docker, "tag", image, mine)
        code, text = await run(*docker, "push", mine)
        assert code != 0
        assert "denied: requested access to the resource is denied" in text
        code, text = await run(*docker, "login", "-u", "me", "-p", "secret", address)
        assert "Login Succeeded" in text
        code, text = await run(*docker, "push", mine)
        assert code == 0, text
        assert (await on_a_node(doors, "me/kubia:v9")).entrypoint == ("node", "app.js")
        code, text = await run(*docker, "pull", f"{address}/nosuch")
        assert "pull access denied" in text
    finally:
        await run(*docker, "rmi", "-f", image, mine)
