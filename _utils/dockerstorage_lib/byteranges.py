"""Arithmetic with ranges of bytes: where one begins, and how long it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

#: The first byte, how many.
Range = tuple[int, int]


def merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same bytes in as few ranges as can be, in order."""
    found: list[Range] = []
    for begin, length in sorted(ranges):
        if found and begin <= sum(found[-1]):
            first = found[-1][0]
            found[-1] = (first, max(sum(found[-1]), begin + length) - first)
        elif length:
            found.append((begin, length))
    return tuple(found)


def common(some: Sequence[Range], others: Sequence[Range]) -> tuple[Range, ...]:
    """Bytes that are in both; each in order and merged."""
    found, at = [], 0
    for begin, length in some:
        end = begin + length
        while at < len(others) and sum(others[at]) <= begin:
            at += 1
        here = at
        while here < len(others) and others[here][0] < end:
            first, last = max(begin, others[here][0]), min(end, sum(others[here]))
            found.append((first, last - first))
            here += 1
    return tuple(found)


def without(some: Sequence[Range], others: Sequence[Range]) -> tuple[Range, ...]:
    """Bytes of the first that are not in the second; each in order and merged."""
    if not some:
        return ()
    gaps, end = [], some[0][0]
    for begin, length in others:
        if begin > end:
            gaps.append((end, begin - end))
        end = max(end, begin + length)
    gaps.append((end, max(sum(some[-1]) - end, 0)))
    return common(some, [gap for gap in gaps if gap[1]])


def total(ranges: Iterable[Range]) -> int:
    """How many bytes they are."""
    return sum(length for _, length in ranges)
