"""Header blocks of SPDY/3: name and value pairs, compressed with one zlib stream per direction.

Belongs here: the dictionary that the specification fixes, encoding and decoding. Sans I/O, no frames.
Source: draft-mbelshe-httpbis-spdy, sections 2.6.10 and 2.6.10.1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Final

MOST_HEADER_BYTES: Final = 64 * 1024
"""Of one block when it is unpacked; the clients of this protocol send a few dozen bytes."""

_COUNT: Final = struct.Struct(">L")

_WORDS: Final = """
options|head|post|put|delete|trace|accept|accept-charset|accept-encoding|accept-language|accept-ranges|age
allow|authorization|cache-control|connection|content-base|content-encoding|content-language|content-length
content-location|content-md5|content-range|content-type|date|etag|expect|expires|from|host|if-match
if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|location|max-forwards|pragma
proxy-authenticate|proxy-authorization|range|referer|retry-after|server|te|trailer|transfer-encoding|upgrade
user-agent|vary|via|warning|www-authenticate|method|get|status|200 OK|version|HTTP/1.1|url|public|set-cookie
keep-alive|origin
"""
_TAIL: Final = (
    b"100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    b"203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    b"403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    b"Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    b"chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    b"text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


class HeaderFault(ValueError):
    """A header block that cannot be read; the connection's compression is lost with it."""


def _packed(text: bytes) -> bytes:
    return _COUNT.pack(len(text)) + text


def _dictionary() -> bytes:
    words = _WORDS.strip().replace("\n", "|").split("|")
    return b"".join(_packed(word.encode()) for word in words) + _TAIL


DICTIONARY: Final = _dictionary()


class HeaderPacker:
    """Packs the blocks of one direction, in the order in which they are sent."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(zdict=DICTIONARY)

    def pack(self, headers: Mapping[str, str]) -> bytes:
        """A block of headers; names become lower case, as the protocol asks."""
        block = bytearray(_COUNT.pack(len(headers)))
        for name, value in headers.items():
            block += _packed(name.lower().encode("latin-1")) + _packed(value.encode("latin-1"))
        return self._zlib.compress(block) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


class HeaderUnpacker:
    """Unpacks the blocks of one direction; every block has to come by, those of refused streams too."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)

    def unpack(self, packed: bytes) -> dict[str, str]:
        """Headers by name in lower case; several values of one name are joined by NUL. Raises HeaderFault."""
        try:
            block = self._zlib.decompress(packed, MOST_HEADER_BYTES)
        except zlib.error as error:
            raise HeaderFault(f"a header block does not unpack: {error}") from None
        if self._zlib.unconsumed_tail:
            raise HeaderFault(f"a header block is larger than {MOST_HEADER_BYTES} bytes")
        return _pairs(block)


def _pairs(block: bytes) -> dict[str, str]:
    fields, position = [], _COUNT.size
    while position < len(block):
        if position + _COUNT.size > len(block):
            raise HeaderFault("a header block ends within a length")
        (length,) = _COUNT.unpack_from(block, position)
        position += _COUNT.size
        if position + length > len(block):
            raise HeaderFault("a header block ends within a field")
        fields.append(block[position : position + length].decode("latin-1"))
        position += length
    if len(block) < _COUNT.size or len(fields) != 2 * _COUNT.unpack_from(block)[0]:
        raise HeaderFault("a header block holds another number of fields than it says")
    return {name.lower(): value for name, value in zip(fields[::2], fields[1::2], strict=True)}
