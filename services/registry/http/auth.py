"""Who asks: HTTP Basic, or a Bearer token that /token gave for it. Docker's token protocol.

A client that has shown nothing may read what is public; `GET /v2/` alone asks for a login, since
clients find out there how to log in. `realm` is this server under the name that the client used.
"""

from __future__ import annotations

import base64
import re

from aiohttp import web

from services.machinery.clock import Clock
from services.registry.accounts import TOKEN_SECONDS, Accounts, WrongPassword
from services.registry.http.errors import ApiError

SERVICE = "orrery"
_HOST = re.compile(r"[A-Za-z0-9.\-\[\]:]{1,255}")


class Auth:
    def __init__(self, accounts: Accounts, clock: Clock) -> None:
        self._accounts, self._clock = accounts, clock

    def user(self, request: web.Request) -> str:
        """ "" for nobody in particular. Raises WrongPassword."""
        scheme, _, proof = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return ""
        if scheme.lower() == "bearer":
            return self._accounts.user_of(proof.strip(), self._now())
        if scheme.lower() == "basic":
            return self._login(proof)
        raise WrongPassword

    def challenge(self, request: web.Request, error: str = "") -> dict[str, str]:
        host = request.host if _HOST.fullmatch(request.host) else "127.0.0.1"
        words = f'Bearer realm="http://{host}/token",service="{SERVICE}"'
        name = request.match_info.get("name")
        if name and re.fullmatch(r"[a-z0-9/._:-]{1,255}", name):
            action = "pull" if request.method in ("GET", "HEAD") else "pull,push"
            words += f',scope="repository:{name}:{action}"'
        return {"WWW-Authenticate": words + (f',error="{error}"' if error else "")}

    async def base(self, request: web.Request) -> web.StreamResponse:
        """GET /v2/"""
        if "Authorization" not in request.headers:
            raise ApiError("UNAUTHORIZED", "authentication required", headers=self.challenge(request))
        self.user(request)
        return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})

    async def token(self, request: web.Request) -> web.StreamResponse:
        """GET /token with Basic, or with nothing: a token for nobody reads what is public."""
        scheme, _, proof = request.headers.get("Authorization", "").partition(" ")
        if request.method == "POST":
            if request.content_type != "application/x-www-form-urlencoded":
                raise ApiError("UNSUPPORTED", "a form is wanted", status=415)
            form = await request.post()
            pair = str(form.get("username", "")), str(form.get("password", ""))
            proof = base64.b64encode(":".join(pair).encode()).decode() if any(pair) else ""
            scheme = "basic" if proof else ""
        try:
            user = self._login(proof) if scheme.lower() == "basic" else ""
        except WrongPassword as error:
            raise ApiError("UNAUTHORIZED", "incorrect username or password") from error
        now = self._clock.now()
        token = self._accounts.token(user, now.timestamp())
        return web.json_response({
            "token": token,
            "access_token": token,
            "expires_in": TOKEN_SECONDS,
            "issued_at": now.isoformat(timespec="seconds")[:19] + "Z",
        })  # fmt: skip

    def _login(self, proof: str) -> str:
        try:
            user, _, password = base64.b64decode(proof.strip(), validate=True).decode().partition(":")
        except ValueError as error:
            raise WrongPassword from error
        if not user:
            raise WrongPassword
        return self._accounts.login(user, password)

    def _now(self) -> float:
        return self._clock.now().timestamp()
