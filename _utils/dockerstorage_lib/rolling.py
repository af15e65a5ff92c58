"""A change of many hosts, a few at a time: who is in which batch, and what comes next. Pure.

Each host goes through the steps in their order; the hosts of a batch go through each step
together, and the next batch begins when all of them are through. After a failure no act begins
any more: those of the batch that were changed are finished, those that were only drained are put
back as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

DRAIN, ACT, HEALTH, CHECK, UNDRAIN = STEPS = ("drain", "act", "health", "check", "undrain")
#: The way out for a host that was drained and not changed: the undrain of a host to come later.
PUT_BACK = "put_back"


@dataclass(frozen=True)
class Plan:
    """What was decided before the first act, and is kept for a resume."""

    #: "migrate" or "prune"
    action: str
    #: The settings as they were given.
    settings: Mapping[str, Any]
    #: The steps that there are, in their order: a hook that is not named is none.
    steps: tuple[str, ...]
    batches: tuple[tuple[str, ...], ...]
    #: How many of the first batches are canaries.
    canary_batches: int
    #: Those that were as wanted already.
    already: tuple[str, ...] = ()
    began_at: float = 0.0

    @property
    def minions(self) -> tuple[str, ...]:
        return tuple(minion for batch in self.batches for minion in batch)


@dataclass(frozen=True)
class Host:
    """How far one host is."""

    minion: str
    #: Steps that are done.
    done: tuple[str, ...] = ()
    #: The step that was begun and has no end yet.
    begun: str | None = None
    #: The step that failed since the last resume, and why.
    failed: str | None = None
    why: str = ""
    skipped: bool = False
    #: Whether a drain was begun, be it that it failed, and nothing has put the host back since.
    drained: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Step:
    """What comes next: a step, for some hosts of one batch."""

    name: str
    minions: tuple[str, ...]


@dataclass(frozen=True)
class Progress:
    """A plan and how far it is."""

    plan: Plan
    hosts: Mapping[str, Host]

    @property
    def failed(self) -> tuple[Host, ...]:
        return tuple(one for one in self.hosts.values() if one.failed)

    @property
    def over(self) -> bool:
        """Whether nothing is left to do, not even after a resume."""
        return all(self.finished(minion) for minion in self.plan.minions)

    def finished(self, minion: str) -> bool:
        host = self.hosts[minion]
        return host.skipped or set(host.done) >= set(self.plan.steps)


def make_batches(
    minions: Iterable[str], canaries: int | Sequence[str], size: int
) -> tuple[tuple[tuple[str, ...], ...], int]:
    """Every minion once, canaries first, at most ``size`` at a time; how many batches are canaries.

    canaries: their names, or how many of the first by name.
    """
    rest = sorted(set(minions))
    first = rest[:canaries] if isinstance(canaries, int) else list(canaries)
    rest = [minion for minion in rest if minion not in first]
    groups = [
        tuple(part[start : start + size])
        for part in (first, rest)
        for start in range(0, len(part), size)
    ]
    return tuple(groups), math.ceil(len(first) / size)


def batch_size(batch: int | str, count: int) -> int:
    """How many hosts at a time: a number, or a percentage of all, at least one."""
    if isinstance(batch, int):
        return batch
    return max(1, math.floor(count * float(batch.rstrip("%")) / 100))


def begin(plan: Plan) -> Progress:
    return Progress(plan, {minion: Host(minion) for minion in plan.minions})


def plan_line(plan: Plan) -> dict[str, Any]:
    """The first line of a journal."""
    return {"plan": asdict(plan)}


def read_progress(lines: Sequence[Mapping[str, Any]]) -> Progress | None:
    """What the lines of a journal tell; None if there are none."""
    if not lines:
        return None
    kept = dict(lines[0]["plan"])
    kept["batches"] = tuple(tuple(batch) for batch in kept["batches"])
    kept["steps"], kept["already"] = tuple(kept["steps"]), tuple(kept["already"])
    progress = begin(Plan(**kept))
    for line in lines[1:]:
        progress = note(progress, line)
    return progress


def note(progress: Progress, line: Mapping[str, Any]) -> Progress:
    """The progress after one more line of the journal."""
    if "resume" in line:
        return _resumed(progress, line)
    host = progress.hosts[line["minion"]]
    facts = {**host.facts, **line.get("facts", {})}
    seconds = host.seconds + line.get("seconds", 0.0)
    if "begin" in line:
        drained = host.drained or line["begin"] == DRAIN
        host = replace(host, begun=line["begin"], facts=facts, drained=drained)
    elif "fail" in line:
        host = replace(host, begun=None, failed=line["fail"], why=line["why"], seconds=seconds)
    elif line["end"] == PUT_BACK:
        host = Host(host.minion, seconds=seconds)
    else:
        host = replace(
            host,
            begun=None,
            done=tuple(dict.fromkeys((*host.done, line["end"]))),
            drained=host.drained and line["end"] != UNDRAIN,
            facts=facts,
            seconds=seconds,
        )
    return replace(progress, hosts={**progress.hosts, host.minion: host})


def _resumed(progress: Progress, line: Mapping[str, Any]) -> Progress:
    """Failures are forgotten, and steps that were cut are to be done again."""
    skip = line.get("skip", ())
    hosts = {
        minion: replace(
            host, begun=None, failed=None, why="", skipped=host.skipped or minion in skip
        )
        for minion, host in progress.hosts.items()
    }
    plan = replace(progress.plan, settings=line.get("settings", progress.plan.settings))
    return Progress(plan, hosts)


def next_step(progress: Progress) -> Step | None:
    """What comes next; None when all is done, or after a failure all that may still be done."""
    plan = progress.plan
    for batch in plan.batches:
        open_ = [progress.hosts[minion] for minion in batch if not progress.finished(minion)]
        if not open_:
            continue
        if progress.failed:
            return _after_failure(plan, [host for host in open_ if not host.failed])
        return _earliest(plan, open_)
    return None


def _after_failure(plan: Plan, hosts: Sequence[Host]) -> Step | None:
    changed = [host for host in hosts if ACT in host.done]
    if changed:
        return _earliest(plan, changed)
    drained = tuple(host.minion for host in hosts if DRAIN in host.done)
    return Step(PUT_BACK, drained) if drained and UNDRAIN in plan.steps else None


def _earliest(plan: Plan, hosts: Sequence[Host]) -> Step:
    """The first step that any of them lacks, for all that lack it."""
    missing = {
        host.minion: next(step for step in plan.steps if step not in host.done) for host in hosts
    }
    name = min(missing.values(), key=STEPS.index)
    return Step(name, tuple(minion for minion, step in missing.items() if step == name))
