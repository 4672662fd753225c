"""Signs service account tokens: JWTs that say whose they are, for whom, and until when.

The key is a PEM file, ECDSA P-256 (ES256) or RSA (RS256); without one a key of the process's own
is made, and its tokens end with it. The library is loaded when the first token is asked for.
Upstream: pkg/serviceaccount/jwt.go.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson

ISSUER = "https://kubernetes.default.svc.cluster.local"
_COORDINATE_BYTES = 32

Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes], bool]


class TokenIssuer:
    def __init__(self, key_file: str = "", issuer: str = ISSUER, audiences: tuple[str, ...] = ()) -> None:
        """`audiences`: for whom a token is that does not say; by default the issuer's own API."""
        self.issuer, self.audiences = issuer, audiences or (issuer,)
        self._key_file = key_file
        self._loaded: _Key | None = None
        self._loading = asyncio.Lock()

    async def sign(self, claims: dict[str, Any]) -> str:
        """The finished token. OSError, ValueError where the key cannot be used."""
        key = self._loaded or await self._load()
        signed = key.header + b"." + _encoded(orjson.dumps(claims))
        return (signed + b"." + _encoded(key.sign(signed))).decode()

    async def verify(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether that is our signature of those bytes."""
        key = self._loaded or await self._load()
        return algorithm == key.jwk["alg"] and key.verify(signed, signature)

    async def jwks(self) -> dict[str, Any]:
        """The public key, as OpenID Connect publishes it."""
        key = self._loaded or await self._load()
        return {"keys": [key.jwk]}

    async def _load(self) -> _Key:
        async with self._loading:
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(_load, self._key_file)
            return self._loaded


class _Key(NamedTuple):
    """A key in use: the header of its tokens, what it does, and what the world may know of it."""

    header: bytes
    sign: Sign
    verify: Verify
    jwk: dict[str, Any]


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _load(key_file: str) -> _Key:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    key: Any
    if key_file:
        key = load_pem_private_key(Path(key_file).read_bytes(), password=None)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    identifier = _encoded(hashlib.sha256(public).digest()).decode()
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        algorithm, sign, verify, facts = "ES256", *_elliptic(key)
    elif isinstance(key, rsa.RSAPrivateKey):
        algorithm, sign, verify, facts = "RS256", *_rivest(key)
    else:
        raise ValueError(f"{key_file}: neither an RSA nor an ECDSA P-256 key")
    header = _encoded(orjson.dumps({"alg": algorithm, "kid": identifier}))
    return _Key(header, sign, verify, {"use": "sig", "kid": identifier, "alg": algorithm, **facts})


def _elliptic(key: Any) -> tuple[Sign, Verify, dict[str, str]]:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    public = key.public_key()

    def sign(data: bytes) -> bytes:
        first, second = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return _coordinate(first) + _coordinate(second)

    def verify(data: bytes, signature: bytes) -> bool:
        if len(signature) != 2 * _COORDINATE_BYTES:
            return False
        first, second = signature[:_COORDINATE_BYTES], signature[_COORDINATE_BYTES:]
        pair = encode_dss_signature(int.from_bytes(first, "big"), int.from_bytes(second, "big"))
        try:
            public.verify(pair, data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    numbers = public.public_numbers()
    x, y = (_encoded(_coordinate(each)).decode() for each in (numbers.x, numbers.y))
    return sign, verify, {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _coordinate(number: int) -> bytes:
    return number.to_bytes(_COORDINATE_BYTES, "big")


def _rivest(key: Any) -> tuple[Sign, Verify, dict[str, str]]:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    public = key.public_key()

    def sign(data: bytes) -> bytes:
        signature: bytes = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return signature

    def verify(data: bytes, signature: bytes) -> bool:
        try:
            public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True

    numbers = public.public_numbers()
    facts = {
        name: _encoded(number.to_bytes((number.bit_length() + 7) // 8, "big")).decode()
        for name, number in (("n", numbers.n), ("e", numbers.e))
    }
    return sign, verify, {"kty": "RSA", **facts}
