"""The vault: the pods' full definitions, which the journal never holds.

Belongs here: keeping them in memory and, readable by the agent alone, in the pods' own directories, so
that a pod whose manifest is broken now survives a restart. May not be here: anything redacted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import anyio.to_thread
import msgspec
import structlog

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Pod
from minikubelet.shell.objects import gives_secrets
from minikubelet.shell.podpaths import PodPaths
from minikubelet.wire.podmarks import CONFIG_SEEN
from minikubelet.wire.redaction import REDACTED, redact_text, secret_values

SHORTEST = 4
"""characters of a value that is looked for in messages; see `wire.redaction`"""

_log = structlog.get_logger()


class Vault:
    """Full pods by uid. What a stop of the machine takes from the disk, the sources give again."""

    def __init__(self, paths: PodPaths) -> None:
        self.paths = paths
        self._pods: dict[PodUid, Pod] = {}
        self._serials: dict[PodUid, int] = {}
        self._serial = 0
        self._offered: set[PodUid] = set()
        self._hidden: dict[PodUid, dict[str, None]] = {}
        self._secret: dict[PodUid, tuple[Pod, tuple[str, ...]]] = {}
        self._unread: set[PodUid] = set()
        self._written: dict[PodUid, Pod] = {}
        self._unwritten: dict[PodUid, None] = {}

    def load(self) -> None:
        """Read what an earlier life of the agent kept; a file that cannot be read is said and left alone.

        What it was writing when it was killed is removed.
        """
        for half_written in self.paths.pods().glob("*/pod.new"):
            with contextlib.suppress(OSError):
                half_written.unlink()
        decoder = msgspec.json.Decoder(Pod)
        for file in sorted(self.paths.pods().glob("*/pod.json")):
            try:
                uid = PodUid(file.parent.name)
                pod = self._pods[uid] = self._written[uid] = decoder.decode(file.read_bytes())
                if gives_secrets(pod):
                    self._unread.add(uid)
            except (OSError, msgspec.DecodeError) as error:
                _log.warning("a kept pod definition cannot be read", file=str(file), error=str(error))

    def get(self, uid: PodUid) -> Pod | None:
        """The full pod of that uid."""
        return self._pods.get(uid)

    def pods(self) -> tuple[Pod, ...]:
        """All full pods."""
        return tuple(self._pods.values())

    def first_seen(self) -> dict[PodUid, str]:
        """When each static pod was seen first, as its annotation says."""
        seen = {uid: pod.metadata.annotations.get(CONFIG_SEEN, "") for uid, pod in self._pods.items()}
        return {uid: text for uid, text in seen.items() if text}

    def serial(self, uid: PodUid) -> int:
        """A number that changes whenever the pod is stored."""
        return self._serials.get(uid, 0)

    async def store(self, *pods: Pod) -> None:
        """Keep pods; a disk that refuses is said, and the pods are kept in memory."""
        changed = []
        for pod in pods:
            uid = PodUid(pod.metadata.uid)
            self._offered.add(uid)
            self._serial += 1
            self._serials[uid] = self._serial
            if self._written.get(uid) != pod:
                self._pods[uid] = pod
                changed.append(uid)
        await self.write(*changed)

    def retract(self, uid: PodUid) -> None:
        """No source holds this pod any more, or only until it is gone."""
        self._offered.discard(uid)

    def offered(self, uid: PodUid) -> bool:
        """Whether a source holds this pod now, taken in by the loop or not: its definition is needed."""
        return uid in self._offered

    async def write(self, *uids: PodUid) -> None:
        """Keep pods on disk once more, whatever was removed meanwhile; a disk that refuses is said."""
        kept = [(uid, pod) for uid in uids if (pod := self._pods.get(uid)) is not None]
        if not kept:
            return
        files = [(self.paths.definition(uid), msgspec.json.encode(pod)) for uid, pod in kept]
        refused = await anyio.to_thread.run_sync(_write_all, files)
        for (uid, pod), error in zip(kept, refused, strict=True):
            if error and uid not in self._unwritten:
                _log.warning("a pod definition cannot be kept on disk", pod=pod.metadata.name, error=error)
            self._unwritten.pop(uid, None)
            self._written.pop(uid, None)
            if error:
                self._unwritten[uid] = None
            else:
                self._written[uid] = pod

    async def write_again(self) -> None:
        """Keep on disk what it refused before, if it takes it now."""
        await self.write(*self._unwritten)

    def forget(self, uid: PodUid, serial: int) -> None:
        """A pod's directory was removed: drop the pod as well, unless it was stored again since."""
        self._written.pop(uid, None)
        if self.serial(uid) == serial:
            self._pods.pop(uid, None)
            self._serials.pop(uid, None)
            self._hidden.pop(uid, None)
            self._secret.pop(uid, None)
            self._unread.discard(uid)
            self._unwritten.pop(uid, None)

    def hide(self, uid: PodUid, values: Iterable[str]) -> None:
        """Take values of Secrets that the pod was given, so that `redact` takes them out as well.

        In memory only; values too short to be secrets are left alone, as those of the definition are.
        """
        held = self._hidden.setdefault(uid, {})
        held.update(dict.fromkeys(v for text in values for v in (text, text.strip()) if len(v) >= SHORTEST))

    def read(self, uid: PodUid) -> None:
        """All Secrets that the pod's containers are given have been read, and their values hidden."""
        self._unread.discard(uid)

    def redact_words(self, uid: PodUid, text: str) -> str:
        """What a container said, without secrets; nothing of it while they are not known again.

        That is so of the pods of an earlier life of the agent, until their Secrets have been read.
        """
        return REDACTED if text and uid in self._unread else self.redact(uid, text)

    def redact(self, uid: PodUid, text: str) -> str:
        """A text of the engine without the secret values of that pod."""
        if not text:
            return text
        pod = self._pods.get(uid)
        hidden = sorted(self._hidden.get(uid, ()), key=lambda value: (-len(value), value))
        return redact_text(text, (*hidden, *(self._told(uid, pod) if pod else ()))) if pod or hidden else text

    def _told(self, uid: PodUid, pod: Pod) -> tuple[str, ...]:
        """The secret values of a definition, looked for once."""
        known = self._secret.get(uid)
        if known is None or known[0] is not pod:
            known = self._secret[uid] = pod, secret_values(pod)
        return known[1]


def _write_all(files: list[tuple[Path, bytes]]) -> list[str]:
    """Write each; what went wrong with it, empty where nothing did."""
    refused = []
    for path, body in files:
        try:
            write_file(path, body)
            refused.append("")
        except OSError as error:
            refused.append(str(error))
    return refused


def write_file(path: Path, body: bytes) -> None:
    """Put a definition in the place of the one before; raises OSError."""
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o750, exist_ok=True)
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(body)
    fresh.rename(path)
