"""Read a bbolt database file, as BuildKit keeps its snapshots in: a pure function of its bytes.

The format is that of go.etcd.io/bbolt (page.go, bucket.go), version 2. A file that is written
while it is read stays readable: its newest whole meta page counts, and pages that it reaches are
not written over before the next but one transaction.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Union

from .errors import Unparsable

Bucket = dict[bytes, Union[bytes, "Bucket"]]

_MAGIC = 0xED0CDAED
_PAGE = struct.Struct("<QHHI")  # id, flags, count, overflow
_META = struct.Struct("<IIIIQQQQQ")  # magic, version, page size, flags, root, ..., transaction
_BRANCH_ELEMENT = struct.Struct("<IIQ")  # position, key size, page
_LEAF_ELEMENT = struct.Struct("<IIII")  # flags, position, key size, value size
_BUCKET = struct.Struct("<QQ")  # root page (0: inline), sequence
_BRANCH, _LEAF = 0x01, 0x02
_IS_BUCKET = 0x01


def read_database(data: bytes) -> Bucket:
    """All buckets, keys and values; raises Unparsable if the file is no whole database."""
    try:
        page_size, root = max(_metas(data), key=lambda meta: meta[2])[:2]
        return dict(_entries(data, page_size, root * page_size))
    except (struct.error, ValueError, OverflowError, RecursionError):
        raise Unparsable("bbolt database", f"{len(data)} bytes") from None


def _metas(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Page size, root page and transaction of each valid meta page; there are two."""
    page_size = _META.unpack_from(data, _PAGE.size)[2]
    for offset in (0, page_size):
        magic, version, size, _, root, _, _, _, transaction = _META.unpack_from(
            data, offset + _PAGE.size
        )
        if magic == _MAGIC and version == 2:
            yield size, root, transaction


def _entries(data: bytes, page_size: int, at: int) -> Iterator[tuple[bytes, bytes | Bucket]]:
    """Keys of the page at an offset and of all below it, with their values."""
    _, flags, count, _ = _PAGE.unpack_from(data, at)
    elements = range(at + _PAGE.size, at + _PAGE.size + 16 * count, 16)
    if flags & _BRANCH:
        for element in elements:
            page = _BRANCH_ELEMENT.unpack_from(data, element)[2]
            yield from _entries(data, page_size, page * page_size)
        return
    if not flags & _LEAF:
        raise ValueError(f"page flags {flags}")
    for element in elements:
        kind, position, key_size, value_size = _LEAF_ELEMENT.unpack_from(data, element)
        start = element + position
        key = data[start : start + key_size]
        value_at = start + key_size
        if not kind & _IS_BUCKET:
            yield key, data[value_at : value_at + value_size]
            continue
        root = _BUCKET.unpack_from(data, value_at)[0]
        below = root * page_size if root else value_at + _BUCKET.size
        yield key, dict(_entries(data, page_size, below))
