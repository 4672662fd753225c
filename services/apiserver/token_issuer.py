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
from typing import Any

import orjson

ISSUER = "https://kubernetes.default.svc.cluster.local"
_COORDINATE_BYTES = 32

Sign = Callable[[bytes], bytes]


class TokenIssuer:
    def __init__(self, key_file: str = "", issuer: str = ISSUER, audiences: tuple[str, ...] = ()) -> None:
        """`audiences`: for whom a token is that does not say; by default the issuer's own API."""
        self.issuer, self.audiences = issuer, audiences or (issuer,)
        self._key_file = key_file
        self._loaded: tuple[bytes, Sign] | None = None
        self._loading = asyncio.Lock()

    async def sign(self, claims: dict[str, Any]) -> str:
        """The finished token. OSError, ValueError where the key cannot be used."""
        header, sign = self._loaded or await self._load()
        signed = header + b"." + _encoded(orjson.dumps(claims))
        return (signed + b"." + _encoded(sign(signed))).decode()

    async def _load(self) -> tuple[bytes, Sign]:
        async with self._loading:
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(_load, self._key_file)
            return self._loaded


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _load(key_file: str) -> tuple[bytes, Sign]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    key: Any
    if key_file:
        key = load_pem_private_key(Path(key_file).read_bytes(), password=None)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    identifier = _encoded(hashlib.sha256(public).digest()).decode()

    def elliptic(data: bytes) -> bytes:
        first, second = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return first.to_bytes(_COORDINATE_BYTES, "big") + second.to_bytes(_COORDINATE_BYTES, "big")

    def rivest(data: bytes) -> bytes:
        signature: bytes = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return signature

    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        algorithm, sign = "ES256", elliptic
    elif isinstance(key, rsa.RSAPrivateKey):
        algorithm, sign = "RS256", rivest
    else:
        raise ValueError(f"{key_file}: neither an RSA nor an ECDSA P-256 key")
    return _encoded(orjson.dumps({"alg": algorithm, "kid": identifier})), sign
