"""ServiceAccount tokens: whose they are, and what makes them worth nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.api.kinds import Resource
from services.apiserver.authentication.tokens import BadToken, TokenAuthenticator
from services.apiserver.authentication.users import account_of
from services.apiserver.token_issuer import TokenIssuer

Json = dict[str, Any]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
START = int(NOW.timestamp())


class World:
    def __init__(self) -> None:
        self.now = NOW
        self.issuer = TokenIssuer()
        self.objects: dict[tuple[str, str, str], Json] = {
            ("ServiceAccount", "default", "robot"): {"metadata": {"uid": "u1"}},
            ("Pod", "default", "p"): {"metadata": {"uid": "u2"}},
        }
        self.tokens = TokenAuthenticator(self.issuer, self.lookup, lambda: self.now)

    def lookup(self, resource: Resource, namespace: str, name: str) -> Json | None:
        return self.objects.get((resource.kind, namespace, name))

    async def token(self, **changes: Any) -> str:
        private = {
            "namespace": "default",
            "serviceaccount": {"name": "robot", "uid": "u1"},
            "pod": {"name": "p", "uid": "u2"},
            "node": {"name": "n1"},
        }
        claims = {
            "iss": self.issuer.issuer,
            "aud": list(self.issuer.audiences),
            "nbf": START,
            "exp": START + 600,
            "jti": "id",
            "kubernetes.io": private,
        }
        return await self.issuer.sign({**claims, **changes})


async def test_a_token_says_whose_it_is() -> None:
    world = World()
    user, audiences = await world.tokens.user_of(await world.token())
    assert user.info() == {
        "username": "system:serviceaccount:default:robot",
        "uid": "u1",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"],
        "extra": {
            "authentication.kubernetes.io/credential-id": ["JTI=id"],
            "authentication.kubernetes.io/pod-name": ["p"],
            "authentication.kubernetes.io/pod-uid": ["u2"],
            "authentication.kubernetes.io/node-name": ["n1"],
        },
    }
    assert audiences == world.issuer.audiences


async def test_times_audiences_and_bound_objects_count_each_time() -> None:
    world = World()
    token = await world.token()
    await world.tokens.user_of(token)
    with pytest.raises(BadToken, match="audiences"):
        await world.tokens.user_of(token, ("vault",))
    del world.objects["Pod", "default", "p"]
    with pytest.raises(BadToken, match="gone"):
        await world.tokens.user_of(token)
    world.objects["Pod", "default", "p"] = {"metadata": {"uid": "another"}}
    with pytest.raises(BadToken, match="gone"):
        await world.tokens.user_of(token)
    world.now += timedelta(seconds=600)
    with pytest.raises(BadToken, match="expired"):
        await world.tokens.user_of(token)


@pytest.mark.parametrize("bound", [("ServiceAccount", "default", "robot"), ("Pod", "default", "p")])
async def test_what_is_long_deleted_and_still_there_bears_no_token(bound: tuple[str, str, str]) -> None:
    """Finalizers may keep a Pod for as long as they like; its grace has ended."""
    world = World()
    token = await world.token()
    world.objects[bound]["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:30Z"
    for seconds in (0, 30, 90):
        world.now = NOW + timedelta(seconds=seconds)
        await world.tokens.user_of(token)
    world.now = NOW + timedelta(seconds=91)
    with pytest.raises(BadToken, match="is being deleted"):
        await world.tokens.user_of(token)


async def test_a_foreign_signature_issuer_or_form_is_none() -> None:
    world = World()
    foreign = await World().token()
    good = await world.token()
    head, claims, signature = good.split(".")
    bad = (foreign, await world.token(iss="else"), "", "a.b", "a.b.c", "..", "é.é.é", f"{head}.{claims}.AAAA")
    none = "eyJhbGciOiJub25lIn0"  # {"alg":"none"}
    for token in (*bad, f"{none}.{claims}.", f"{none}.{claims}.{signature}", "x" * 20_000):
        with pytest.raises(BadToken):
            await world.tokens.user_of(token)


async def test_an_rsa_key_signs_as_well(tmp_path: Any) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(65537, 2048)
    file = tmp_path / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    world = World()
    world.issuer = TokenIssuer(str(file))
    world.tokens = TokenAuthenticator(world.issuer, world.lookup, lambda: world.now)
    assert (await world.tokens.user_of(await world.token()))[0].name.endswith(":robot")
    assert (await world.issuer.jwks())["keys"][0]["alg"] == "RS256"


def test_the_account_behind_a_user() -> None:
    assert account_of("system:serviceaccount:a:b") == ("a", "b")
    for name in ("a", "system:serviceaccount:a", "system:serviceaccount::b", "system:serviceaccount:a:b:c"):
        assert account_of(name) is None
