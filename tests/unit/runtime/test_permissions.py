"""Who may do what to a file: users that are not root meet the bits, root and the runtime do not."""

from __future__ import annotations

import pytest

from services.runtime.filesystem import Entry
from services.runtime.model import MountConfig
from tests.unit.runtime.harness import Bench, files_of_busybox

FILES = {
    "/etc/secret": Entry(data=b"hidden\n", mode=0o640),
    "/etc/open": Entry(data=b"seen\n"),
    "/etc/locked": Entry("d", 0o700),
    "/etc/locked/file": Entry(data=b"x"),
    "/tmp/roots": Entry(data=b"r"),
    "/srv/shared": Entry("d", 0o770, gid=2000),
    "/home/app/kept": Entry(data=b"k"),
}


async def as_user(it: Bench, uid: int | None, script: str, **fields: object) -> tuple[int, str, str]:
    it.registry.add(
        "docker.io/me/files:latest", {"sha256:files": {**files_of_busybox(), **FILES}},
        cmd=("sleep", "1000"), user="1000", working_dir="/home/app",
    )  # fmt: skip
    container = await it.start("me/files", **{"run_as_user": uid, "run_as_group": uid, **fields})
    return await it.shell(container, script)


@pytest.mark.parametrize(
    "script",
    [
        "cat /etc/secret", "echo x > /etc/open", "echo x >> /etc/open", "echo x > /etc/new", "mkdir /etc/new",
        "rm /etc/open", "ls /etc/locked", "cat /etc/locked/file",
        "ln -s a /etc/link", "echo x > /srv/shared/file",
    ],
)  # fmt: skip
async def test_denied(it: Bench, script: str) -> None:
    status, _, err = await as_user(it, 4000, script)
    assert status != 0
    assert "Permission denied" in err


@pytest.mark.parametrize("script", ["chmod 777 /etc/open", "rm /tmp/roots"])
async def test_only_for_the_owner(it: Bench, script: str) -> None:
    status, _, err = await as_user(it, 4000, script)
    assert status != 0
    assert "Operation not permitted" in err


@pytest.mark.parametrize(
    "script",
    [
        "cat /etc/open", "ls /etc", "echo x > /tmp/mine && cat /tmp/mine && rm /tmp/mine",
        "mkdir /tmp/d && echo x > /tmp/d/f && chmod 600 /tmp/d/f && cat /tmp/d/f && rm -r /tmp/d",
    ],
)  # fmt: skip
async def test_allowed(it: Bench, script: str) -> None:
    status, _, err = await as_user(it, 4000, script)
    assert (status, err) == (0, "")


async def test_without_a_group_it_is_that_of_root(it: Bench) -> None:
    assert await as_user(it, 4000, "cat /etc/secret", run_as_group=0) == (0, "hidden\n", "")


async def test_root_may_everything(it: Bench) -> None:
    status, _, err = await as_user(
        it, 0, "cat /etc/secret; rm /etc/open; echo x > /etc/locked/file; rm /tmp/roots"
    )
    assert (status, err) == (0, "")


async def test_a_group_opens_a_folder(it: Bench) -> None:
    status, _, err = await as_user(it, 4000, "echo x > /srv/shared/file", supplemental_groups=(2000,))
    assert (status, err) == (0, "")


async def test_the_users_of_an_image_own_their_home(it: Bench) -> None:
    status, _, err = await as_user(it, None, "echo x > kept && echo y > /home/app/new")
    assert (status, err) == (0, "")


async def test_files_belong_to_who_made_them(it: Bench) -> None:
    _, out, _ = await as_user(it, 4000, "echo x > /tmp/mine; ls -ln /tmp/mine")
    assert " 4000 " in out


async def test_volumes_are_the_kubelets_business(it: Bench) -> None:
    volume = it.machine.root / "volume"
    volume.mkdir(mode=0o755)
    mounts = (MountConfig("/data", str(volume), readonly=False),)
    status, _, err = await as_user(
        it, 4000, "echo x > /data/file && echo y >> /data/file && rm /data/file", mounts=mounts
    )
    assert (status, err) == (0, "")


async def test_a_read_only_root(it: Bench) -> None:
    status, _, err = await as_user(it, 0, "echo x > /tmp/x", readonly_root=True)
    assert status != 0
    assert "Read-only file system" in err
