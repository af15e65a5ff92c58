"""Move a host's containers and images to another storage driver; go on with it, or go back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from . import lock, migration, migration_compare, placement, summary
from .adapters.migration_journal import Journal
from .engine_restart import Connect
from .errors import DockerstorageError, EngineUnreachable, Interrupted, Refused
from .graft import Graft
from .jobs import Job
from .migrate_steps import BEFORE, Steps, objects, prints
from .migration import STEPS, Plan, Progress
from .second_builder import Bundle

#: What must not run at the same time.
LOCKS = ("migrate", "prune", "import", "recover")


def run(plan: Plan, connect: Connect, job: Job) -> dict[str, Any]:
    """A new migration, to its end or back; raises Refused if it came to nothing."""
    journal = Journal()
    with alone():
        journal.begin(plan)
        return _forward(journal, connect, job)


def resume(connect: Connect, job: Job) -> dict[str, Any]:
    """Go on with a migration that was cut, in the direction that it had."""
    journal = Journal()
    with alone():
        progress = _unfinished(journal)
        if progress.rolling_back:
            return _backward(journal, connect, job)
        return _forward(journal, connect, job)


def roll_back(connect: Connect, job: Job, force: bool) -> dict[str, Any]:
    """Go back to the old store; raises Refused where that would lose sight of new objects."""
    journal = Journal()
    with alone():
        progress = journal.read()
        if progress is None:
            raise Refused("there is no migration that could be rolled back")
        if progress.outcome in (migration.ABANDONED, migration.ROLLED_BACK):
            raise Refused("the migration is rolled back already")
        if progress.commit_began:
            raise Refused(
                "there is no way back: a commit has begun to remove the old store. Run "
                "dockerstorage.commit again"
            )
        new = _news(progress, journal, connect)
        if new and not force:
            raise Refused(
                "this came to exist since the switch, and would be out of sight in the old store: "
                f"{_listed(new)}. Export what matters (dockerstorage.export), then say force=True"
            )
        journal.add(rollback="", facts={"new": new})
        return _backward(journal, connect, job)


def status() -> dict[str, Any] | None:
    """Where the migration of this host stands; None if there is none."""
    progress = Journal().read()
    return None if progress is None else as_dict(progress)


@contextmanager
def alone() -> Iterator[None]:
    """Nothing else changes the store meanwhile; raises Refused, naming who does."""
    with ExitStack() as stack:
        for name in LOCKS:
            stack.enter_context(lock.held(name))
        yield


def _unfinished(journal: Journal) -> Progress:
    progress = journal.read()
    if progress is None:
        raise Refused("there is no migration that could go on")
    if progress.outcome is not None:
        raise Refused(f"the migration is over: {progress.outcome}. See dockerstorage.migration")
    return progress


def _forward(journal: Journal, connect: Connect, job: Job) -> dict[str, Any]:
    progress = _begun(journal)
    steps = _steps(progress.plan, journal, connect, job)
    for name in STEPS:
        if name in progress.done:
            continue
        job.turn_to(name)
        started = time.monotonic()
        try:
            journal.add(begin=name)
            facts = steps.do(name)
        except Interrupted:
            raise  # somebody wants it to end, and will say how it goes on
        except (DockerstorageError, OSError) as error:
            raise _given_up(journal, connect, job, f"{name}: {error}") from None
        seconds = round(time.monotonic() - started, 2)
        journal.add(end=name, facts={**facts, f"{name}_seconds": seconds})
    journal.add(outcome=migration.SWITCHED)
    return as_dict(_begun(journal))


def _given_up(journal: Journal, connect: Connect, job: Job, why: str) -> Refused:
    """A step failed: back to the old store, by itself."""
    with suppress(OSError):  # a disk that cannot be written is no reason to stay half-way
        journal.add(rollback=why)
    result = _backward(journal, connect, job)
    return Refused(
        f"the migration was rolled back, since a step failed: {why}. The host is as it was, with "
        f"{result['from']}" + "".join(f"; not running: {one}" for one in result["not_running"])
    )


def _backward(journal: Journal, connect: Connect, job: Job) -> dict[str, Any]:
    progress = _begun(journal)
    plan = progress.plan
    # What containers ran on, be it for a moment, is kept: they may have written something.
    keep_new = "start" in progress.done
    job.turn_to("rolling back")
    try:
        failed = _steps(plan, journal, connect, job).roll_back(keep_new)
    except (DockerstorageError, OSError) as error:
        raise Refused(
            f"the way back to {plan.source} is not complete: {error}. Mend that, then run "
            "dockerstorage.migrate rollback=True again. Nothing of the old store was changed"
        ) from None
    outcome = migration.ABANDONED if keep_new else migration.ROLLED_BACK
    journal.add(outcome=outcome, facts={"not_running": failed, "running_at": time.time()})
    result = as_dict(_begun(journal))
    if not keep_new:
        journal.close(plan.id)
    return result


def _begun(journal: Journal) -> Progress:
    """How far it is, of a migration that has begun."""
    progress = journal.read()
    assert progress is not None
    return progress


def _steps(plan: Plan, journal: Journal, connect: Connect, job: Job) -> Steps:
    folder = placement.stage_folder(plan.root)
    graft = plan.method == "graft"
    builder = Graft(folder, job) if graft else Bundle(plan, folder, journal, connect, job)
    return Steps(plan, journal, builder, connect, job)


def _news(progress: Progress, journal: Journal, connect: Connect) -> list[dict[str, str]]:
    """What the new store has and the old one has not; nothing if the engine never served it."""
    if "start" not in progress.begun:
        return []
    try:
        now = objects(connect())
    except EngineUnreachable:
        return []
    new = migration_compare.new_objects(journal.kept(BEFORE), now)
    was, is_ = progress.facts.get("prints", {}), prints(progress.plan)
    written = [id_ for id_, one in was.items() if is_.get(id_, one) != one]
    return new + [
        {"kind": "files written by container", "id": id_, "name": _container_name(now, id_)}
        for id_ in written
    ]


def _container_name(now: dict[str, Any], id_: str) -> str:
    return str(now["containers"].get(id_, {}).get("Name", id_)).lstrip("/")


def _listed(new: list[dict[str, str]]) -> str:
    names = [f"{one['kind']} {one['name']}" for one in new]
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def as_dict(progress: Progress) -> dict[str, Any]:
    """A migration as plain values."""
    plan, facts = progress.plan, progress.facts
    stopped, running = facts.get("stopped_at"), facts.get("running_at")
    found = {
        "id": plan.id,
        "from": plan.source,
        "to": plan.target,
        "method": plan.method,
        "data_root": plan.root,
        "began_at": plan.created_at,
        "outcome": progress.outcome,
        "rolling_back": progress.rolling_back and progress.outcome is None,
        "failure": progress.failure,
        "steps": [
            {
                "step": name,
                "what": what,
                "state": _state(name, progress),
                "seconds": facts.get(f"{name}_seconds"),
            }
            for name, what in STEPS.items()
        ],
        "downtime_seconds": round(running - stopped, 1) if stopped and running else None,
        "new_objects": facts.get("new", []),
        "not_running": facts.get("not_running", []),
        "next": _next(progress),
    }
    return {**found, "summary": summary.migration_lines(found)}


def _state(name: str, progress: Progress) -> str:
    if name in progress.done:
        return "done"
    return "begun" if name in progress.begun else "to do"


def _next(progress: Progress) -> list[str]:
    """What can be done now."""
    if progress.commit_began:
        return ["dockerstorage.commit (it was cut)"]
    if progress.outcome == migration.SWITCHED:
        return [
            "dockerstorage.commit (removes the old store, when all is well)",
            "dockerstorage.migrate rollback=True (goes back to it)",
        ]
    if progress.outcome == migration.ABANDONED:
        return ["dockerstorage.commit (removes the store that was given up)"]
    if progress.outcome is not None:
        return []
    if progress.rolling_back:
        return ["dockerstorage.migrate rollback=True"]
    return ["dockerstorage.migrate resume=True", "dockerstorage.migrate rollback=True"]
