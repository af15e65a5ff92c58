"""Act on a thin pool that fills up: look, decide, do one thing, look again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from . import extend, lock, poolview
from .adapters import dmsetup
from .adapters.engine import Engine
from .devmapper import ThinPoolStatus
from .errors import BadInput, DockerstorageError, Refused
from .gather import read_site
from .recovery import EXHAUSTED
from .remedy import (
    Condition,
    Remedy,
    RemedyPolicy,
    growth_only,
    in_need,
    next_remedy,
    solved,
)

#: Removes what may go until the pool is at the policy's target; returns the prune's result.
Prune = Callable[[], dict[str, Any]]
#: How long one run waits for another, or for one that changes the pool: what it came for may have
#: happened after that one's last look. A fraction of the minute that writers wait for room.
TURN_SECONDS = 10.0
WRITES_FAILED = (
    "writes had waited for room for too long, and the kernel has failed them: look at what the "
    "containers wrote last"
)


def run(
    pool: str,
    policy: RemedyPolicy,
    connect: Callable[[], Engine],
    prune: Prune,
    test: bool,
) -> dict[str, Any]:
    """Do what is to be done about a pool, one remedy after the other, until it is well.

    Raises Refused if another run goes on and on. A pool that takes no writes any more is extended
    even then, and no cool-down holds for it: its writers cannot wait.
    """
    busy = ""
    with ExitStack() as stack:
        if not test:
            try:
                stack.enter_context(lock.held("remediate", TURN_SECONDS))
            except Refused as error:
                if dmsetup.pool_status(pool).health not in EXHAUSTED:
                    raise
                busy = str(error)
        work = Work(pool, growth_only(policy) if busy else policy, connect, prune)
        before = poolview.cheap_figures(pool)
        decision = work.next()
        waiting = 0 if before["health"] in EXHAUSTED else _cooldown_left(pool, policy)
        if isinstance(decision, Remedy) and waiting > 0:
            decision = (
                f"the last remedy was less than {policy.cooldown_seconds:g} s ago: nothing is done "
                f"for another {waiting:.0f} s"
            )
        elif isinstance(decision, Remedy) and not test:
            _mark(pool).touch()
            decision = work.act(decision)
        text = _as_text(decision)
        if busy:
            text += f" (no prune now: {busy})"
        if before.get("writes_failed"):
            text += f"; {WRITES_FAILED}"
        return {
            "test": test,
            "pool": pool,
            "before": before,
            "decision": text,
            "done": work.done,
            "solved": work.solved(),
            "after": poolview.cheap_figures(pool),
        }


class Work:
    """One run: what was tried so far, and with what result."""

    def __init__(
        self, pool: str, policy: RemedyPolicy, connect: Callable[[], Engine], prune: Prune
    ) -> None:
        self.done: list[dict[str, Any]] = []
        self._pool, self._policy, self._prune = pool, policy, prune
        self._prunable = pool_of_engine(connect) == pool
        self._tried: set[str] = set()  # disks

    def next(self, tried: Sequence[Remedy] = ()) -> Remedy | str:
        """What is to be done about the pool as it is now, or why nothing is."""
        return next_remedy(self._look(), self._policy, tried)

    def solved(self) -> bool:
        """Whether the pool is well now."""
        return solved(self._look(), self._policy)

    def _look(self) -> Condition:
        status = dmsetup.pool_status(self._pool)
        alive = status if isinstance(status, ThinPoolStatus) else None
        try:
            volume = extend.find_volume(self._pool)
        except BadInput:
            volume = None
        return Condition(
            health=status.health,
            data_percent=alive.data_percent if alive else 0.0,
            metadata_percent=alive.metadata_percent if alive else 0.0,
            prunable=self._prunable,
            extensible=volume is not None,
            vg_free_bytes=volume.vg_free_bytes if volume else 0,
            spares=tuple(self._spares()),
        )

    def act(self, remedy: Remedy | str) -> str:
        """Carry out remedies until none is left or needed; the last word."""
        tried: list[Remedy] = []
        while isinstance(remedy, Remedy):
            tried.append(remedy)
            record = {"remedy": remedy.kind, "part": remedy.part, "why": remedy.why}
            try:
                record["result"] = self._do(remedy)
            except DockerstorageError as error:
                record["error"] = str(error)
            self.done.append(record)
            remedy = self.next(tried)
        return remedy

    def _do(self, remedy: Remedy) -> str:
        if remedy.kind == "prune":
            result = self._prune()
            return f"{len(result['removed'])} objects removed, {result['bytes_freed']} bytes freed"
        disks = self._spares()[:1] if remedy.kind == "spare" else []
        self._tried.update(disks)
        with lock.held("pool", TURN_SECONDS):
            if not in_need(self._look(), self._policy, remedy.part):
                return "not needed any more"
            volume = extend.find_volume(self._pool)
            extension = extend.plan_extension(
                volume, remedy.part, self._policy.target_percent, disks
            )
            extend.apply_extension(extension)
        taken = f" with {disks[0]}" if disks else ""
        return f"{remedy.part} extended by {extension.growth.grow_bytes} bytes{taken}"

    def _spares(self) -> list[str]:
        """Declared disks that are in no volume group, and not tried in this run."""
        untaken = extend.untaken(self._policy.spare_devices)
        return [one for one in untaken if one not in self._tried]


def pool_of_engine(connect: Callable[[], Engine]) -> str | None:
    """The pool that the engine answers for; None if it does not answer."""
    try:
        return read_site(connect().info()).pool
    except DockerstorageError:
        return None


def _cooldown_left(pool: str, policy: RemedyPolicy) -> float:
    """Seconds until a remedy may be tried again."""
    try:
        since = time.time() - _mark(pool).stat().st_mtime
    except FileNotFoundError:
        return 0
    # A clock that was set back does not stop remedies for long.
    return max(policy.cooldown_seconds - since, 0) if since >= 0 else 0


def _mark(pool: str) -> Path:
    """A file whose time is that of the last remedy; gone with the boot, as the lock."""
    return lock.FOLDER / f"remediate-{pool}"


def _as_text(decision: Remedy | str) -> str:
    if isinstance(decision, str):
        return decision
    return f"{decision.kind} for {decision.part}: {decision.why}"
