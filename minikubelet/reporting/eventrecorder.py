"""Events: what a person sees beneath `kubectl describe`, told as far as it goes and never waited for.

Belongs here: counting what repeats, holding back what floods, sending. May not be here: what is worth an
Event. Nothing of it is written down: a queue that overflows and an API server that refuses lose Events.
Counting and limits follow client-go's tools/record: the same once more raises a count, and each object has
a burst of 25 and then one in five minutes.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus

import msgspec
import structlog
from msgspec.structs import replace

from minikubelet.apiclient.apibackoff import Backoff, BackoffPolicy
from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.apiclient.apipaths import event_path, events_path
from minikubelet.model.ids import PodUid, SlotKey, split_slot
from minikubelet.model.status import rfc3339
from minikubelet.ports.apiport import Api, JsonObject, PatchKind

log = structlog.get_logger(__name__)

BURST = 25
REFILL_SECONDS = 300.0
MOST_WAITING = 1000
MOST_REMEMBERED = 4096
MOST_MESSAGE = 1024
"""Characters of a message: the API server's own limit."""

BACKOFF = BackoffPolicy(first_seconds=0.5, factor=2.0, most_seconds=10.0, jitter=0.5)
_COMPONENT = "kubelet"


class EventType(StrEnum):
    """Whether it is to worry anyone."""

    NORMAL = "Normal"
    WARNING = "Warning"


class Subject(msgspec.Struct, frozen=True):
    """What an Event is about; `field_path` is such as `spec.containers{main}`."""

    kind: str
    namespace: str
    name: str
    uid: str
    field_path: str = ""


def about_pod(slot: SlotKey, uid: PodUid, container: str = "") -> Subject:
    """A pod, or one of its containers."""
    namespace, name = split_slot(slot)
    return Subject("Pod", namespace, name, uid, f"spec.containers{{{container}}}" if container else "")


def about_node(name: str) -> Subject:
    """The node; like upstream's kubelet it goes by its name, not by its uid."""
    return Subject("Node", "", name, name)


class _Key(msgspec.Struct, frozen=True):
    subject: Subject
    type: EventType
    reason: str
    message: str


class _Series(msgspec.Struct, frozen=True):
    """One Event: its name, how often it happened (told and untold), and when."""

    name: str
    first: int
    last: int
    count: int = 1
    told: int = 0


class EventRecorder:
    """Takes Events in and sends them to one API server; `now` is in µs since the epoch."""

    def __init__(
        self,
        api: Api,
        *,
        node: str,
        now: Callable[[], int],
        rng: random.Random | None = None,
        backoff: BackoffPolicy = BACKOFF,
    ) -> None:
        self._api = api
        self._node = node
        self._now = now
        self._backoff = Backoff(backoff, rng or random.Random())  # noqa: S311 - jitter keeps no secret
        self._series: OrderedDict[_Key, _Series] = OrderedDict()
        self._waiting: OrderedDict[_Key, None] = OrderedDict()
        self._tokens: OrderedDict[Subject, tuple[float, int]] = OrderedDict()
        self._wake = asyncio.Event()
        self._number = 0
        self.dropped = 0

    def record(self, subject: Subject, kind: EventType, reason: str, message: str) -> None:
        """Take one Event in; never waits, never raises. `reason` is one word, such as `Started`."""
        if not self._allowed(replace(subject, field_path="")):
            self.dropped += 1
            return
        key = _Key(subject, kind, reason, message[:MOST_MESSAGE])
        now = self._now()
        series = self._series.pop(key, None)
        if series is None:
            self._number += 1
            name = f"{subject.name[:200]}.{now:x}{self._number:x}"
            series = _Series(name, now, now)
        else:
            series = replace(series, count=series.count + 1, last=now)
        self._series[key] = series
        self._waiting[key] = None
        self._bound()
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            key = next(iter(self._waiting))
            try:
                await self._send(key)
            except ApiUnreachable:
                await asyncio.sleep(self._backoff.next_seconds())
            except ApiError as error:
                await self._refused(key, error)
            else:
                self._backoff.reset()

    def _allowed(self, subject: Subject) -> bool:
        """Take a token of the subject's bucket."""
        now = self._now()
        tokens, at = self._tokens.pop(subject, (float(BURST), now))
        tokens = min(float(BURST), tokens + max(0, now - at) / 1_000_000 / REFILL_SECONDS)
        allowed = tokens >= 1
        self._tokens[subject] = (tokens - 1 if allowed else tokens, now)
        if len(self._tokens) > MOST_REMEMBERED:
            self._tokens.popitem(last=False)
        return allowed

    def _bound(self) -> None:
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popitem(last=False)
            self.dropped += 1
        while len(self._series) > MOST_REMEMBERED:
            self._series.popitem(last=False)

    async def _send(self, key: _Key) -> None:
        series = self._series[key]
        namespace = key.subject.namespace or "default"
        if series.told:
            patch: JsonObject = {"count": series.count, "lastTimestamp": rfc3339(series.last)}
            try:
                await self._api.patch_object(event_path(namespace, series.name), patch, PatchKind.STRATEGIC)
            except ApiError as error:
                if not error.not_found:
                    raise
                # It has expired there: the same once more is a new one with the count going on.
                await self._create(key, series, namespace)
        else:
            await self._create(key, series, namespace)
        self._told(key, series)

    async def _create(self, key: _Key, series: _Series, namespace: str) -> None:
        try:
            await self._api.create_object(events_path(namespace), self._body(key, series, namespace))
        except ApiError as error:
            if not error.already_exists:  # made, though the answer got lost
                raise

    def _told(self, key: _Key, sent: _Series) -> None:
        series = self._series.get(key)
        if series is None:
            self._waiting.pop(key, None)
            return
        self._series[key] = replace(series, told=sent.count)
        if series.count == sent.count:
            self._waiting.pop(key, None)

    async def _refused(self, key: _Key, error: ApiError) -> None:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.too_many_requests:
            await asyncio.sleep(max(self._backoff.next_seconds(), error.retry_after or 0.0))
            return
        log.debug("an Event was refused and is lost", reason=key.reason, problem=str(error))
        self._waiting.pop(key, None)
        self._series.pop(key, None)
        self.dropped += 1

    def _body(self, key: _Key, series: _Series, namespace: str) -> JsonObject:
        subject = key.subject
        about = {
            "apiVersion": "v1",
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
            "fieldPath": subject.field_path,
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": series.name, "namespace": namespace},
            "involvedObject": {name: value for name, value in about.items() if value},
            "reason": key.reason,
            "message": key.message,
            "type": key.type.value,
            "count": series.count,
            "firstTimestamp": rfc3339(series.first),
            "lastTimestamp": rfc3339(series.last),
            "source": {"component": _COMPONENT, "host": self._node},
            "reportingComponent": _COMPONENT,
            "reportingInstance": self._node,
        }
