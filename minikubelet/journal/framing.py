"""Lines, their chained crc, and commit marks: pure functions from values to bytes and back.

Nothing here opens a file or knows a name on a disk. A line is `crc8hex SP json LF`; the crc is the crc32 of
the json seeded with the crc of the line before, and is compared as bytes, so that `A` for `a` is damage.
"""

import re
from collections.abc import Iterable
from zlib import crc32

import msgspec

from minikubelet.ports.journalport import Record, SegmentHeader, Snapshot, SnapshotRef

FORMAT = "minikubelet-journal/1"
EXPORT_FORMAT = "minikubelet-export/1"
CRC_WIDTH = 9  # eight hex digits and the space behind them
MARK_START = b'{"m":'
END_START = b'{"z":'


class Mark(msgspec.Struct, frozen=True, rename={"count": "m", "last": "s"}):
    """The end of a commit group: how many records it has, and the seq of the last."""

    count: int
    last: int


class End(msgspec.Struct, frozen=True, rename={"total": "z", "last": "s"}):
    """The end of an export: how many records the file has in all, and the seq of the last."""

    total: int
    last: int


class SnapshotLine(msgspec.Struct, frozen=True, rename={"seq": "n", "body": "b"}):
    """The line behind a header that promises a snapshot."""

    seq: int
    body: msgspec.Raw


_HEX = re.compile(rb"[0-9a-f]{8}")
_encoder = msgspec.json.Encoder(order="deterministic")
decode_record = msgspec.json.Decoder(Record).decode
decode_mark = msgspec.json.Decoder(Mark).decode
decode_end = msgspec.json.Decoder(End).decode
_decode_header = msgspec.json.Decoder(SegmentHeader).decode
_decode_snapshot = msgspec.json.Decoder(SnapshotLine).decode


class FramingError(ValueError):
    """A line that is not what it should be; the text says how."""


def hex_crc(crc: int) -> str:
    """The crc as it stands in a file."""
    return f"{crc:08x}"


def encode_record(record: Record) -> bytes:
    """The payload of a record's line; ValueError where its body is not JSON on one line."""
    payload = msgspec.json.encode(record)
    if b"\n" in payload:
        raise ValueError(f"record {record.seq} has a line break in its body; encode it compactly")
    try:
        decode_record(payload)
    except msgspec.MsgspecError as error:
        raise ValueError(f"record {record.seq} would not be readable again: {error}") from error
    return payload


def frame(payloads: Iterable[bytes], crc: int) -> tuple[bytes, int]:
    """Lines of the payloads chained to `crc`, and the crc they end with."""
    lines = []
    for payload in payloads:
        crc = crc32(payload, crc)
        lines.append(b"%08x %b\n" % (crc, payload))
    return b"".join(lines), crc


def frame_group(payloads: Iterable[bytes], count: int, last: int, crc: int) -> tuple[bytes, int]:
    """Lines of a commit group with its mark, chained to `crc`, and the crc they end with."""
    return frame([*payloads, msgspec.json.encode(Mark(count, last))], crc)


def frame_end(total: int, last: int, crc: int) -> bytes:
    """The last line of an export."""
    return frame([msgspec.json.encode(End(total, last))], crc)[0]


def frame_head(header: SegmentHeader, snapshot: Snapshot | None) -> tuple[bytes, int]:
    """The head of a segment: the header line and, where there is one, the snapshot's line behind it."""
    if snapshot is None:
        return frame([_encoder.encode(msgspec.structs.replace(header, snapshot=None))], 0)
    ref = SnapshotRef(snapshot.seq, len(snapshot.body), hex_crc(crc32(snapshot.body)))
    check_snapshot(snapshot)
    line = msgspec.json.encode(SnapshotLine(snapshot.seq, msgspec.Raw(snapshot.body)))
    return frame([_encoder.encode(msgspec.structs.replace(header, snapshot=ref)), line], 0)


def check_snapshot(snapshot: Snapshot) -> None:
    """Refuse a snapshot that could not be read again (ValueError): it must be JSON on one line."""
    if b"\n" in snapshot.body or snapshot.body != snapshot.body.strip():
        raise ValueError("the snapshot has a line break or blanks around it; encode it compactly")
    try:
        msgspec.json.decode(snapshot.body, type=msgspec.Raw)
    except msgspec.MsgspecError as error:
        raise ValueError(f"the snapshot is not JSON: {error}") from error


def unframe(line: bytes, crc: int) -> tuple[bytes, int]:
    """The payload of a line chained to `crc`, and the line's own crc; FramingError where they disagree."""
    payload = line[CRC_WIDTH:-1]
    computed = crc32(payload, crc)
    if line[-1:] != b"\n" or not payload or line[:CRC_WIDTH] != b"%08x " % computed:
        raise FramingError("the checksum does not match")
    return payload, computed


def read_header(line: bytes) -> tuple[SegmentHeader, int]:
    """The header of a first line, and the line's crc; FramingError where it is not one of a known format."""
    payload, crc = unframe(line, 0)
    try:
        header = _decode_header(payload)
    except msgspec.MsgspecError as error:
        raise FramingError(f"the header is not readable: {error}") from error
    if header.format not in (FORMAT, EXPORT_FORMAT):
        raise FramingError(f"the format {header.format!r} is not known to this version")
    return header, crc


def read_snapshot(line: bytes, ref: SnapshotRef, crc: int) -> tuple[Snapshot, int]:
    """The snapshot of a second line, and the line's crc; FramingError where it is not the one referred to."""
    payload, crc = unframe(line, crc)
    try:
        found = _decode_snapshot(payload)
    except msgspec.MsgspecError as error:
        raise FramingError(f"the snapshot is not readable: {error}") from error
    body = bytes(found.body)
    if (found.seq, len(body), hex_crc(crc32(body))) != (ref.seq, ref.length, ref.crc):
        raise FramingError("the snapshot is not the one its header names")
    return Snapshot(found.seq, body), crc


def last_mark_in(rest: bytes, crc: int) -> Mark | None:
    """The last mark among bytes that do not verify as a whole, or None where there is none.

    `crc` is that of the last good line before them. A mark counts where it chains to what the line before it
    claims, or to what that line should have claimed.
    """
    found: Mark | None = None
    claimed = computed = crc
    for line in rest.split(b"\n")[:-1]:
        payload, own = line[CRC_WIDTH:], line[: CRC_WIDTH - 1]
        candidates = (crc32(payload, claimed), crc32(payload, computed))
        if payload.startswith(MARK_START) and own in [b"%08x" % candidate for candidate in candidates]:
            found = _mark_or(payload, found)
        computed = candidates[1]
        claimed = int(own, 16) if _HEX.fullmatch(own) else computed
    return found


def _mark_or(payload: bytes, otherwise: Mark | None) -> Mark | None:
    try:
        return decode_mark(payload)
    except msgspec.MsgspecError:
        return otherwise  # chains by accident, but is no mark
