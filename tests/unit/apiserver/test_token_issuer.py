"""Tokens can be checked with the public key, and say what upstream's say."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509 import load_pem_x509_certificate

from services.apiserver.registry.tokens import claims_of
from services.apiserver.token_issuer import ISSUER, TokenIssuer
from services.client.credentials import CA_CERTIFICATE
from services.process.keys import CA_KEY, PUBLIC_KEY, SIGNING_KEY, make_missing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNT = {"metadata": {"namespace": "team", "name": "robot", "uid": "u-robot"}}


def part(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_signed_with_the_clusters_key(tmp_path: Path) -> None:
    make_missing(tmp_path, NOW)
    token = await TokenIssuer(str(tmp_path / SIGNING_KEY)).sign({"sub": "me"})
    header, claims, signature = token.split(".")
    assert json.loads(part(header))["alg"] == "ES256"
    assert json.loads(part(claims)) == {"sub": "me"}
    key = serialization.load_pem_public_key((tmp_path / PUBLIC_KEY).read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    raw = part(signature)
    halves = (int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.verify(encode_dss_signature(*halves), f"{header}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))


async def test_signed_with_an_rsa_key(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key").write_bytes(pem)
    header, claims, signature = (await TokenIssuer(str(tmp_path / "key")).sign({})).split(".")
    assert json.loads(part(header))["alg"] == "RS256"
    signed = f"{header}.{claims}".encode()
    key.public_key().verify(part(signature), signed, padding.PKCS1v15(), hashes.SHA256())


def test_keys_are_made_once(tmp_path: Path) -> None:
    make_missing(tmp_path, NOW)
    names = (CA_CERTIFICATE, CA_KEY, SIGNING_KEY, PUBLIC_KEY)
    before = [(tmp_path / name).read_bytes() for name in names]
    make_missing(tmp_path, NOW)
    assert [(tmp_path / name).read_bytes() for name in names] == before
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in (CA_KEY, SIGNING_KEY)] == [0o600, 0o600]
    certificate = load_pem_x509_certificate((tmp_path / CA_CERTIFICATE).read_bytes())
    assert (certificate.not_valid_after_utc - NOW).days == 3650


@pytest.mark.parametrize(
    ("seconds", "audiences", "lasts"),
    [(3600, [ISSUER], 3600), (3607, [ISSUER], 365 * 24 * 3600), (3607, ["vault"], 3607)],
)
def test_claims(seconds: int, audiences: list[str], lasts: int) -> None:
    bound = {
        "pod": {"metadata": {"name": "p", "uid": "u-p"}},
        "node": {"metadata": {"name": "n", "uid": "u-n"}},
    }
    spec = {"expirationSeconds": seconds, "audiences": audiences}
    claims = claims_of(ACCOUNT, spec, bound, NOW, "id", TokenIssuer())
    start = int(NOW.timestamp())
    private = claims.pop("kubernetes.io")
    assert claims == {
        "aud": audiences, "exp": start + lasts, "iat": start, "iss": ISSUER, "jti": "id", "nbf": start,
        "sub": "system:serviceaccount:team:robot",
    }  # fmt: skip
    assert private.pop("warnafter", start + seconds) == start + seconds
    assert private == {
        "namespace": "team", "node": {"name": "n", "uid": "u-n"}, "pod": {"name": "p", "uid": "u-p"},
        "serviceaccount": {"name": "robot", "uid": "u-robot"},
    }  # fmt: skip
