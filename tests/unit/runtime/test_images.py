from __future__ import annotations

import asyncio

import pytest

from services.runtime.filesystem import Entry
from services.runtime.images import ImageStore, LayerContent, LayerStore, RegistryRefusal, RegistryUnreachable
from services.runtime.model import RuntimeFault
from tests.unit.runtime.harness import Bench


async def test_shared_layers_are_pulled_once(it: Bench) -> None:
    base = {"sha256:base": {"/base": Entry()}}
    it.registry.add("docker.io/me/a:latest", {**base, "sha256:a": {}})
    it.registry.add("docker.io/me/b:latest", {**base, "sha256:b": {}})
    await it.machine.images.pull("me/a")
    await it.machine.images.pull("me/b")
    assert it.registry.pulled == ["sha256:base", "sha256:a", "sha256:b"]
    assert it.machine.images.used_bytes() == 3000


async def test_pulls_of_one_name_share_the_work(it: Bench) -> None:
    it.registry.add("docker.io/me/a:latest", {"sha256:a": {}})
    it.registry.gate = asyncio.Event()
    pulls = [asyncio.create_task(it.machine.images.pull("me/a")) for _ in range(3)]
    await asyncio.sleep(0)
    pulls[0].cancel()  # one who asked goes away: the others still get it
    await asyncio.sleep(0)
    it.registry.gate.set()
    first, second = await asyncio.gather(*pulls[1:])
    assert first is second
    assert it.registry.pulled == ["sha256:a"]


async def test_a_registry_that_is_away_heals(it: Bench) -> None:
    it.registry.add("docker.io/me/a:latest", {"sha256:a": {}})
    it.registry.fault = RegistryUnreachable("127.0.0.1:5000", "connection refused")
    with pytest.raises(RuntimeFault) as caught:
        await it.machine.images.pull("me/a")
    assert str(caught.value) == (
        'failed to pull and unpack image "docker.io/me/a:latest": failed to resolve reference '
        '"docker.io/me/a:latest": failed to do request: Head '
        '"https://registry-1.docker.io/v2/me/a/manifests/latest": dial tcp 127.0.0.1:5000: connect: '
        "connection refused"
    )
    it.registry.fault = None
    assert (await it.machine.images.pull("me/a")).repository == "docker.io/me/a"


async def test_removing_one_leaves_shared_layers(it: Bench) -> None:
    base: dict[str, dict[str, Entry]] = {"sha256:base": {}}
    it.registry.add("docker.io/me/a:latest", {**base, "sha256:a": {}})
    it.registry.add("docker.io/me/b:latest", {**base, "sha256:b": {}})
    for name in ("me/a", "me/b"):
        await it.machine.images.pull(name)
    it.machine.images.remove("me/a")
    assert it.machine.images.find("me/a") is None
    it.registry.pulled.clear()
    await it.machine.images.pull("me/a")
    assert it.registry.pulled == ["sha256:a"]


async def test_found_under_every_name(it: Bench) -> None:
    image = await it.machine.images.pull("busybox")
    for name in ("busybox", "busybox:latest", "docker.io/library/busybox", image.id,
                 f"docker.io/library/busybox@{image.digest}"):  # fmt: skip
        assert it.machine.images.find(name) is image
    assert it.machine.images.find("nginx") is None
    assert it.machine.images.find("NOT VALID") is None


async def test_a_layer_that_another_pull_fetches_is_waited_for(it: Bench) -> None:
    base: dict[str, dict[str, Entry]] = {"sha256:base": {"/base": Entry()}}
    it.registry.add("docker.io/me/a:latest", {**base, "sha256:a": {}})
    it.registry.add("docker.io/me/b:latest", {**base, "sha256:b": {"/b": Entry()}})
    it.registry.gate = asyncio.Event()
    pulls = [asyncio.create_task(it.machine.images.pull(name)) for name in ("me/a", "me/b")]
    await asyncio.sleep(0)
    it.registry.gate.set()
    _, second = await asyncio.gather(*pulls)
    assert it.registry.pulled == ["sha256:base", "sha256:a", "sha256:b"]
    assert {"/base", "/b"} <= set(second.tree.entries)


async def test_what_no_machine_has_is_forgotten(it: Bench) -> None:
    it.registry.add("docker.io/me/a:latest", {"sha256:a": {"/a": Entry()}})
    layers = LayerStore()
    one, two = (ImageStore(it.registry, layers) for _ in range(2))
    for store in (one, two):
        await store.pull("me/a")
    one.remove("me/a")
    assert set(layers.contents) == {"sha256:a"}
    two.remove("me/a")
    assert layers.contents == {}
    assert (await one.pull("me/a")).tree.entries["/a"] == Entry()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            "unauthorized",
            'failed to resolve reference "docker.io/me/a:latest": failed to authorize: failed to fetch oauth '
            "token: unexpected status from GET request to https://auth.docker.io/token?scope="
            "repository%3Ame%2Fa%3Apull&service=registry.docker.io: 401 Unauthorized",
        ),
        (
            "missing-tag",
            'failed to resolve reference "docker.io/me/a:latest": docker.io/me/a:latest: not found',
        ),
        (
            "denied",
            'failed to resolve reference "docker.io/me/a:latest": pull access denied, repository does not '
            "exist or may require authorization: server message: insufficient_scope: authorization failed",
        ),
        ("no-platform", "no match for platform in manifest: not found"),
        (
            "broken",
            'failed to resolve reference "docker.io/me/a:latest": no match for platform in manifest: '
            "not found",
        ),
    ],
)
async def test_refusals_in_the_words_of_containerd(it: Bench, kind: str, words: str) -> None:
    it.registry.fault = RegistryRefusal(kind, "no match for platform in manifest: not found")
    with pytest.raises(RuntimeFault) as caught:
        await it.machine.images.pull("me/a")
    assert str(caught.value) == f'failed to pull and unpack image "docker.io/me/a:latest": {words}'


def test_layers_on_top_of_each_other() -> None:
    layers = LayerStore()
    layers.hold({
        "1": LayerContent({
            "/d": Entry("d"), "/d/a": Entry(), "/d/b": Entry(), "/f": Entry("d"), "/f/x": Entry(),
        }),
        "2": LayerContent({"/d/c": Entry(), "/f": Entry()}, frozenset({"/d/a", "/nothing"})),
        "3": LayerContent({"/d/e": Entry()}, opaque=frozenset({"/d"})),
    })  # fmt: skip
    assert set(layers.tree(("1", "2")).entries) == {"/", "/d", "/d/b", "/d/c", "/f"}
    assert set(layers.tree(("1", "2", "3")).entries) == {"/", "/d", "/d/e", "/f"}
