"""A thin pool as an operator declares it: arguments checked and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import BadInput
from .policy import read_percent, texts
from .sizes import Share, read_bytes, read_size

WHEN_FULL = ("error", "queue")
DISCARDS = ("passdown", "nopassdown", "ignore")
NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-")


#: Of the state, beside the names.
ARGUMENTS = frozenset(
    "devices size metadata_size chunk_size autoextend_threshold autoextend_percent when_full zero "
    "discards monitor force_devices".split()
)


@dataclass(frozen=True)
class Declaration:
    """A pool as an operator wants it; None: as it is, or a default for a new one."""

    vg: str
    name: str
    devices: tuple[str, ...] = ()
    size: int | Share | None = None
    metadata_bytes: int | None = None
    chunk_bytes: int | None = None
    threshold: int | None = None
    percent: int | None = None
    when_full: str | None = None
    zero: bool | None = None
    discards: str | None = None
    monitor: bool = True
    force_devices: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        return f"{self.vg}/{self.name}"


def read_declaration(name: str, vg: str | None, values: Mapping[str, Any]) -> Declaration:
    """Check the arguments of the state; raises BadInput, naming the argument."""
    if vg is None:
        vg, slash, name = name.partition("/")
        if not slash:
            raise BadInput("vg: name the volume group, or write the state's name as 'vg/pool'")
    given = {key: value for key, value in values.items() if value is not None}
    metadata = given.get("metadata_size")
    chunk = given.get("chunk_size")
    return Declaration(
        vg=_lvm_name(vg, "vg"),
        name=_lvm_name(name, "name"),
        devices=texts("devices", given.get("devices")),
        size=None if "size" not in given else read_size(given["size"], "size"),
        metadata_bytes=None if metadata is None else read_bytes(metadata, "metadata_size"),
        chunk_bytes=None if chunk is None else _chunk(read_bytes(chunk, "chunk_size")),
        # LVM reads anything below 50 as 50.
        threshold=_percent(given, "autoextend_threshold", least=50),
        percent=_percent(given, "autoextend_percent", least=1),
        when_full=_choice(given, "when_full", WHEN_FULL),
        zero=_flag(given, "zero"),
        discards=_choice(given, "discards", DISCARDS),
        monitor=_flag(given, "monitor") is not False,
        force_devices=texts("force_devices", given.get("force_devices")),
    )


def _lvm_name(text: object, argument: str) -> str:
    if (
        not isinstance(text, str)
        or not text.strip(".")
        or text.startswith("-")
        or set(text) - NAME_CHARACTERS
    ):
        raise BadInput(
            f"{argument}: {text!r} is no name for LVM; letters, digits and +_.- make one"
        )
    return text


def _chunk(size: int) -> int:
    # lvmthin(7): 64 KiB to 1 GiB, a multiple of 64 KiB.
    if size % (64 << 10) or size > 1 << 30:
        raise BadInput(f"chunk_size: {size} is no multiple of 64K up to 1G")
    return size


def _percent(given: Mapping[str, Any], key: str, least: int) -> int | None:
    if key not in given:
        return None
    percent = read_percent(given[key], key)
    if percent != int(percent) or percent < least:
        raise BadInput(f"{key}: {given[key]!r} is no whole percent from {least} to 100")
    return int(percent)


def _choice(given: Mapping[str, Any], key: str, allowed: tuple[str, ...]) -> str | None:
    if key in given and given[key] not in allowed:
        raise BadInput(f"{key}: {given[key]!r} is none of {', '.join(allowed)}")
    return given.get(key)


def _flag(given: Mapping[str, Any], key: str) -> bool | None:
    if key in given and not isinstance(given[key], bool):
        raise BadInput(f"{key}: {given[key]!r} is neither True nor False")
    return given.get(key)
