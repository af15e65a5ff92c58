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
        return Piece(name=name, size=int(found.get("size") or 0))
    except (ValueError, KeyError, TypeError):
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
