"""Act on a thin pool that fills up: look, decide, do one thing, look again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import extend, lock, poolview
from .adapters import dmsetup
from .adapters.engine import Engine
from .devmapper import ThinPoolStatus
from .errors import BadInput, DockerstorageError
from .gather import read_site
from .remedy import Condition, Remedy, RemedyPolicy, next_remedy, solved

#: Removes what may go until the pool is at the policy's target; returns the prune's result.
Prune = Callable[[], dict[str, Any]]


def run(
    pool: str,
    policy: RemedyPolicy,
    connect: Callable[[], Engine],
    prune: Prune,
    now: float,
    test: bool,
) -> dict[str, Any]:
    """Do what is to be done about a pool, one remedy after the other, until it is well.

    now: seconds since the epoch. Raises Refused if another remedy is under way.
    """
    with lock.held("remediate"):
        work = Work(pool, policy, connect, prune)
        before = poolview.cheap_figures(pool)
        decision = next_remedy(work.look(), policy)
        waiting = cooldown_left(pool, policy, now)
        if isinstance(decision, Remedy) and waiting > 0:
            decision = (
                f"the last remedy was less than {policy.cooldown_seconds:g} s ago: nothing is done "
                f"for another {waiting:.0f} s"
            )
        elif isinstance(decision, Remedy) and not test:
            _mark(pool).touch()
            decision = work.act(decision)
        return {
            "test": test,
            "pool": pool,
            "before": before,
            "decision": _as_text(decision),
            "done": work.done,
            "solved": solved(work.look(), policy),
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

    def look(self) -> Condition:
        """The pool as it is now."""
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
            remedy = next_remedy(self.look(), self._policy, tried)
        return remedy

    def _do(self, remedy: Remedy) -> str:
        if remedy.kind == "prune":
            result = self._prune()
            return f"{len(result['removed'])} objects removed, {result['bytes_freed']} bytes freed"
        disks = self._spares()[:1] if remedy.kind == "spare" else []
        self._tried.update(disks)
        with lock.held("pool"):
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


def cooldown_left(pool: str, policy: RemedyPolicy, now: float) -> float:
    """Seconds until a remedy may be tried again."""
    try:
        since = now - _mark(pool).stat().st_mtime
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
