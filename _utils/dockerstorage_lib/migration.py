"""A migration as values: what it is to do, how far it is, and what can be done next. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .errors import Unparsable

METHODS = ("graft", "bundle")
#: In this order; a rollback undoes those that were begun, the last first.
STEPS = {
    "stage": "write the new store beside the old one, while the engine serves",
    "stop": "stop the engine and its containers, and keep it from starting",
    "graft": "bring the new store up to date, and add what containers changed",
    "place": "move the new store to where the engine looks for it",
    "mark": "tell each container its new storage driver",
    "configure": "change the engine's configuration",
    "start": "start the engine",
    "verify": "compare all objects with those of before, start what ran",
}
#: Of its own command, when all steps are done.
COMMIT = "commit"
#: Outcomes: the new store serves, and the old one waits for a commit; the old one serves again;
#: so does it, and what was new in the new store waits for a commit; the old one is gone.
SWITCHED, ROLLED_BACK, ABANDONED, COMMITTED = "switched", "rolled back", "abandoned", "committed"


@dataclass(frozen=True)
class Plan:
    """What a migration is to do; all that its steps need after a boot."""

    id: str
    root: str
    source: str
    target: str
    options: tuple[str, ...]
    method: str
    engine_version: str
    #: Seconds since the epoch.
    created_at: float
    #: The change of the engine's configuration, as its own module writes it down.
    change: Mapping[str, Any]
    #: Device-mapper name of the old pool, and for loop-lvm its block size in sectors.
    pool: str | None = None
    loop_block_sectors: int | None = None
    #: Directories of an empty store that lie where the new one comes to.
    leftovers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """What the journal says."""

    plan: Plan
    begun: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    rolling_back: bool = False
    #: Why it was rolled back, if it did so by itself.
    failure: str | None = None
    outcome: str | None = None
    #: What steps found out, for later steps and for the report.
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def commit_began(self) -> bool:
        """Whether a part of the store that goes may be gone."""
        return COMMIT in self.begun

    @property
    def downtime_began(self) -> bool:
        return "blocked" in self.facts


def plan_line(plan: Plan) -> dict[str, Any]:
    """The first line of a journal."""
    return {"plan": asdict(plan)}


def read_progress(text: str) -> Progress | None:
    """Read a journal; a line that was cut off at the end was never acted upon.

    None if not even the plan is whole. Raises Unparsable.
    """
    whole, _, _ = text.rpartition("\n")
    progress = None
    for line in whole.splitlines():
        try:
            found = json.loads(line)
            progress = _read(progress, found)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Unparsable("the migration's journal", line[:200]) from None
    return progress


def _read(progress: Progress | None, line: Mapping[str, Any]) -> Progress:
    if "plan" in line:
        plan = line["plan"]
        lists = {name: tuple(plan[name]) for name in ("options", "leftovers")}
        return Progress(Plan(**{**plan, **lists}))
    if progress is None:
        raise ValueError("it begins without a plan")
    values = vars(progress) | {"facts": {**progress.facts, **line.get("facts", {})}}
    if "begin" in line:
        values["begun"] = (*progress.begun, line["begin"])
    if "end" in line:
        values["done"] = (*progress.done, line["end"])
    if "rollback" in line:
        # Also of one that was over: until it is rolled back it is neither.
        values |= {"rolling_back": True, "failure": line["rollback"] or progress.failure}
        values["outcome"] = None
    if "outcome" in line:
        values["outcome"] = line["outcome"]
    return Progress(**values)
