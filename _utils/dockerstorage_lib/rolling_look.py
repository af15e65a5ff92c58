"""What a host is at before it is changed: busy, done already, cut half-way, or to be changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import migration
from .rolling_fleet import Answer, Fleet

POLL_SECONDS = 5.0
#: Functions that change a store: a change of ours waits for their end.
CHANGING = frozenset(
    f"dockerstorage.{name}"
    for name in "migrate commit prune import export recover reclaim orphans set_driver".split()
)

# What to do with a host.
START, RESUME, DONE = "start", "resume", "done"


@dataclass(frozen=True)
class Choice:
    """One of the above; or (None) what stands in the way."""

    act: str | None
    why: str = ""


def choose(action: str, arguments: Mapping[str, Any], look: Mapping[str, Any]) -> Choice:
    """What to do with a host that looks so. ``look`` is what ``dockerstorage.health`` returned."""
    if action == "prune":
        return Choice(START)
    wanted, at = arguments["driver"], look["migration"]
    if at is not None and at["outcome"] is None:
        if at["to"] != wanted:
            return Choice(None, f"a migration to {at['to']} is half-way on it")
        return Choice(RESUME)
    if look["driver"] is None:
        return Choice(None, "; ".join(look["problems"]) or "its storage driver is not known")
    if look["driver"] == wanted:
        return Choice(DONE)
    return Choice(START)


def facts_of(action: str, value: Any) -> tuple[dict[str, Any], str | None]:
    """What is worth keeping of an act's result, and why it failed; None if it did not."""
    if not isinstance(value, Mapping):
        return {}, f"it returned {value!r}"
    if action == "prune":
        return {
            "bytes_freed": value["bytes_freed"],
            "removed": len(value["removed"]),
            "left": len(value["skipped"]),
        }, None
    if value["outcome"] != migration.SWITCHED:
        return {}, f"the migration was {value['outcome']}: {value['failure'] or 'no reason told'}"
    return {"from": value["from"], "downtime_seconds": value["downtime_seconds"]}, None


def facts_of_done(look: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a host that was found changed."""
    at = look["migration"] or {}
    return {"from": at.get("from"), "downtime_seconds": at.get("downtime_seconds")}


def await_idle(
    fleet: Fleet, minions: Sequence[str], wait_seconds: float, sleep: Callable[[float], None]
) -> dict[str, Answer]:
    """Looks at hosts (``dockerstorage.health``) when nothing changes their stores any more."""
    until = time.monotonic() + wait_seconds
    found: dict[str, Answer] = {}
    waiting = list(minions)
    while waiting:
        # In this order: what ends in between is seen by the look.
        jobs = fleet.ask(waiting, "saltutil.is_running", ["dockerstorage.*"])
        looks = fleet.ask(waiting, "dockerstorage.health")
        busy = {minion: _at_work(jobs[minion], looks[minion]) for minion in waiting}
        found |= {minion: looks[minion] for minion in waiting if not busy[minion]}
        waiting = [minion for minion in waiting if busy[minion]]
        if waiting and time.monotonic() >= until:
            return found | {one: Answer(error=f"it is busy: {busy[one]}") for one in waiting}
        if waiting:
            sleep(POLL_SECONDS)
    return found


def _at_work(jobs: Answer, look: Answer) -> str | None:
    """What changes a host's store just now."""
    running = jobs.value if isinstance(jobs.value, list) else []
    names = [job["fun"] for job in running if job.get("fun") in CHANGING]
    if isinstance(look.value, Mapping):
        names += [f"{job['operation']} {job['subject']}" for job in look.value["jobs"]]
    return ", ".join(dict.fromkeys(names)) or None
