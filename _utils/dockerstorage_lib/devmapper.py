"""What ``dmsetup`` prints, read into values.

Pure functions. The formats are those of the kernel's ``Documentation/admin-guide/
device-mapper/thin-provisioning.rst`` and of dmsetup(8). A line may end in fields that newer
kernels add: they are passed over. Older kernels leave fields out at the end: those are None.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .errors import Unparsable

SECTOR_BYTES = 512
#: dm-thin's metadata block, fixed by the kernel (THIN_METADATA_BLOCK_SIZE).
METADATA_BLOCK_BYTES = 4096

T = TypeVar("T")


@dataclass(frozen=True)
class ThinPoolStatus:
    """One ``thin-pool`` status line of a pool that works, if only to be read."""

    transaction_id: int
    used_metadata_blocks: int
    total_metadata_blocks: int
    used_data_blocks: int
    total_data_blocks: int
    #: Root block of a held metadata snapshot; while it is held, deletes free nothing.
    held_metadata_root: int | None
    mode: str
    discard_passdown: bool | None = None
    when_full: str | None = None
    needs_check: bool = False
    metadata_low_water_blocks: int | None = None

    @property
    def health(self) -> str:
        """``ok``, ``out_of_data_space``, ``read_only`` or ``needs_check``, the worst first."""
        if self.needs_check:
            return "needs_check"
        return {"rw": "ok", "ro": "read_only"}.get(self.mode, self.mode)

    @property
    def data_percent(self) -> float:
        return percent(self.used_data_blocks, self.total_data_blocks)

    @property
    def metadata_percent(self) -> float:
        return percent(self.used_metadata_blocks, self.total_metadata_blocks)

    @property
    def fullest_percent(self) -> float:
        """Percent of what is nearer to full; Docker and the kernel stop at either."""
        return max(self.data_percent, self.metadata_percent)


@dataclass(frozen=True)
class ThinStatus:
    """One ``thin`` status line."""

    mapped_sectors: int
    highest_mapped_sector: int | None
    health: str = "ok"


@dataclass(frozen=True)
class FailedTarget:
    """A target whose status line says ``Fail`` or ``Error``: nothing can be read of it."""

    word: str
    health: str = "failed"


@dataclass(frozen=True)
class OtherStatus:
    """Status of a target that this project does not look into (linear, crypt, ...)."""

    target: str
    text: str
    health: str = "ok"


@dataclass(frozen=True)
class ThinPoolTable:
    """One ``thin-pool`` table line."""

    length_sectors: int
    metadata_device: str
    data_device: str
    data_block_sectors: int
    #: 0 switches the kernel's low-water event off, and with it LVM's auto-extension.
    low_water_blocks: int
    features: tuple[str, ...]

    @property
    def data_block_bytes(self) -> int:
        return self.data_block_sectors * SECTOR_BYTES

    @property
    def when_full(self) -> str:
        return "error" if "error_if_no_space" in self.features else "queue"


@dataclass(frozen=True)
class ThinTable:
    """One ``thin`` table line."""

    length_sectors: int
    pool_device: str
    device_id: int
    external_origin: str | None = None


@dataclass(frozen=True)
class OtherTable:
    """Table line of a target that this project does not look into."""

    length_sectors: int
    target: str
    text: str


@dataclass(frozen=True)
class DeviceInfo:
    """One row of ``dmsetup info -c``."""

    name: str
    major: int
    minor: int
    open_count: int
    event_number: int
    uuid: str
    suspended: bool
    read_only: bool
    has_table: bool

    @property
    def number(self) -> str:
        return f"{self.major}:{self.minor}"


Status = ThinPoolStatus | ThinStatus | FailedTarget | OtherStatus
Table = ThinPoolTable | ThinTable | OtherTable

#: The columns that ``parse_info`` reads, in its order.
INFO_COLUMNS = "name,major,minor,open,events,uuid,suspended,readonly,tables_loaded"
INFO_SEPARATOR = "|"
_LAYER = "-tpool"
# Names and uuids may hold any character, the separator too: the numbers between them tell.
_INFO_ROW = re.compile(
    r"(.*?)\|\s*(\d+)\|\s*(\d+)\|\s*(\d+)\|\s*(\d+)\|(.*)"
    r"\|(Active|Suspended) *\|(Writeable|Read-only) *\|(Live|Both|Inactive|None) *",
    re.ASCII,
)


def pool_devices(pool: str) -> tuple[str, str]:
    """The devices that may be the thin pool of a name, the likelier one first.

    With thin volumes in it, LVM keeps the pool in a device with another ending, below a plain one
    of the pool's name (lib/activate/dev_manager.c of LVM).
    """
    return f"{pool}{_LAYER}", pool


def lvm_name(device: str) -> str:
    """What LVM calls the pool that is in a device."""
    return device.removesuffix(_LAYER)


def parse_status(line: str) -> Status:
    """Read one status line, without the ``name:`` that dmsetup puts before it for a list.

    Raises Unparsable with the name of the field.
    """
    words = _words(line, 3)
    target, rest = words[2], words[3:]
    if rest[:1] in (["Fail"], ["Error"]):
        return FailedTarget(rest[0])
    if target == "thin-pool":
        return _pool_status(rest, line)
    if target == "thin":
        return _thin_status(rest, line)
    return OtherStatus(target, " ".join(rest))


def parse_table(line: str) -> Table:
    """Read one table line; raises Unparsable with the name of the field."""
    words = _words(line, 3)
    length = _number("length", words[1], line)
    target, rest = words[2], words[3:]
    if target == "thin-pool":
        return _pool_table(length, rest, line)
    if target == "thin":
        if rest[:1] == ["Fail"]:  # of a failed pool the kernel does not even tell the table
            return OtherTable(length, target, "Fail")
        if len(rest) < 2:
            raise Unparsable("thin table", line)
        origin = rest[2] if len(rest) > 2 else None
        return ThinTable(length, rest[0], _number("device id", rest[1], line), origin)
    return OtherTable(length, target, " ".join(rest))


def parse_listing(text: str, parse: Callable[[str], T]) -> dict[str, list[T]]:
    """Read ``name: line`` rows, as ``dmsetup status`` and ``table`` print without a name.

    A device of several targets has a row for each. A device without a table has none.
    """
    found: dict[str, list[T]] = {}
    for line in text.splitlines():
        if not line.strip() or line.strip() == "No devices found":
            continue
        # Docker's names contain ":" and others blanks (dmsetup undoes its mangling when it prints),
        # so only a colon that is followed by start, length and target ends one.
        match = re.match(r"(?P<name>\S.*?):(?:\s+(?P<row>\d+ \d+ \S.*))?\s*$", line)
        if match is None:
            raise Unparsable("device name", line)
        rows = found.setdefault(match["name"], [])
        if match["row"]:
            rows.append(parse(match["row"]))
    return found


def parse_info(text: str) -> tuple[DeviceInfo, ...]:
    """Read the rows of ``dmsetup info -c --noheadings`` with INFO_COLUMNS."""
    rows = (line for line in text.splitlines() if line.strip())
    return tuple(_info(line) for line in rows if line.strip() != "No devices found")


def parse_deps(line: str) -> tuple[str, ...]:
    """Read ``2 dependencies  : (254, 3) (254, 2)`` into ``("254:3", "254:2")``."""
    match = re.fullmatch(r"\s*(?:\S+: )?(\d+) dependenc(?:y|ies)\s*:(.*)", line.rstrip("\n"))
    if match is None:
        raise Unparsable("dependencies", line)
    pairs = re.findall(r"\((\d+)[,:]\s*(\d+)\)", match[2])
    if len(pairs) != int(match[1]):
        raise Unparsable("dependencies", line)
    return tuple(f"{major}:{minor}" for major, minor in pairs)


def _pool_status(words: list[str], line: str) -> ThinPoolStatus:
    if len(words) < 5:
        raise Unparsable("thin-pool status", line)
    used_metadata, total_metadata = _fraction("metadata blocks", words[1], line)
    used_data, total_data = _fraction("data blocks", words[2], line)
    held = None if words[3] == "-" else _number("held metadata root", words[3], line)
    mode = words[4]
    if mode not in ("rw", "ro", "out_of_data_space"):
        raise Unparsable("mode", line)
    later = words[5:]
    low_water = later[3] if len(later) > 3 else None
    return ThinPoolStatus(
        transaction_id=_number("transaction id", words[0], line),
        used_metadata_blocks=used_metadata,
        total_metadata_blocks=total_metadata,
        used_data_blocks=used_data,
        total_data_blocks=total_data,
        held_metadata_root=held,
        mode=mode,
        discard_passdown=_discards(later[0], line) if later else None,
        when_full=_when_full(later[1], line) if len(later) > 1 else None,
        needs_check=len(later) > 2 and _needs_check(later[2], line),
        metadata_low_water_blocks=(
            None if low_water is None else _number("metadata low water", low_water, line)
        ),
    )


def _discards(word: str, line: str) -> bool:
    if word not in ("discard_passdown", "no_discard_passdown", "ignore_discard"):
        raise Unparsable("discards", line)
    return word == "discard_passdown"


def _needs_check(word: str, line: str) -> bool:
    if word not in ("needs_check", "-"):
        raise Unparsable("needs_check", line)
    return word == "needs_check"


def _when_full(word: str, line: str) -> str:
    if word not in ("error_if_no_space", "queue_if_no_space"):
        raise Unparsable("what happens when full", line)
    return word.partition("_")[0]


def _thin_status(words: list[str], line: str) -> ThinStatus:
    if len(words) < 2:
        raise Unparsable("thin status", line)
    highest = None if words[1] == "-" else _number("highest mapped sector", words[1], line)
    return ThinStatus(_number("mapped sectors", words[0], line), highest)


def _pool_table(length: int, words: list[str], line: str) -> ThinPoolTable:
    if len(words) < 4:
        raise Unparsable("thin-pool table", line)
    count = _number("feature count", words[4], line) if len(words) > 4 else 0
    return ThinPoolTable(
        length_sectors=length,
        metadata_device=words[0],
        data_device=words[1],
        data_block_sectors=_number("data block size", words[2], line),
        low_water_blocks=_number("low water", words[3], line),
        features=tuple(words[5 : 5 + count]),
    )


def _info(line: str) -> DeviceInfo:
    match = _INFO_ROW.fullmatch(line)
    if match is None:
        raise Unparsable("device information", line)
    name, major, minor, opened, events, uuid, state, access, tables = match.groups()
    return DeviceInfo(
        name=name.strip(),
        major=int(major),
        minor=int(minor),
        open_count=int(opened),
        event_number=int(events),
        uuid=uuid.strip(),
        suspended=state == "Suspended",
        read_only=access == "Read-only",
        has_table=tables != "None",
    )


def _words(line: str, at_least: int) -> list[str]:
    words = line.split()
    if len(words) < at_least or not (words[0].isdigit() and words[1].isdigit()):
        raise Unparsable("start, length and target", line)
    return words


def _number(field: str, word: str, line: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise Unparsable(field, line)
    return int(word)


def _fraction(field: str, word: str, line: str) -> tuple[int, int]:
    used, slash, total = word.partition("/")
    if not slash:
        raise Unparsable(field, line)
    return _number(field, used, line), _number(field, total, line)


def percent(used: int, total: int) -> float:
    """How full something is."""
    return round(100 * used / total, 2) if total else 0.0
