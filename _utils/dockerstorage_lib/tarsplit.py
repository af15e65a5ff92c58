"""The tar stream of a layer, put together again as it once came: pure functions.

``layerdb/sha256/<chain>/tar-split.json.gz`` holds all of the stream but the files' contents, one
JSON object a line (github.com/vbatts/tar-split, ``tar/storage/entry.go``): type 2 is a piece of
the stream itself, type 1 stands for the content of a file of the layer.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from .errors import Damaged, Unparsable

FILE, SEGMENT = 1, 2
CHUNK_BYTES = 1 << 20

Opener = Callable[[bytes], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True)
class Piece:
    """A line: bytes of the stream, or a file whose content stands there."""

    data: bytes = b""
    name: bytes = b""
    size: int = 0
    #: CRC-64 (ISO) of the file's content; empty if it has none.
    checksum: bytes = b""


def parse_piece(line: bytes) -> Piece:
    """Read one line; raises Unparsable."""
    try:
        found = json.loads(line)
        if found["type"] == SEGMENT:
            return Piece(data=base64.b64decode(found["payload"] or ""))
        if found["type"] != FILE:
            raise Unparsable("tar-split entry type", repr(line[:200]))
        raw = found.get("name_raw")
        name = base64.b64decode(raw) if raw else found.get("name", "").encode()
        size = int(found.get("size") or 0)
        if size < 0:
            raise ValueError(f"size {size}")
        checksum = base64.b64decode(found.get("payload") or "")
        return Piece(name=name, size=size, checksum=checksum)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise Unparsable("tar-split entry", repr(line[:200])) from None


def assemble(lines: Iterable[bytes], open_file: Opener, layer: str) -> Iterator[bytes]:
    """The stream in chunks.

    open_file opens a file of the layer by its name in the stream. Raises Damaged, naming layer and
    file, if one is not there or not of its size; its digest is the caller's to check.
    """
    for line in lines:
        piece = parse_piece(line)
        if piece.data:
            yield piece.data
        if piece.size:
            yield from _content(piece, open_file, layer)


def assemble_rest(
    lines: Iterable[bytes], open_file: Opener, tell: Callable[[str, str], None]
) -> Iterator[bytes]:
    """The stream of a damaged layer, with zeros for what cannot be read.

    tell is told of each file that is not what it was: its name, and why.
    """
    for line in lines:
        piece = parse_piece(line)
        if piece.data:
            yield piece.data
        if piece.size:
            yield from _rest(piece, open_file, tell)


def _rest(piece: Piece, open_file: Opener, tell: Callable[[str, str], None]) -> Iterator[bytes]:
    left, crc, why = piece.size, _CRC_START, ""
    try:
        with open_file(piece.name) as file:
            while left and (chunk := file.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                crc = _crc64(crc, chunk)
                yield chunk
    except OSError as error:
        why = str(error.strerror)
    if left:
        why = why or f"{left} bytes too short"
    elif piece.checksum and piece.checksum != (crc ^ _CRC_START).to_bytes(8, "big"):
        why = "its content has changed"
    if why:
        tell(piece.name.decode("utf-8", "backslashreplace"), why)
    while left:
        count = min(left, CHUNK_BYTES)
        left -= count
        yield b"\0" * count


def _crc64(crc: int, data: bytes) -> int:
    """CRC-64 of ISO 3309, as Go's hash/crc64 has it."""
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc


def _crc_table() -> Iterator[int]:
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CRC_POLYNOMIAL if crc & 1 else 0)
        yield crc


_CRC_POLYNOMIAL, _CRC_START = 0xD800000000000000, 2**64 - 1
_CRC_TABLE = tuple(_crc_table())


def _content(piece: Piece, open_file: Opener, layer: str) -> Iterator[bytes]:
    left = piece.size
    try:
        with open_file(piece.name) as file:
            while left and (chunk := file.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise Damaged(f"layer {layer}", f"{piece.name!r}: {error.strerror}") from None
    if left:
        raise Damaged(f"layer {layer}", f"{piece.name!r} is {left} bytes too short")
