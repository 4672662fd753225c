"""HPACK (RFC 7541), as far as one gRPC call needs it: requests as literals, answers read in full.

Indexed names count only when they are gRPC's own, which no static table has; so the static table is
not kept here, and its entries read as empty names. Huffman strings are read where they are printable
ASCII, which headers are; anything else ends the string. Sizes are bounded by the caller's frames.
"""

from __future__ import annotations

from collections.abc import Iterable

STATIC_ENTRIES = 61
TABLE_BYTES = 4096
ENTRY_OVERHEAD_BYTES = 32
# Bits of the code of each character from space to tilde, in base 36: the code is canonical.
_BITS = (
    "6aacd68baa8b8666" "55566666667" "8f6cad" "6" "7777777777777777777777" "878" "djd" "e6f"
    "56565666577666567655677777" "fbed"
)  # fmt: skip


def _codes() -> dict[tuple[int, int], int]:
    """The character of each (length, code). Zero is the one other character with so short a code."""
    lengths = [(13, 0), *((int(digit, 36), 32 + index) for index, digit in enumerate(_BITS))]
    found, code, bits = {}, 0, 0
    for length, character in sorted(lengths):
        code, bits = code << (length - bits), length
        found[length, code] = character
        code += 1
    return found


_HUFFMAN: dict[tuple[int, int], int] = {}
_CODE_BITS_MAX = 19


def varint(number: int) -> bytes:
    """As protobuf writes it."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    """Literals without indexing: no table on either side."""
    return b"".join(b"\x00" + _literal(name) + _literal(value) for name, value in fields)


def _literal(text: str) -> bytes:
    raw = text.encode()
    return _integer(len(raw), 7) + raw


def _integer(number: int, prefix: int) -> bytes:
    limit = (1 << prefix) - 1
    if number < limit:
        return bytes((number,))
    return bytes((limit,)) + varint(number - limit)


class Decoder:
    """Of one connection: what has been indexed counts for all that follows."""

    def __init__(self) -> None:
        self._table: list[tuple[str, str]] = []  # newest first
        self._size = 0

    def decode(self, block: bytes) -> dict[str, str]:
        """The fields of a whole header block; a broken one gives what could be read."""
        found: dict[str, str] = {}
        at = 0
        try:
            while at < len(block):
                first = block[at]
                if first & 0x80:
                    index, at = _read_integer(block, at, 7)
                    name, value = self._entry(index)
                elif first & 0xE0 == 0x20:
                    _, at = _read_integer(block, at, 5)  # the size of the table: ours may be larger
                    continue
                else:
                    indexed = bool(first & 0x40)
                    name, value, at = self._read_literal(block, at, 6 if indexed else 4)
                    if indexed:
                        self._add(name, value)
                found[name] = value
        except IndexError:
            pass
        return found

    def _read_literal(self, block: bytes, at: int, prefix: int) -> tuple[str, str, int]:
        index, at = _read_integer(block, at, prefix)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = _read_string(block, at)
        value, at = _read_string(block, at)
        return name, value, at

    def _entry(self, index: int) -> tuple[str, str]:
        if index <= STATIC_ENTRIES:
            return "", ""
        return self._table[index - STATIC_ENTRIES - 1]

    def _add(self, name: str, value: str) -> None:
        self._table.insert(0, (name, value))
        self._size += len(name) + len(value) + ENTRY_OVERHEAD_BYTES
        while self._size > TABLE_BYTES and self._table:
            gone = self._table.pop()
            self._size -= len(gone[0]) + len(gone[1]) + ENTRY_OVERHEAD_BYTES


def _read_integer(block: bytes, at: int, prefix: int) -> tuple[int, int]:
    limit = (1 << prefix) - 1
    number, at = block[at] & limit, at + 1
    if number < limit:
        return number, at
    shift = 0
    while True:
        byte, at = block[at], at + 1
        number += (byte & 127) << shift
        shift += 7
        if not byte & 128 or shift > 28:
            return number, at


def _read_string(block: bytes, at: int) -> tuple[str, int]:
    packed = bool(block[at] & 0x80)
    size, at = _read_integer(block, at, 7)
    raw = block[at : at + size]
    return (_unpack(raw) if packed else raw.decode(errors="replace")), at + size


def _unpack(raw: bytes) -> str:
    if not _HUFFMAN:
        _HUFFMAN.update(_codes())
    said = []
    code = bits = 0
    for byte in raw:
        for shift in range(7, -1, -1):
            code, bits = code << 1 | byte >> shift & 1, bits + 1
            character = _HUFFMAN.get((bits, code))
            if character is not None:
                said.append(chr(character))
                code = bits = 0
            elif bits > _CODE_BITS_MAX:
                return "".join(said)
    return "".join(said)
