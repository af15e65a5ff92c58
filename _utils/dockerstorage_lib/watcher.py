"""Thin pools looked at and events told: the kernel, LVM and the memory put together."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import alert, devmapper, history, poolview, watch, watch_memory
from .adapters import dmioctl, history_file
from .devmapper import FailedTarget, ThinPoolStatus
from .errors import DockerstorageError
from .watch import Sample
from .watch_memory import Remembered
from .watch_settings import Wanted

#: Pools are looked for this often once one is known, and at each look until then.
SEARCH_SECONDS = 300.0
#: An event does without the volume group's free space if LVM takes longer.
LVM_SECONDS = 5.0

# A file that cannot be written (a full or read-only /run) must not make every look the first.
_kept: dict[Path, Remembered] = {}
_recorder = history_file.Recorder()


def look(wanted: Wanted, now: float) -> list[dict[str, Any]]:
    """Look at the pools once; the events, as plain values.

    A pool that was found and not named is forgotten, without an event, when it is gone.
    """
    before = _recall(wanted.memory)
    names, searched_at = _names(wanted.pools, before, now)
    seen = _looks(names, wanted.timeout_seconds)
    samples = [_sample(name, seen) for name in names]
    if wanted.pools is None:
        present = [one for one in samples if one.health != watch.GONE]
        # What has vanished may be back under another name: the next look searches.
        searched_at = searched_at if len(present) == len(samples) else None
        samples = present
    pools, events = {}, []
    for sample in samples:
        memory = before.pools.get(sample.pool)
        pools[sample.pool], event = watch.observe(memory, sample, wanted.settings, now)
        if event is not None:
            events.append(event)
    if wanted.memory is not None:
        sampled_at = _record(samples, before.sampled_at, now)
        fresh = Remembered(pools, searched_at, sampled_at, _recorder.trouble())
        _keep(wanted.memory, fresh)
    return [alert.as_dict(event, _vg_free_bytes(event)) for event in events]


def _names(
    chosen: tuple[str, ...] | None, before: Remembered, now: float
) -> tuple[Sequence[str], float | None]:
    if chosen is not None:
        return chosen, None
    at = before.searched_at
    if before.pools and at is not None and 0 <= now - at < SEARCH_SECONDS:
        return tuple(before.pools), at
    return dmioctl.thin_pools(), now


def _looks(names: Sequence[str], timeout_seconds: float) -> dict[str, dmioctl.Look | None]:
    """What is seen of pools by their device's name or LVM's."""
    seen = dmioctl.looks(names, timeout_seconds)
    # A plain device of that name: LVM keeps the pool below it.
    layered = {devmapper.pool_devices(name)[0]: name
               for name, look in seen.items() if look and look.target != "thin-pool"}  # fmt: skip
    if layered:
        below = dmioctl.looks(tuple(layered), timeout_seconds)
        seen = {name: look for name, look in seen.items() if name not in layered.values()}
        seen |= {layered[name]: look for name, look in below.items()}
    return seen


def _sample(name: str, seen: Mapping[str, dmioctl.Look | None]) -> Sample:
    if name not in seen:
        return Sample(name, None, absence=watch.UNRESPONSIVE)
    found = seen[name]
    if found is None or found.target != "thin-pool":
        return Sample(name, None)
    status = devmapper.parse_status(found.line)
    if not isinstance(status, (ThinPoolStatus, FailedTarget)):
        return Sample(name, None)
    return Sample(name, status, found.event_number)


def _vg_free_bytes(event: watch.Event) -> int | None:
    if event.data_percent is None:  # LVM would wait for the same disks
        return None
    try:
        volume = poolview.find_volume(event.pool, LVM_SECONDS)
    except DockerstorageError:
        return None
    return None if volume is None else volume.vg_free_bytes


def _recall(file: Path | None) -> Remembered:
    if file is None:
        return Remembered()
    return _kept.get(file) or watch_memory.load(file)


def _record(samples: Sequence[Sample], sampled_at: float | None, now: float) -> float | None:
    """Give the samples to the history if it is time; when that was done last."""
    if not history.is_due(sampled_at, now):
        return sampled_at
    rows = {
        one.pool: history.sample(one.status, now)
        for one in samples
        if isinstance(one.status, ThinPoolStatus)
    }
    if not rows:
        return sampled_at
    _recorder.offer(rows, now)
    return now


def _keep(file: Path, remembered: Remembered) -> None:
    _kept[file] = remembered
    with contextlib.suppress(OSError):  # then only a restart forgets
        watch_memory.save(file, remembered)
