"""Cleaning controller: requests for certificates are forgotten once they are of no more use.

An hour after they were decided and signed, denied or failed, a day after nobody looked at them or they were
approved for nobody to sign, and when their certificate has ended. A sweep every hour. Upstream:
`pkg/controller/certificates/cleaner`.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import ClassVar

from services.api.certificates_v1 import CertificateSigningRequest
from services.api.errors import ApiError, is_not_found
from services.client.controller import ControllerContext
from services.machinery.certificate_time import ends
from services.machinery.clock import parse_time

SWEEP_SECONDS = 3600.0
DECIDED = timedelta(hours=1)
PENDING = timedelta(hours=24)


def is_over(request: CertificateSigningRequest, now: datetime) -> bool:
    if request.status.certificate:
        if _has_ended(request.status.certificate, now):
            return True
        return _is_past(request, "Approved", now)
    if not request.status.conditions:
        created = request.metadata.creation_timestamp
        return bool(created) and now - parse_time(created or "") >= PENDING
    if _is_past(request, "Approved", now, PENDING):
        return True
    return any(_is_past(request, kind, now) for kind in ("Denied", "Failed"))


def _is_past(request: CertificateSigningRequest, kind: str, now: datetime, age: timedelta = DECIDED) -> bool:
    moments = [each.last_update_time for each in request.status.conditions if each.type == kind]
    return any(moment and now - parse_time(moment) >= age for moment in moments)


def _has_ended(certificate: str, now: datetime) -> bool:
    try:
        return ends(base64.b64decode(certificate).decode("ascii", "replace")) < now
    except ValueError:
        return False


class Cleaner:
    name: ClassVar[str] = "certificatesigningrequest-cleaner"

    def __init__(self, context: ControllerContext) -> None:
        self._client, self._clock, self._log = context.client, context.clock, context.log
        self._informer = context.informers.informer(CertificateSigningRequest)

    async def run(self) -> None:
        await self._informer.wait_synced()
        while True:
            await self.sweep()
            await self._clock.sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        now = self._clock.now()
        for request in self._informer.store.list():
            if not is_over(request, now):
                continue
            try:
                await self._client.delete(CertificateSigningRequest, request.key.name)
            except ApiError as error:
                if not is_not_found(error):
                    self._log.warning("A request for a certificate stays", reason=error.message)
