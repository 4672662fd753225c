"""Token controller: a Secret of type `kubernetes.io/service-account-token` gets a token of whom it names.

For those who need a token that does not end before the Secret does. It is asked of the API server, bound to
the Secret, so that it dies with it; upstream signs a token without an end here. A Secret whose account is
gone, or is another one by now, goes too. Upstream: `pkg/controller/serviceaccount/tokens_controller.go`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

from msgspec.structs import replace

from services.api.authentication_v1 import BoundObjectReference, TokenRequest, TokenRequestSpec
from services.api.core_v1 import Secret, ServiceAccount
from services.api.errors import ApiError, is_not_found
from services.api.object import ObjectKey
from services.client.controller import Controller, ControllerContext, For, Stores, Watches

TYPE = "kubernetes.io/service-account-token"
NAME, UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"
SECONDS = 1 << 32  # the most that the API server gives: a century and more


def _is_token(old: Secret | None, new: Secret | None) -> bool:
    return new is not None and new.type == TYPE


def _secrets_of(account: ServiceAccount, stores: Stores) -> Iterable[ObjectKey]:
    for secret in stores[Secret].list():
        here = secret.type == TYPE and secret.key.namespace == account.key.namespace
        if here and secret.metadata.annotations.get(NAME) == account.key.name:
            yield secret.key


class TokenController(Controller[Secret]):
    name = "serviceaccount-token"
    watches = (For(Secret, when=_is_token), Watches(ServiceAccount, map=_secrets_of))

    def __init__(self, context: ControllerContext, certificate: str) -> None:
        super().__init__(context)
        self._certificate = certificate

    async def reconcile(self, secret: Secret) -> None:
        name = secret.metadata.annotations.get(NAME, "")
        if secret.type != TYPE or not name or secret.metadata.deletion_timestamp:
            return
        account = await self._account(ObjectKey(secret.key.namespace, name))
        known = secret.metadata.annotations.get(UID, "")
        if account is None or (known and known != account.metadata.uid):
            await self._remove(secret)
            return
        wanted = dict(secret.data)
        wanted.setdefault("namespace", _encoded(secret.key.namespace))
        if self._certificate:
            wanted["ca.crt"] = _encoded(self._certificate)
        if not wanted.get("token"):
            wanted["token"] = _encoded(await self._token(secret, name))
        if wanted == secret.data and known:
            return
        annotations = {**secret.metadata.annotations, UID: account.metadata.uid or ""}
        metadata = replace(secret.metadata, annotations=annotations)
        await self.client.update(replace(secret, metadata=metadata, data=wanted))
        self.log.info(
            "Put a token into a Secret", kind="Secret", namespace=secret.key.namespace, name=secret.key.name,
            account=name,
        )  # fmt: skip

    async def _account(self, key: ObjectKey) -> ServiceAccount | None:
        """The cache may not show it yet: before a Secret is deleted, the API server is asked."""
        found: ServiceAccount | None = self.store(ServiceAccount).get(key)
        if found is not None:
            return found
        try:
            return await self.client.get(ServiceAccount, key.name, key.namespace)
        except ApiError as error:
            if is_not_found(error):
                return None
            raise

    async def _token(self, secret: Secret, account: str) -> str:
        bound = BoundObjectReference(
            api_version="v1", kind="Secret", name=secret.key.name, uid=secret.metadata.uid
        )
        spec = TokenRequestSpec(bound_object_ref=bound, expiration_seconds=SECONDS)
        wanted = TokenRequest(spec=spec)
        answer = await self.client.ask(ServiceAccount, account, secret.key.namespace, "token", wanted)
        return answer.status.token or ""

    async def _remove(self, secret: Secret) -> None:
        try:
            await self.client.delete(
                Secret, secret.key.name, secret.key.namespace, uid=secret.metadata.uid or ""
            )
        except ApiError as error:
            if not is_not_found(error):
                raise
        self.log.info(
            "Deleted a Secret whose account is gone", kind="Secret", namespace=secret.key.namespace,
            name=secret.key.name,
        )  # fmt: skip


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
