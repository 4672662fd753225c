"""Volumes that lie in memory: what is written there counts for the container, up to the volume's size."""

from __future__ import annotations

from services.kubelet.runtime_config import MEMORY_MOUNTS as SAID
from services.runtime.model import ContainerState, MountConfig, Resources
from services.runtime.volumes import MEMORY_MOUNTS, memory_mounts
from tests.unit.runtime.harness import Bench

MEBIBYTE = 1024 * 1024


async def test_what_lies_in_memory_is_charged_limited_and_given_back(it: Bench) -> None:
    assert SAID == MEMORY_MOUNTS
    container = await it.start(
        "busybox", "sleep", "inf",
        mounts=(MountConfig("/cache", "/pods/p/cache", readonly=False),),
        annotations={MEMORY_MOUNTS: '{"/cache": 2000000}'},
    )  # fmt: skip
    before = container.memory()
    assert (await it.shell(container, "head -c 1500000 /dev/zero > /cache/a"))[0] == 0
    assert container.memory() == before + 1_500_000
    status, _, said = await it.shell(container, "head -c 1000000 /dev/zero > /cache/b")
    assert status != 0
    assert "No space left on device" in said
    await it.shell(container, "rm /cache/a /cache/b; echo hi > /cache/c")
    assert container.memory() == before + 3


async def test_filling_memory_kills(it: Bench) -> None:
    container = await it.start(
        "busybox", "sh", "-c", "head -c 9000000 /dev/zero > /cache/a; sleep inf",
        mounts=(MountConfig("/cache", "/pods/p/cache", readonly=False),),
        annotations={MEMORY_MOUNTS: '{"/cache": 0}'}, resources=Resources(memory_limit_bytes=6 * MEBIBYTE),
    )  # fmt: skip
    await it.clock.advance(1)
    assert (container.state, container.reason) == (ContainerState.EXITED, "OOMKilled")


def test_an_annotation_that_means_nothing_changes_nothing() -> None:
    for text in ("", "[]", "{", '{"/a": null}', '{"/a": "x"}', "7"):
        assert memory_mounts({MEMORY_MOUNTS: text}) == {}
    assert memory_mounts({}) == {}


async def test_a_builtin_that_cannot_write_says_so_and_the_shell_goes_on(it: Bench) -> None:
    container = await it.start(
        "busybox", "sleep", "inf",
        mounts=(MountConfig("/cache", "/pods/p/cache", readonly=False),),
        annotations={MEMORY_MOUNTS: '{"/cache": 3}'},
    )  # fmt: skip
    status, out, said = await it.shell(container, "echo much > /cache/a; echo $? on")
    assert (status, out) == (0, "1 on\n")
    assert "write error: No space left on device" in said
