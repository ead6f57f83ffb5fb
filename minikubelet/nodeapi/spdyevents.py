"""What can happen in a SPDY/3.1 session, and the numbers of its frames.

Belongs here: values only. May not be here: what leads to them (`spdysession`).
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, TypeAlias


class FrameType(IntEnum):
    """Control frames."""

    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class ResetStatus(IntEnum):
    """Why a stream was reset."""

    PROTOCOL_ERROR = 1
    INVALID_STREAM = 2
    REFUSED_STREAM = 3
    UNSUPPORTED_VERSION = 4
    CANCEL = 5
    INTERNAL_ERROR = 6


class SpdyFault(ValueError):
    """The peer broke the protocol beyond one stream: the session is over, a GOAWAY is ready to be sent."""


class StreamOpened(NamedTuple):
    """The peer opened a stream; `fin`: it will send nothing on it."""

    stream_id: int
    headers: dict[str, str]
    fin: bool


class HeadersReceived(NamedTuple):
    """The peer replied to a stream, or added headers to one."""

    stream_id: int
    headers: dict[str, str]
    fin: bool


class DataReceived(NamedTuple):
    """Data of a stream, in pieces of any size; `fin`: the last of it."""

    stream_id: int
    data: bytes
    fin: bool


class StreamReset(NamedTuple):
    """The peer gave a stream up."""

    stream_id: int
    status: int


class PingAnswered(NamedTuple):
    """The answer to a ping of ours."""

    ping_id: int


class WindowUpdated(NamedTuple):
    """The peer has room for so many bytes more."""

    stream_id: int
    delta: int


class SettingsReceived(NamedTuple):
    """Settings of the peer by id."""

    values: dict[int, int]


class GoneAway(NamedTuple):
    """The peer opens no more streams and takes none."""

    last_stream_id: int
    status: int


SpdyEvent: TypeAlias = (
    StreamOpened
    | HeadersReceived
    | DataReceived
    | StreamReset
    | PingAnswered
    | WindowUpdated
    | SettingsReceived
    | GoneAway
)
