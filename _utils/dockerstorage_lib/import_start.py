"""Start the containers that ran, in the order in which they come to their old addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import recreate_compare
from .bundle import ContainerRecord
from .errors import EngineRefused
from .import_work import Note, Work
from .prune import finder
from .recreate import Known

RAN = frozenset({"running", "paused", "restarting"})


def start_order(records: Iterable[ContainerRecord], documents: Mapping[str, Mapping[str, Any]],
                needs: Mapping[str, tuple[str, ...]]) -> list[ContainerRecord]:  # fmt: skip
    """Those that ran: what others need first, and else by old address.

    documents and needs by container id; needs are names or ids.
    """
    waiting = sorted(
        (one for one in records if one.state in RAN),
        key=lambda one: recreate_compare.address_key(documents[one.id]),
    )
    find = finder(waiting)
    ordered: list[ContainerRecord] = []
    while waiting:
        left = {one.id for one in waiting}
        ready = (
            one for one in waiting
            if not any(need is not None and need.id in left - {one.id}
                       for need in map(find, needs[one.id]))
        )  # fmt: skip
        # What is left over needs one another in a circle.
        chosen = next(ready, waiting[0])
        waiting.remove(chosen)
        ordered.append(chosen)
    return ordered


def start_containers(work: Work) -> None:
    """Start what ran and came from the bundle, if it never ran here; what does not start is noted.

    Also what an earlier, broken off import has made.
    """
    made = {known.id: known.new_id for known in work.containers if _is_new(known, work)}
    records = [one for one in work.plan.choice.containers if one.id in made]
    documents = {one.id: work.contents.document(one) for one in records}
    needs = {one.id: work.contents.container(one).needs for one in records}
    for record in start_order(records, documents, needs):
        step = work.plan.step("container", record.id)
        assert step is not None
        work.job.turn_to(f"starting container {step.new_name}")
        try:
            work.engine.start(made[record.id])
            if record.state == "paused":
                work.engine.pause(made[record.id])
        except EngineRefused as refused:
            work.outcome.not_started.append(Note("container", step.new_name, refused.message))
            continue
        work.outcome.started.append(step.new_name)
        found = work.engine.document("container", made[record.id]) or {}
        moved = recreate_compare.moved_addresses(documents[record.id], found, work.names())
        for text in moved:
            work.note(step, text)


def _is_new(known: Known, work: Work) -> bool:
    step = work.plan.step("container", known.id)
    if step is None or step.action == "skip":
        return False
    now = work.engine.container(known.new_id)
    return now is not None and now.state == "created"
