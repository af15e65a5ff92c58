"""Device mapper, asked without a program: the beacon's look, and that before each removal; and
devices that are there for a moment, to read a layer.

A ``dmsetup status`` costs a process; the same question put to the kernel by ioctl a small part of
it (``linux/dm-ioctl.h``, whose version 4 has been the interface since Linux 2.6). All other work
with device mapper goes through dmsetup(8), see ``dmsetup.py``.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..devmapper import FailedTarget, ThinPoolStatus, parse_status
from ..errors import CommandFailed, Incoherent, Refused

CONTROL = "/dev/mapper/control"
BLOCK_DEVICES = Path("/sys/block")

# version[3], data_size, data_start, target_count, open_count, flags, event_nr, padding, dev, name,
# uuid, 7 bytes of padding
_HEADER = struct.Struct("=3I I I I i I I I Q 128s 129s 7x")
# sector_start, length, status, next, target_type
_TARGET = struct.Struct("=Q Q i I 16s")
# fcntl.ioctl lets other threads run only with a buffer of up to 1024 bytes. A status of a thin
# pool has at most 200.
_BUFFER_BYTES = 1024
_STATUS_TABLE_FLAG = 1 << 4
# Without this a status commits the pool's metadata, and blocks when that cannot be done.
_NOFLUSH_FLAG = 1 << 11
_READ_ONLY_FLAG = 1
_DEFERRED_REMOVE_FLAG = 1 << 17
# What udev's rules are to leave alone: all. Nobody but us is to open, or even to scan, the device.
_QUIET = 0x5F << 16
# _IOWR(0xfd, DM_..._CMD, struct dm_ioctl), as most architectures make it up.
_DEV_CREATE, _DEV_REMOVE, _DEV_SUSPEND, _TABLE_LOAD, _TABLE_STATUS = (
    3 << 30 | _HEADER.size << 16 | 0xFD << 8 | number for number in (3, 4, 6, 9, 12)
)

_ABSENT = (errno.ENXIO, errno.ENOENT, errno.ENODEV)


@dataclass(frozen=True)
class Look:
    """What the kernel says of the first target of a device."""

    event_number: int
    target: str
    #: As dmsetup prints it: start, length, target, status.
    line: str


class _Asked(threading.Thread):
    """One question on its way. The kernel may keep it for as long as the pool's disks hang."""

    def __init__(self, question: Callable[[], Look | None]) -> None:
        super().__init__(name="dockerstorage look", daemon=True)
        self._question = question
        self.answer: Look | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.answer = self._question()
        except Exception as error:
            self.error = error


# By device: questions that the kernel has not answered yet. A second one would wait like them.
_unanswered: dict[str, _Asked] = {}


def looks(names: Sequence[str], timeout_seconds: float) -> dict[str, Look | None]:
    """The status of devices by name, None for one that is absent or has no table.

    A device that does not answer within the time is left out, and is not asked again until the
    kernel has answered the question before. Raises Refused where there is no leave to ask.
    """
    asked = {name: _ask(name) for name in names if not _is_waiting(name)}
    deadline = time.monotonic() + timeout_seconds
    found = {}
    for name, question in asked.items():
        question.join(max(0.0, deadline - time.monotonic()))
        if question.is_alive():
            _unanswered[name] = question
        elif question.error is not None:
            raise question.error
        else:
            found[name] = question.answer
    return found


def pool_status(name: str, timeout_seconds: float = 20) -> ThinPoolStatus | FailedTarget:
    """Status of a thin pool that was there before; raises Incoherent if it is no more."""
    look = looks([name], timeout_seconds).get(name)
    status = parse_status(look.line) if look else None
    if not isinstance(status, (ThinPoolStatus, FailedTarget)):
        raise Incoherent(f"the device {name}", "a thin pool that answers", look and look.line)
    return status


def thin_pools() -> tuple[str, ...]:
    """The names of all thin pools, as in /dev/mapper. No pool's disks are touched."""
    found = []
    for name in active_names():
        # The table is in memory: only a status may have to wait for the pool.
        table = _table_status(name, _STATUS_TABLE_FLAG)
        if table is not None and table.target == "thin-pool":
            found.append(name)
    return tuple(sorted(found))


def active_names() -> Iterator[str]:
    """The names of all devices, by the kernel's own list."""
    for file in BLOCK_DEVICES.glob("dm-*/dm/name"):
        with suppress(OSError):  # removed meanwhile
            yield file.read_text().rstrip("\n")


def create_hidden(name: str, target: str, sectors: int, parameters: str) -> str:
    """Make a read-only device of one target that udev takes no notice of; its node in /dev.

    The node is devtmpfs's own: there is no name below /dev/mapper. Raises CommandFailed.
    """
    table = _TARGET.pack(0, sectors, 0, 0, target.encode()) + parameters.encode() + b"\0"
    table += b"\0" * (-len(table) % 8)
    minor = _minor(_command(_DEV_CREATE, name))
    try:
        _command(_TABLE_LOAD, name, _READ_ONLY_FLAG, table)
        _command(_DEV_SUSPEND, name, _READ_ONLY_FLAG, event_number=_QUIET)  # without its flag: go
    except CommandFailed:
        remove_hidden(name)
        raise
    return f"/dev/dm-{minor}"


def remove_hidden(name: str) -> None:
    """Remove such a device as soon as its last user closes it; raises CommandFailed."""
    _command(_DEV_REMOVE, name, _DEFERRED_REMOVE_FLAG, event_number=_QUIET)


def _command(
    command: int, name: str, flags: int = 0, table: bytes = b"", event_number: int = 0
) -> bytes:
    """What the kernel answers; raises CommandFailed."""
    size = _HEADER.size + len(table)
    count = 1 if table else 0
    header = (4, 0, 0, size, _HEADER.size, count, 0, flags, event_number, 0, 0, name.encode(), b"")
    buffer = bytearray(_HEADER.pack(*header) + table)
    control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(control, command, buffer)
    except OSError as error:
        words = ["ioctl", CONTROL, str(command & 0xFF), name]
        raise CommandFailed(words, error.errno, str(error.strerror)) from None
    finally:
        os.close(control)
    return bytes(buffer)


def _minor(answer: bytes) -> int:
    device: int = _HEADER.unpack_from(answer)[10]
    return device & 0xFF | device >> 12 & 0xFFF00


def _is_waiting(name: str) -> bool:
    question = _unanswered.get(name)
    if question is not None and not question.is_alive():
        del _unanswered[name]
    return name in _unanswered


def _ask(name: str) -> _Asked:
    question = _Asked(lambda: _table_status(name, _NOFLUSH_FLAG))
    question.start()
    return question


def _table_status(name: str, flags: int) -> Look | None:
    encoded = os.fsencode(name)
    if not 0 < len(encoded) < 128:
        return None
    buffer = bytearray(_BUFFER_BYTES)
    header = (4, 0, 0, len(buffer), _HEADER.size, 0, 0, flags, 0, 0, 0, encoded, b"")
    _HEADER.pack_into(buffer, 0, *header)
    try:
        control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(control, _TABLE_STATUS, buffer)
        finally:
            os.close(control)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise Refused(
            f"device mapper cannot be asked through {CONTROL}: {error.strerror}"
        ) from None
    return _read(bytes(buffer))


def _read(answer: bytes) -> Look | None:
    header = _HEADER.unpack_from(answer)
    start_of_data, count, event_number = header[4], header[5], header[8]
    if count == 0:
        return None
    start, length, _, _, kind = _TARGET.unpack_from(answer, start_of_data)
    text, _, _ = answer[start_of_data + _TARGET.size :].partition(b"\0")
    target = _text(kind.partition(b"\0")[0])
    return Look(event_number, target, f"{start} {length} {target} {_text(text)}")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
