"""Keeping a certificate fresh: when it is due, asking for the next one, and trying until there is one.

No HTTP and no subject of its own: a wish, a store and an `Api` are given. Follows upstream's client-go
(util/certificate/certificate_manager.go): due at 70 to 90 % of its life, drawn for each certificate.
"""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from minikubelet.apiclient.apibackoff import Backoff, BackoffPolicy
from minikubelet.apiclient.apicertwish import (
    CertificateRefused,
    CertificateWish,
    ask_certificate,
    general_names,
    key_pem,
    new_key,
)
from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from minikubelet.apiclient.apicertstore import Pair, PairStore
    from minikubelet.ports.apiport import Api

DUE: Final = (0.7, 0.9)
BACKOFF: Final = BackoffPolicy(first_seconds=2.0, factor=2.0, most_seconds=300.0, jitter=0.1)
_LOOK_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 15 * 60.0

_log = structlog.get_logger(__name__)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RotationTimes:
    """Clock, sleep and generator, given so that tests decide; seconds to wait for one request."""

    now: Callable[[], datetime] = _utc_now
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    rng: random.Random = field(default_factory=random.Random)
    patience_seconds: float = _PATIENCE_SECONDS
    backoff: BackoffPolicy = BACKOFF


class Rotation:
    """Keeps the pair in one store fresh; `told` is called after each new one."""

    def __init__(
        self,
        api: Api,
        store: PairStore,
        wish: CertificateWish,
        *,
        told: Callable[[], None] = lambda: None,
        times: RotationTimes | None = None,
    ) -> None:
        self._api = api
        self._store = store
        self._wish = wish
        self._told = told
        self._times = times or RotationTimes()
        self._backoff = Backoff(self._times.backoff, self._times.rng)
        self._due: tuple[int, datetime] | None = None
        self.errors = 0
        """how often the next certificate could not be had"""

    async def run(self) -> None:
        """Go on until cancelled. The clock is looked at every minute, since it may be set."""
        while True:
            left = self.seconds_left(self._store.load())
            if left > 0:
                await self._times.sleep(min(left, _LOOK_SECONDS))
                continue
            try:
                async with asyncio.timeout(self._times.patience_seconds):
                    await self.renew()
            except (ApiError, ApiUnreachable, CertificateRefused, TimeoutError, OSError) as error:
                self.errors += 1
                problem = str(error) or "nobody has approved the request in time"
                signer = self._wish.signer
                _log.warning("a certificate could not be had yet", signer=signer, problem=problem)
                await self._times.sleep(self._backoff.next_seconds())

    async def renew(self) -> None:
        """Ask for a certificate and put it into use."""
        key = new_key()
        chain = await ask_certificate(self._api, key, self._wish)
        await asyncio.to_thread(self._store.store, chain, key_pem(key), self._times.now())
        self._backoff.reset()
        pair = self._store.load()
        ends = pair.certificate.not_valid_after_utc.isoformat() if pair else ""
        _log.info("a new certificate is in use", signer=self._wish.signer, until=ends)
        self._told()

    def seconds_to_live(self) -> float:
        """How long the certificate in use is still good for: negative if it is over, infinite without one."""
        pair = self._store.load()
        if pair is None:
            return math.inf
        return (pair.certificate.not_valid_after_utc - self._times.now()).total_seconds()

    def seconds_left(self, pair: Pair | None) -> float:
        """How long until the next certificate is asked for; a pair that does not fit is due at once."""
        if pair is None or not set(general_names(self._wish.hosts)) <= pair.hosts:
            return 0.0
        certificate = pair.certificate
        if self._due is None or self._due[0] != certificate.serial_number:
            life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
            due = certificate.not_valid_before_utc + life * self._times.rng.uniform(*DUE)
            self._due = (certificate.serial_number, due)
        return (self._due[1] - self._times.now()).total_seconds()
