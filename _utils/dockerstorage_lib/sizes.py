"""Sizes as operators write them for LVM: ``10G``, ``512M``, bytes, ``95%FREE``, ``50%VG``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import BadInput

# As LVM's commands read them: powers of 1024, whatever the case.
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True)
class Share:
    """A part of a volume group's free space (``FREE``) or of all of it (``VG``)."""

    percent: float
    of: str

    def __str__(self) -> str:
        return f"{self.percent:g}%{self.of}"


def read_bytes(value: int | str, name: str) -> int:
    """Bytes of a number or of a number with a unit; raises BadInput, naming the argument."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([bkmgt]?)(?:i?b)?", str(value).strip().lower())
    size = 0 if isinstance(value, bool) or match is None else float(match[1]) * _UNITS[match[2]]
    if size < 1:
        raise BadInput(f"{name}: {value!r} is no size; write bytes, or a number with K, M, G or T")
    return int(size)


def read_size(value: int | str, name: str) -> int | Share:
    """Bytes, or a share of the volume group."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?%(free|vg)", str(value).strip().lower())
    if match is None:
        if "%" in str(value):
            raise BadInput(f"{name}: {value!r} is no share; write as 95%FREE or 50%VG")
        return read_bytes(value, name)
    share = Share(float(match[1]), match[2].upper())
    if not 0 < share.percent <= 100:
        raise BadInput(f"{name}: {value!r}: a share is more than 0 and at most 100 percent")
    return share
