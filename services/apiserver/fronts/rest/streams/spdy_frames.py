"""SPDY/3.1 frames: bytes to frames and back. Pure; follows section 2 of the protocol's draft.

Data is handed out as it comes, not frame by frame, so that nothing waits for 16 MB; all other frames are
small, and bounded. What breaks the rules is a ProtocolError, after which the connection is of no use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from struct import Struct

from services.apiserver.fronts.rest.streams.spdy_headers import Compressor, Decompressor, ProtocolError

VERSION = 3
SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FIN = 0x01
CONTROL_BYTES_MAX = 64 * 1024
DATA_BYTES_MAX = 0xFFFFFF  # what a frame's length can say
WINDOW_BYTES = 64 * 1024  # what each side may send unasked, unless SETTINGS say otherwise
ID_MAX = 0x7FFFFFFF
PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL, INTERNAL_ERROR = 1, 2, 3, 5, 6

_HEAD = Struct(">II")
_WORD = Struct(">I")
_TWO = Struct(">II")
_OPENING = Struct(">IIH")


@dataclass(frozen=True, slots=True)
class SynStream:
    stream: int
    headers: dict[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class SynReply:
    stream: int
    headers: dict[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Headers:
    stream: int
    headers: dict[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    stream: int
    status: int = CANCEL


@dataclass(frozen=True, slots=True)
class Settings:
    entries: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ping:
    id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    last_stream: int = 0
    status: int = 0


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    stream: int
    delta: int


@dataclass(frozen=True, slots=True)
class Data:
    """A part of a data frame, or all of it; `fin` only with its last part."""

    stream: int
    data: bytes = b""
    fin: bool = False


Control = SynStream | SynReply | Headers | Reset | Settings | Ping | GoAway | WindowUpdate
Frame = Control | Data


class Reader:
    """Turns what arrives into frames, however it is cut."""

    def __init__(self) -> None:
        self._headers = Decompressor()
        self._buffer = bytearray()
        self._stream, self._left, self._fin = 0, 0, False  # of the data frame that is being read

    def feed(self, data: bytes) -> Iterator[Frame]:
        """ProtocolError."""
        if self._left and not self._buffer:
            part = data[: self._left]
            yield self._part(bytes(part))
            data = data[len(part) :]
        self._buffer += data
        while True:
            frame = self._next()
            if frame is None:
                return
            yield frame

    def _part(self, data: bytes) -> Data:
        self._left -= len(data)
        return Data(self._stream, data, self._fin and not self._left)

    def _next(self) -> Frame | None:
        buffer = self._buffer
        while not self._left:
            if len(buffer) < _HEAD.size:
                return None
            first, second = _HEAD.unpack_from(buffer)
            if not first & 0x80000000:
                del buffer[: _HEAD.size]
                if empty := self._begin(first, second):
                    return empty
                continue
            length = second & 0xFFFFFF
            if first >> 16 & 0x7FFF != VERSION:
                raise ProtocolError(f"SPDY version {first >> 16 & 0x7FFF}")
            if length > CONTROL_BYTES_MAX:
                raise ProtocolError(f"a control frame of {length} bytes")
            if len(buffer) < _HEAD.size + length:
                return None
            body = bytes(buffer[_HEAD.size : _HEAD.size + length])
            del buffer[: _HEAD.size + length]
            if frame := self._control(first & 0xFFFF, second >> 24, body):
                return frame
        if not buffer:
            return None
        part = bytes(buffer[: self._left])
        del buffer[: len(part)]
        return self._part(part)

    def _begin(self, stream: int, second: int) -> Data | None:
        """A data frame; it is all there already when it is empty."""
        if stream == 0:
            raise ProtocolError("data for stream 0")
        self._stream, self._left, self._fin = stream, second & 0xFFFFFF, bool(second >> 24 & FIN)
        return None if self._left else Data(stream, b"", self._fin)

    def _control(self, kind: int, flags: int, body: bytes) -> Control | None:
        """None for a kind that the protocol says to pass over."""
        fin = bool(flags & FIN)
        match kind:
            case 1:
                _at_least(body, _OPENING.size)
                return SynStream(_id(body), self._headers.unpack(body[_OPENING.size :]), fin)
            case 2:
                _at_least(body, _WORD.size)
                return SynReply(_id(body), self._headers.unpack(body[_WORD.size :]), fin)
            case 8:
                _at_least(body, _WORD.size)
                return Headers(_id(body), self._headers.unpack(body[_WORD.size :]), fin)
            case 3:
                return Reset(*_two(body))
            case 4:
                return _settings(body)
            case 6:
                _at_least(body, _WORD.size)
                return Ping(_WORD.unpack_from(body)[0])
            case 7:
                return GoAway(*_two(body))
            case 9:
                stream, delta = _two(body)
                return WindowUpdate(stream, delta & ID_MAX)
        return None


def _at_least(body: bytes, size: int) -> None:
    if len(body) < size:
        raise ProtocolError("a control frame is cut short")


def _id(body: bytes) -> int:
    stream: int = _WORD.unpack_from(body)[0] & ID_MAX
    if not stream:
        raise ProtocolError("stream 0")
    return stream


def _two(body: bytes) -> tuple[int, int]:
    _at_least(body, _TWO.size)
    first, second = _TWO.unpack_from(body)
    return first & ID_MAX, second


def _settings(body: bytes) -> Settings:
    _at_least(body, _WORD.size)
    (count,) = _WORD.unpack_from(body)
    _at_least(body, _WORD.size + count * _TWO.size)
    pairs = (_TWO.unpack_from(body, _WORD.size + index * _TWO.size) for index in range(count))
    return Settings({key & 0xFFFFFF: value for key, value in pairs})


class Writer:
    """Turns frames into bytes. In the order of writing, since header blocks build on each other."""

    def __init__(self) -> None:
        self._headers = Compressor()

    def write(self, frame: Frame) -> bytes:
        match frame:
            case Data(stream, data, fin):
                return _HEAD.pack(stream, FIN << 24 | len(data) if fin else len(data)) + data
            case SynStream(stream, headers, fin):
                return _control(SYN_STREAM, fin, _OPENING.pack(stream, 0, 0) + self._pack(headers))
            case SynReply(stream, headers, fin):
                return _control(SYN_REPLY, fin, _WORD.pack(stream) + self._pack(headers))
            case Headers(stream, headers, fin):
                return _control(HEADERS, fin, _WORD.pack(stream) + self._pack(headers))
            case Reset(stream, status):
                return _control(RST_STREAM, False, _TWO.pack(stream, status))
            case Settings(entries):
                pairs = b"".join(_TWO.pack(key, value) for key, value in entries.items())
                return _control(SETTINGS, False, _WORD.pack(len(entries)) + pairs)
            case Ping(number):
                return _control(PING, False, _WORD.pack(number))
            case GoAway(stream, status):
                return _control(GOAWAY, False, _TWO.pack(stream, status))
            case WindowUpdate(stream, delta):
                return _control(WINDOW_UPDATE, False, _TWO.pack(stream, delta))

    def _pack(self, headers: Mapping[str, str]) -> bytes:
        return self._headers.pack(headers)


def _control(kind: int, fin: bool, body: bytes) -> bytes:
    return _HEAD.pack(0x80000000 | VERSION << 16 | kind, (FIN if fin else 0) << 24 | len(body)) + body
