"""Carry out a rolling change, step by step, each written down before it begins and when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import rolling, rolling_look
from .adapters.rolling_record import Record
from .rolling import ACT, HEALTH, PUT_BACK, UNDRAIN, Progress, Step
from .rolling_check import hook_pillar, targets_of
from .rolling_fleet import Answer, Fleet, is_busy, state_failure
from .rolling_settings import Settings


@dataclass
class Run:
    """One run over what is left of a plan."""

    settings: Settings
    fleet: Fleet
    record: Record
    progress: Progress
    #: Told of each step, for a log.
    tell: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep

    def to_the_end(self) -> Progress:
        """Do all that is left, or after a failure what may still be done."""
        at = None
        while (step := rolling.next_step(self.progress)) is not None:
            batch = self._batch_of(step.minions[0])
            if at not in (None, batch):
                self.sleep(self.settings.pause_seconds)
            at = batch
            self.tell(f"{step.name}: {', '.join(step.minions)}")
            self._perform(step)
        return self.progress

    def _batch_of(self, minion: str) -> int:
        batches = self.progress.plan.batches
        return next(number for number, batch in enumerate(batches) if minion in batch)

    def _perform(self, step: Step) -> None:
        if step.name == ACT:
            self._act(step.minions)
            return
        for minion in step.minions:
            started = time.monotonic()
            self._note(begin=step.name, minion=minion)
            why = self._check_health(minion) if step.name == HEALTH else self._hook(step, minion)
            if why:
                self._fail(minion, step.name, why, started)
                if step.name == rolling.DRAIN:
                    return  # no other is taken out of service for nothing
            else:
                self._end(minion, step.name, started)

    # -- the act

    def _act(self, minions: Sequence[str]) -> None:
        """Begin it on all of them at once; those that are found changed already are not touched."""
        started = time.monotonic()
        looks = rolling_look.await_idle(self.fleet, minions, self.settings.wait_seconds, self.sleep)
        ways: dict[str, list[str]] = {rolling_look.START: [], rolling_look.RESUME: []}
        for minion, look in looks.items():
            choice = self._choose(look)
            if choice.act is None:
                self._fail(minion, ACT, choice.why, started)
            elif choice.act == rolling_look.DONE:
                self._end(minion, ACT, started, **rolling_look.facts_of_done(look.value))
            else:
                running = look.value["running"]
                if choice.act == rolling_look.RESUME:  # containers are stopped on the way
                    running = self.progress.hosts[minion].facts.get("running", [])
                self._note(begin=ACT, minion=minion, facts={"running": running})
                ways[choice.act].append(minion)
        for way, group in ways.items():
            if group:
                self._call(way, group, started)

    def _choose(self, look: Answer) -> rolling_look.Choice:
        if look.error is not None:
            return rolling_look.Choice(None, look.error)
        return rolling_look.choose(self.settings.action, self.settings.arguments, look.value)

    def _call(self, way: str, minions: Sequence[str], started: float) -> None:
        resumed = way == rolling_look.RESUME
        named = {"resume": True} if resumed else self.settings.arguments
        answers = self.fleet.ask(minions, f"dockerstorage.{self.settings.action}", **named)
        silent = [minion for minion, answer in answers.items() if answer.silent]
        for minion in minions:
            if minion not in silent:
                self._read_act(minion, answers[minion], started)
        self._seek(silent, started)

    def _read_act(self, minion: str, answer: Answer, started: float) -> None:
        facts: Mapping[str, Any] = {}
        why = answer.error
        if why is None:
            facts, why = rolling_look.facts_of(self.settings.action, answer.value)
        if why:
            self._fail(minion, ACT, why, started)
        else:
            self._end(minion, ACT, started, **facts)

    def _seek(self, minions: Sequence[str], started: float) -> None:
        """A minion that was too busy to say that it still works may be at it, or be done."""
        looks = rolling_look.await_idle(self.fleet, minions, self.settings.wait_seconds, self.sleep)
        for minion, look in looks.items():
            migrates = self.settings.action == "migrate"
            if migrates and self._choose(look).act == rolling_look.DONE:
                self._end(minion, ACT, started, **rolling_look.facts_of_done(look.value))
            else:
                why = "no answer came; a resume looks how far it is before it does anything"
                self._fail(minion, ACT, why, started)

    # -- what is around it

    def _check_health(self, minion: str) -> str | None:
        """Why a host does not serve as it should."""
        seconds = self.settings.health_seconds
        expected = self.progress.hosts[minion].facts.get("running", [])
        answer = self.fleet.ask(
            [minion], "dockerstorage.health", expected=expected, wait=f"{seconds:g}s"
        )[minion]
        if answer.error is not None:
            return answer.error
        if not answer.value["healthy"]:
            return "; ".join(answer.value["problems"])
        late = ", ".join(answer.value["starting"])
        return f"health checks have not passed within {seconds:g} s: {late}" if late else None

    def _hook(self, step: Step, minion: str) -> str | None:
        """Why a hook failed."""
        name = UNDRAIN if step.name == PUT_BACK else step.name
        for hook in self.settings.hooks_of(name):
            targets = targets_of(hook, [minion], self.fleet)
            if not targets:
                return f"{hook.tgt!r} ({hook.tgt_type}) is no minion any more"
            pillar = hook_pillar(hook, self.settings, minion)
            for target, answer in self._apply(targets, hook.sls, pillar, hook.saltenv).items():
                why = state_failure(answer)
                if why:
                    return f"{', '.join(hook.sls)} on {target}: {why}"
        return None

    def _apply(
        self, targets: Sequence[str], sls: Sequence[str], pillar: Mapping[str, Any], saltenv: str
    ) -> dict[str, Answer]:
        """Apply states; a minion that applies others is asked again until it is through."""
        until = time.monotonic() + self.settings.wait_seconds
        found: dict[str, Answer] = {}
        waiting = list(targets)
        while waiting:
            answers = self.fleet.ask(
                waiting, "state.sls", [list(sls)], pillar=pillar, saltenv=saltenv
            )
            late = time.monotonic() >= until
            found |= {one: a for one, a in answers.items() if late or not is_busy(a)}
            waiting = [one for one in waiting if one not in found]
            if waiting:
                self.sleep(rolling_look.POLL_SECONDS)
        return found

    # -- the record

    def _end(self, minion: str, step: str, started: float, **facts: Any) -> None:
        self._note(end=step, minion=minion, seconds=_since(started), facts=facts)

    def _fail(self, minion: str, step: str, why: str, started: float) -> None:
        self.tell(f"{step} of {minion} failed: {why}")
        self._note(fail=step, minion=minion, why=why, seconds=_since(started))

    def _note(self, **line: Any) -> None:
        self.record.add(line)
        self.progress = rolling.note(self.progress, line)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 1)
