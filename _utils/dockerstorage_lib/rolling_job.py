"""A rolling change from its settings to its report: new, or resumed from its record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import rolling_check, rolling_report, rolling_settings
from .adapters.rolling_record import Record
from .errors import BadInput, Refused
from .rolling import ACT, Progress, begin, note
from .rolling_fleet import Fleet
from .rolling_run import Run
from .rolling_settings import ROOT, Settings

Tell = Callable[[str], None]
#: The minions, asked with so many seconds of patience.
Open = Callable[[int], Fleet]


def run(
    action: str, given: Any, folder: Path, open_fleet: Open, now: float, tell: Tell
) -> dict[str, Any]:
    """Do it; the report. Raises BadInput or Refused with nothing changed.

    ``changed`` in it: the hosts that this run changed.
    """
    name = rolling_settings.read_name(action, given)
    record = Record(folder, name)
    with record.alone():
        settings, progress = _read(action, given, record)
        fleet = open_fleet(settings.timeout_seconds)
        if progress is None:
            plan = rolling_check.prepare(settings, fleet, now).plan
            progress = begin(plan)
            if plan.batches:
                record.begin(plan)
        elif not progress.over:
            _check_resume(settings, progress, fleet)
            line = _resume_line(settings)
            record.add(line)
            progress = note(progress, line)
        before = _acted_on(progress)
        progress = Run(settings, fleet, record, progress, tell).to_the_end()
    changed = [minion for minion in _acted_on(progress) if minion not in before]
    found = rolling_report.report(progress, name, str(record.path))
    return {**found, "changed": changed}


def _acted_on(progress: Progress) -> list[str]:
    return [one.minion for one in progress.hosts.values() if ACT in one.done]


def plan(action: str, given: Any, folder: Path, open_fleet: Open, now: float) -> dict[str, Any]:
    """What ``run`` would do, as a report; raises the same."""
    name = rolling_settings.read_name(action, given)
    record = Record(folder, name)
    settings, progress = _read(action, given, record)
    fleet = open_fleet(settings.timeout_seconds)
    if progress is None:
        prepared = rolling_check.prepare(settings, fleet, now)
        return rolling_report.planned(prepared.plan, prepared.previews, name, str(record.path))
    if not progress.over:
        _check_resume(settings, progress, fleet)
        progress = note(progress, _resume_line(settings))
    return rolling_report.report(progress, name, str(record.path), {})


def _read(action: str, given: Any, record: Record) -> tuple[Settings, Progress | None]:
    """The settings, and for a resume how far it is."""
    progress = record.read()
    if not given.get("resume"):
        settings = rolling_settings.read(action, given)
        if progress is not None and not progress.over and not settings.forget:
            raise Refused(
                f"the rolling {progress.plan.action} in {record.path} is not over. Go on with it "
                f"({ROOT}:resume: True), or begin anew ({ROOT}:forget: True)"
            )
        if settings.skip:
            raise BadInput(f"{ROOT}:skip is for a resume; leave the hosts out of tgt")
        return settings, None
    if progress is None:
        raise Refused(f"{ROOT}:resume: there is no record of a rolling {action} to go on with")
    if progress.plan.action != action:
        raise BadInput(f"{ROOT}:resume: the record is of a rolling {progress.plan.action}")
    merged = rolling_settings.merge(progress.plan.settings, given)
    settings = rolling_settings.read(action, merged)
    _check_corrections(settings, progress)
    return settings, progress


def _check_corrections(settings: Settings, progress: Progress) -> None:
    if settings.steps != progress.plan.steps:
        raise BadInput(
            f"{ROOT}:resume: hooks can be corrected, not added or taken away: the record has "
            f"{', '.join(progress.plan.steps)}"
        )
    strange = [one for one in settings.skip if one not in progress.hosts]
    if strange:
        raise BadInput(f"{ROOT}:skip: {', '.join(strange)}: not among the hosts of the record")


def _check_resume(settings: Settings, progress: Progress, fleet: Fleet) -> None:
    """What is left must answer, and the hooks must render. How far hosts are is seen at the act."""
    left = [
        minion
        for minion in progress.plan.minions
        if not progress.finished(minion) and minion not in settings.skip
    ]
    findings = rolling_check.Findings()
    for minion, answer in (fleet.ask(left, "dockerstorage.health") if left else {}).items():
        if answer.error is not None:
            findings.add(f"{answer.error}; mend it, or leave it out with {ROOT}:skip", minion)
    rolling_check.check_hooks(settings, fleet, left, findings)
    findings.refuse()


def _resume_line(settings: Settings) -> dict[str, Any]:
    return {"resume": True, "skip": list(settings.skip), "settings": dict(settings.given)}
