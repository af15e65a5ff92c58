"""Bring back a host that is stuck on its thin pool: look, decide, do one step, look again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from . import lock, poolview, summary
from .adapters import dmsetup, store
from .adapters.records import Record
from .errors import DockerstorageError, Incoherent
from .recover_steps import Steps
from .recovery import ANSWERS, INACTIVE, Situation, Step, plan_recovery
from .remedy import RemedyPolicy
from .stuck import Host

#: What the operator can do when a step fails; whatever was done before it stays done.
HELP = {
    "extend": "Give the volume group a disk (dockerstorage.extend device=/dev/...)",
    "end_daemon": "See 'systemctl status docker' and 'ps -eLo pid,stat,wchan,comm'",
    "end_containers": "End those processes, or boot the host",
    "unmount": "End what uses it (fuser -m), or boot the host",
    "remove_nodes": "See 'dmsetup info' and 'fuser' of the device, or boot the host",
    "release_snapshot": "See what reads the pool's metadata (thin_dump, thin_ls), and wait for it",
    "delete_deferred": "Give the volume group a disk (dockerstorage.extend device=/dev/...)",
    "deactivate": "See 'dmsetup ls --tree' for what lies on the pool, or boot the host",
    "grow_metadata": "Give the volume group a disk (vgextend), for metadata and its spare",
    "repair": "The old metadata is in place, unchanged. Give the volume group room for a larger "
    "spare (vgextend, lvextend --poolmetadatasize), or repair a copy by hand (thin_repair)",
    "activate": "The pool does not pass its check: lvconvert --repair, and see 'dmesg'",
    "start_daemon": "See 'journalctl -u docker'",
    "verify": "See 'journalctl -u docker' and 'dmesg'",
}


def run(
    host: Host,
    policy: RemedyPolicy,
    patience_seconds: float,
    now: float,
    on_progress: Callable[[dict[str, Any]], None],
    test: bool,
) -> dict[str, Any]:
    """Do what is to be done, one step after the other, or only say it.

    patience_seconds: how long a daemon may take to end and to answer; now: seconds since the epoch.
    Raises Refused if another recovery runs.
    """
    with lock.held("recover"):
        before = _figures(host.pool)
        seen = host.look()
        plan = plan_recovery(seen)
        work = _Work(host, policy, patience_seconds, now, on_progress)
        stopped = plan.obstacle if test else work.act(seen)
        result = {
            "test": test,
            "pool": host.pool,
            "before": before,
            "plan": [_step(step) for step in plan.steps],
            "done": work.done,
            "stopped": stopped,
            "recovered": stopped is None and (not test or not plan.steps),
            "kept": work.kept,
            "not_running": work.not_running,
            "advice": work.advice,
            "record": work.folder,
            "after": before if test else _figures(host.pool),
        }
        return {**result, "summary": summary.recover_lines(result)}


class _Work:
    """One run: what was done so far."""

    def __init__(
        self,
        host: Host,
        policy: RemedyPolicy,
        patience_seconds: float,
        now: float,
        on_progress: Callable[[dict[str, Any]], None],
    ) -> None:
        self.done: list[dict[str, Any]] = []
        self.kept: list[str] = []
        self.not_running: list[str] = []
        self.folder: str | None = None
        #: What is left to the operator on a host that is back.
        self.advice: str | None = None
        self._host, self._policy, self._patience = host, policy, patience_seconds
        self._now, self._on_progress = now, on_progress

    def act(self, seen: Situation) -> str | None:
        """Take steps until none is left; why it stopped before, and what the operator can do."""
        plan = plan_recovery(seen)
        if not plan.steps:
            return plan.obstacle
        try:
            record = Record("recover", self._now)
            record.note(situation=asdict(seen), plan=[_step(step) for step in plan.steps])
        except OSError as error:
            return f"nothing was done, since no record of it can be kept: {error}. Make room there"
        self.folder = str(record.folder)
        expected = set(store.containers(self._host.root))
        running = {node.container for node in seen.nodes if node.container}
        steps = Steps(self._host, self._policy, self._patience, record, self.kept)
        taken: set[Step] = set()
        while plan.steps:
            step = plan.steps[0]
            if step in taken:
                return (
                    f"{step.name} was done and is called for again: {step.why}. {HELP[step.name]}"
                )
            taken.add(step)
            failure = self._take(step, partial(steps.take, step, seen), record)
            if failure is not None:
                return failure
            self._tell(step, len(plan.steps))
            seen = self._host.look()
            plan = plan_recovery(seen)
        if plan.obstacle is not None and (seen.health, seen.daemon) != ("ok", ANSWERS):
            return plan.obstacle
        self.advice = plan.obstacle
        verify = Step("verify", "what was done is looked at again")
        return self._take(verify, partial(self._verify, seen, expected, running), record)

    def _take(self, step: Step, do: Callable[[], str], record: Record) -> str | None:
        """Take one step; why it failed, and what to do then."""
        found = _step(step)
        try:
            record.note(begin=found)
            found["result"] = do()
        except (DockerstorageError, OSError) as error:
            found["error"] = str(error)
        self.done.append(found)
        record.note(end=found)
        return f"{step.name}: {found['error']}. {HELP[step.name]}" if "error" in found else None

    def _tell(self, step: Step, left: int) -> None:
        done = len(self.done)
        self._on_progress({"done": done, "total": done + left, "step": step.name})

    def _verify(self, seen: Situation, expected: set[str], running: set[str]) -> str:
        """Look at pool and containers with the engine's eyes; raises Incoherent."""
        if seen.health != "ok" or seen.daemon != ANSWERS:
            found = f"pool {seen.health}, daemon {seen.daemon}"
            raise Incoherent("the host", "pool ok, daemon answers", found)
        containers = self._host.connect().containers()
        missing = expected - {one.id for one in containers}
        if missing:
            raise Incoherent("containers of the engine", "all of before", f"none {sorted(missing)}")
        self.not_running += [
            one.name for one in containers if one.id in running and one.state != "running"
        ]
        return f"the pool is ok, the daemon answers, its {len(containers)} containers are there"


def _step(step: Step) -> dict[str, Any]:
    return {"step": step.name, "why": step.why, "what": list(step.what)}


def _figures(pool: str) -> dict[str, Any] | None:
    if pool not in dmsetup.devices():
        return {"name": pool, "health": INACTIVE}
    return poolview.cheap_figures(pool)
