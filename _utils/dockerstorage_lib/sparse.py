"""The content of a member of a tar, with its holes: GNU's sparse format 1.0.

The content begins with a map in decimal lines (how many segments; offset and length of each),
filled up to a block, and then has the data of the segments alone.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from typing import BinaryIO

from .errors import Damaged
from .tarheader import BLOCK_BYTES

#: Offset and length of the data, in order.
Segments = tuple[tuple[int, int], ...]

#: What is more fragmented loses its last holes, so that its map stays small.
MAX_SEGMENTS = 50_000
_CHUNK_BYTES = 2**18
_LINE_BYTES = 20


def segments_of(file: BinaryIO, size: int) -> Segments | None:
    """Where a file has data; None if it has no hole, or cannot tell."""
    try:
        descriptor = file.fileno()
        at = os.lseek(descriptor, 0, os.SEEK_CUR)
    except OSError:  # no file
        return None
    try:
        if os.lseek(descriptor, 0, os.SEEK_HOLE) >= size:
            return None
        found = list(_data(descriptor, size))
    except OSError:  # a file system without holes
        return None
    finally:
        os.lseek(descriptor, at, os.SEEK_SET)
    if len(found) > MAX_SEGMENTS:
        begin = found[MAX_SEGMENTS - 1][0]
        found[MAX_SEGMENTS - 1 :] = [(begin, size - begin)]
    if not found or sum(found[-1]) < size:
        found.append((size, 0))  # as GNU tar does: the file ends with a hole
    return tuple(found)


def _data(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    at = 0
    while at < size:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        if begin >= size:
            return
        at = min(os.lseek(descriptor, begin, os.SEEK_HOLE), size)
        if at <= begin:  # it was cut meanwhile
            return
        yield begin, at - begin


def map_bytes(segments: Segments) -> bytes:
    """The map as it stands before the data."""
    lines = [len(segments), *(number for segment in segments for number in segment)]
    text = "".join(f"{line}\n" for line in lines).encode()
    return text + b"\0" * (-len(text) % BLOCK_BYTES)


class Source:
    """A stream that is read to the byte, or found damaged."""

    def __init__(self, stream: BinaryIO, what: str) -> None:
        self.stream = stream
        self.what = what

    def take(self, count: int) -> bytes:
        """That many bytes; raises Damaged if it ends before."""
        data = self.stream.read(count)
        while len(data) < count:
            more = self.stream.read(count - len(data))
            if not more:
                raise Damaged(self.what, "it ends too early")
            data += more
        return data

    def skip_padding(self, size: int) -> None:
        """Pass what fills the last block; ValueError if it holds anything."""
        if any(self.take(-size % BLOCK_BYTES)):
            raise ValueError("something is hidden in the filling of a block")


def read_map(source: Source, size: int) -> tuple[Segments, int]:
    """The segments of a sparse file and the bytes of their map; ValueError if it cannot be one."""
    lines = _Lines(source)
    count = lines.number()
    if not 0 < count <= MAX_SEGMENTS + 1:
        raise ValueError(f"a sparse file in {count} pieces")
    found = []
    end = 0
    for _ in range(count):
        offset, length = lines.number(), lines.number()
        if offset < end or offset + length > size:
            raise ValueError("the pieces of a sparse file overlap or lie beyond its end")
        end = offset + length
        found.append((offset, length))
    if any(lines.left):
        raise ValueError("something follows the map of a sparse file")
    return tuple(found), lines.read_bytes


class _Lines:
    def __init__(self, source: Source) -> None:
        self._source = source
        self.left = b""
        self.read_bytes = 0

    def number(self) -> int:
        while b"\n" not in self.left[:_LINE_BYTES]:
            if len(self.left) >= _LINE_BYTES:
                raise ValueError("no map of a sparse file")
            self.left += self._source.take(BLOCK_BYTES)
            self.read_bytes += BLOCK_BYTES
        line, _, self.left = self.left.partition(b"\n")
        if not line.isdigit():
            raise ValueError("no map of a sparse file")
        return int(line)


class Content(io.RawIOBase):
    """The content of a file, as a stream (holes read as zeros) or piece by piece, without holes."""

    def __init__(self, source: Source, segments: Segments, size: int, stored_bytes: int) -> None:
        self._source = source
        self._size = size
        self._stored_bytes = stored_bytes
        self._pieces = self._read(segments)
        self._piece = (0, b"")
        self._at = 0

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Offset and data of what is not a hole; raises Damaged if the stream ends."""
        yield from self._pieces

    def finish(self) -> None:
        """Pass what was not read."""
        for _ in self._pieces:
            pass

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        offset, data = self._piece
        if self._at >= offset + len(data):
            self._piece = offset, data = next(self._pieces, (self._size, b""))
        if self._at < offset:
            count = min(len(buffer), offset - self._at)
            buffer[:count] = b"\0" * count
        else:
            begin = self._at - offset
            count = min(len(buffer), len(data) - begin)
            buffer[:count] = data[begin : begin + count]
        self._at += count
        return count

    def _read(self, segments: Segments) -> Iterator[tuple[int, bytes]]:
        for offset, length in segments:
            while length:
                data = self._source.stream.read(min(length, _CHUNK_BYTES))
                if not data:
                    raise Damaged(self._source.what, "it ends too early")
                yield offset, data
                offset += len(data)
                length -= len(data)
        try:
            self._source.skip_padding(self._stored_bytes)
        except ValueError as error:
            raise Damaged(self._source.what, str(error)) from None
