"""Records: events and commands as the journal keeps them, and back.

Belongs here: encoding, decoding, upcasting of bodies, and the hash of their schema. May not be here: how
records lie on a disk. A body's `kind` names the event or command, its `v` the form it was written in;
`UPCASTERS` turns an older form into today's, purely.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from minikubelet.core.behaviours import TODAY
from minikubelet.core.commands import AnyCommand
from minikubelet.core.events import AnyEvent
from minikubelet.core.reducer import Snapshot

CORE_VERSION: Final = str(len(TODAY) + 1)
"""Raised with every new behaviour; version 1 of the core knew none."""

UPCASTERS: Final[dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]]] = {}
"""(kind, v) to the function that turns that form into the next one."""

Decoded = TypeVar("Decoded")

_encoder = msgspec.json.Encoder()
_events: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_commands: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)
_snapshots: msgspec.json.Decoder[Snapshot] = msgspec.json.Decoder(Snapshot)


class UnknownRecord(ValueError):
    """A body that this version cannot read; the text names the field."""


def encode_event(event: AnyEvent) -> bytes:
    """An event as JSON bytes without line breaks."""
    return _encoder.encode(event)


def encode_command(command: AnyCommand) -> bytes:
    """A command as JSON bytes without line breaks."""
    return _encoder.encode(command)


def decode_event(body: bytes | msgspec.Raw) -> AnyEvent:
    """The event of a record's body; raises UnknownRecord."""
    return _read(body, _events)


def decode_command(body: bytes | msgspec.Raw) -> AnyCommand:
    """The command of a record's body; raises UnknownRecord."""
    return _read(body, _commands)


def _read(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[Decoded]) -> Decoded:
    try:
        return decoder.decode(_upcast(body) if UPCASTERS else body)
    except msgspec.DecodeError as error:
        raise UnknownRecord(f"this version cannot read it: {error}") from error


def _upcast(body: bytes | msgspec.Raw) -> bytes:
    fields = msgspec.json.decode(body)
    while (step := UPCASTERS.get((fields["kind"], fields.get("v", 1)))) is not None:
        fields = step(fields)
    return _encoder.encode(fields)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """A snapshot as JSON bytes without line breaks."""
    return _encoder.encode(snapshot)


def decode_snapshot(body: bytes) -> Snapshot:
    """A snapshot from its JSON bytes; raises UnknownRecord."""
    try:
        return _snapshots.decode(body)
    except msgspec.DecodeError as error:
        raise UnknownRecord(f"the snapshot cannot be read by this version: {error}") from error


def schema_hash() -> str:
    """Eight hex digits over the JSON schema of all events, commands and the state."""
    schema = msgspec.json.schema_components((AnyEvent, AnyCommand, Snapshot))
    return f"{zlib.crc32(msgspec.json.encode(_bare(schema), order='sorted')):08x}"


def _bare(schema: Any) -> Any:
    """A schema without its descriptions: they are docstrings, which Pythons indent differently."""
    match schema:
        case dict():
            return {key: _bare(value) for key, value in schema.items() if key != "description"}
        case list() | tuple():
            return [_bare(value) for value in schema]
        case _:
            return schema
