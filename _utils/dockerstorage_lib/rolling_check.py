"""What is looked at before the first host is touched; all that is wrong is told at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import health, rolling_look
from .errors import BadInput, Refused
from .rolling import Plan, batch_size, make_batches
from .rolling_fleet import Answer, Fleet
from .rolling_settings import ROOT, Hook, Settings


@dataclass(frozen=True)
class Prepared:
    """A plan that may be carried out, and what each host says of its part."""

    plan: Plan
    #: What each host's act returned in test mode.
    previews: Mapping[str, Any]


@dataclass
class Findings:
    """What stands in the way, and on which hosts."""

    rows: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, what: str, minion: str | None = None) -> None:
        self.rows[what] += [minion] if minion else []

    def refuse(self) -> None:
        """Raise Refused with all of them, if there are any."""
        if self.rows:
            told = [
                f"{', '.join(sorted(set(minions)))}: {what}" if minions else what
                for what, minions in self.rows.items()
            ]
            raise Refused("\n".join(["nothing was changed:", *(f"- {one}" for one in told)]))


def prepare(settings: Settings, fleet: Fleet, now: float) -> Prepared:
    """Look at every host; raises BadInput or Refused, with nothing changed."""
    minions = _matched(settings, fleet)
    findings = Findings()
    looks = _looks(fleet, minions, findings)
    choices = {
        minion: rolling_look.choose(settings.action, settings.arguments, look)
        for minion, look in looks.items()
    }
    already = [one for one, choice in choices.items() if choice.act == rolling_look.DONE]
    changing = [minion for minion in choices if minion not in already]
    ready = []
    for minion in changing:
        wrong = _judge(settings, looks[minion], choices[minion])
        for why in wrong:
            findings.add(why, minion)
        ready += [] if wrong else [minion]
    previews = preview(settings, fleet, ready, findings)
    check_hooks(settings, fleet, changing, findings)
    findings.refuse()
    return Prepared(_planned(settings, changing, already, now), previews)


def _planned(
    settings: Settings, changing: Sequence[str], already: Sequence[str], now: float
) -> Plan:
    canaries = settings.canary
    if not isinstance(canaries, int):
        canaries = tuple(minion for minion in canaries if minion in changing)
    size = batch_size(settings.batch, len(changing))
    batches, canary_batches = make_batches(changing, canaries, size)
    return Plan(
        settings.action,
        settings.given,
        settings.steps,
        batches,
        canary_batches,
        tuple(already),
        now,
    )


def _matched(settings: Settings, fleet: Fleet) -> list[str]:
    minions = sorted(fleet.match(settings.tgt, settings.tgt_type))
    if not minions:
        raise BadInput(
            f"{ROOT}:tgt: {settings.tgt!r} ({settings.tgt_type}) is no minion whose key is accepted"
        )
    named = settings.tgt if isinstance(settings.tgt, tuple) else ()
    canaries = settings.canary if isinstance(settings.canary, tuple) else ()
    for key, names in (("tgt", named), ("canary", canaries)):
        strange = [name for name in names if name not in minions]
        if strange:
            raise BadInput(
                f"{ROOT}:{key}: {', '.join(strange)}: not among the minions that are meant "
                f"({', '.join(minions)})"
            )
    return minions


def _looks(fleet: Fleet, minions: Sequence[str], findings: Findings) -> dict[str, Any]:
    answers = fleet.ask(minions, "dockerstorage.health")
    for minion, answer in answers.items():
        if answer.silent:
            findings.add("no answer; is the minion up? Leave it out, or mend it", minion)
        elif answer.error is not None:
            hint = " (run saltutil.sync_all, restart the minion)" if _unknown(answer) else ""
            findings.add(f"{answer.error}{hint}", minion)
    return {minion: answer.value for minion, answer in answers.items() if answer.error is None}


def _unknown(answer: Answer) -> bool:
    return "is not available" in str(answer.error)


def _judge(
    settings: Settings, look: Mapping[str, Any], choice: rolling_look.Choice
) -> Sequence[str]:
    """What is wrong with a host before, and could not be told from what the change does to it."""
    if choice.act == rolling_look.RESUME:
        return [
            "a migration is half-way on it: dockerstorage.migrate resume=True, or rollback=True"
        ]
    # A prune is there to make room.
    borne = {health.POOL_FULL} if settings.action == "prune" else set()
    if set(look["kinds"]) - borne:
        return list(look["problems"])
    return [choice.why] if choice.act is None else []


def preview(
    settings: Settings, fleet: Fleet, minions: Sequence[str], findings: Findings
) -> dict[str, Any]:
    """What each host's act says in test mode: its plan, or what stands in its way."""
    if not minions:
        return {}
    found = {}
    function = f"dockerstorage.{settings.action}"
    answers = fleet.ask(minions, function, **{**settings.arguments, "test": True})
    for minion, answer in answers.items():
        if answer.error is not None:
            findings.add(answer.error, minion)
            continue
        found[minion] = answer.value
        for obstacle in answer.value.get("obstacles", ()):
            findings.add(obstacle, minion)
    return found


def check_hooks(
    settings: Settings, fleet: Fleet, minions: Sequence[str], findings: Findings
) -> None:
    """Whether all hooks have minions that answer, and sls that render there.

    They are rendered with the pillar that they get for the first host.
    """
    for hook in settings.hooks if minions else ():
        path = f"{ROOT}:{hook.step}"
        targets = targets_of(hook, minions, fleet)
        if not targets:
            findings.add(f"{path}:tgt: {hook.tgt!r} ({hook.tgt_type}) is no minion")
            continue
        answers = fleet.ask(
            targets,
            "state.show_sls",
            [list(hook.sls)],
            pillar=hook_pillar(hook, settings, minions[0]),
            saltenv=hook.saltenv,
        )
        for minion, answer in answers.items():
            why = _unrendered(answer)
            if why:
                findings.add(f"{path}: {', '.join(hook.sls)} does not render: {why}", minion)


def _unrendered(answer: Answer) -> str | None:
    if answer.error is not None:
        return answer.error
    if isinstance(answer.value, Mapping):
        return None
    # A list of errors; ``state.sls_exists`` says no more than False then.
    lines = answer.value if isinstance(answer.value, list) else [answer.value]
    return " ".join(" ".join(map(str, lines)).split())


def targets_of(hook: Hook, minions: Sequence[str], fleet: Fleet) -> list[str]:
    """The minions that a hook for these hosts runs on."""
    return list(minions) if hook.tgt is None else sorted(fleet.match(hook.tgt, hook.tgt_type))


def hook_pillar(hook: Hook, settings: Settings, minion: str) -> dict[str, Any]:
    """What a hook's states are told: their own pillar, and which host it is about."""
    about = {"minion": minion, "step": hook.step, "action": settings.action}
    return {**hook.pillar, "dockerstorage": {"rolling": about}}
