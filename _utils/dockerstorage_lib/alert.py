"""An event of the watch in plain values and in a sentence. Pure functions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .summary import human_bytes, human_duration
from .watch import KERNEL_EVENT, Event

_PHRASES = {
    "ok": "is well",
    "warning": "is filling up",
    "critical": "is nearly full",
    "emergency": "is all but full",
    "out_of_data_space": "has no room for data left: writes wait or fail",
    "read_only": "is read-only",
    "needs_check": "is read-only and must be checked and repaired",
    "failed": "has failed: nothing of it can be read",
    "unresponsive": "does not answer: its disks may hang",
    "gone": "is not there",
}


def as_dict(event: Event, vg_free_bytes: int | None) -> dict[str, Any]:
    """The event as plain values, with the free space of the pool's volume group and ``text``."""
    return {
        **asdict(event),
        "vg_free_bytes": vg_free_bytes,
        "text": sentence(event, vg_free_bytes),
    }


def sentence(event: Event, vg_free_bytes: int | None) -> str:
    """The event in a sentence.

    ``docker-thinpool is nearly full: data 83.2 %, metadata 12.0 %, data full in about 2 hours at
    this rate, 4.0 GiB free in its volume group``
    """
    phrase = _PHRASES.get(event.state, f"is at level {event.state}")
    if event.reason == KERNEL_EVENT:
        phrase += ", and the kernel signalled low water or a change of mode"
    facts = []
    if event.data_percent is not None:
        facts.append(f"data {event.data_percent:.1f} %")
        facts.append(f"metadata {event.metadata_percent:.1f} %")
    for what, seconds in (
        ("data", event.seconds_to_data_full),
        ("metadata", event.seconds_to_metadata_full),
    ):
        if seconds:
            facts.append(f"{what} full in about {human_duration(seconds)} at this rate")
    if vg_free_bytes is not None:
        facts.append(f"{human_bytes(vg_free_bytes)} free in its volume group")
    return f"{event.pool} {phrase}{'; ' if facts else ''}{', '.join(facts)}"
