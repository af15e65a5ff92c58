"""Carry out a prune's plan, one object at a time, each looked at again right before it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .adapters.engine import Engine
from .errors import DockerstorageError, EngineRefused
from .objects import CacheRecord, Container, Image, Network, Object, Volume, real_names
from .policy import repository
from .prune import Plan, Removal


@dataclass(frozen=True)
class Skipped:
    """A removal that was planned and not carried out."""

    removal: Removal
    why: str


@dataclass
class Outcome:
    """What became of a plan."""

    removed: list[Removal] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    #: Why it ended before the end of the plan; None if it did not.
    stopped: str | None = None
    #: The engine went away: what is not in removed may or may not be gone.
    broken_off: bool = False


def apply_prune(
    plan: Plan,
    engine: Engine,
    enough: Callable[[], str | None],
    on_progress: Callable[[Outcome], None],
) -> Outcome:
    """Remove what the plan says, as long as it still is what the plan saw.

    enough is asked before each removal and says why to stop, or None; on_progress is told
    after each. Nothing is forced: what the engine refuses is skipped, with its reason.
    """
    outcome = Outcome()
    for removal in plan.remove:
        try:
            outcome.stopped = enough()
            if outcome.stopped:
                break
            why_not = _remove(removal.seen, engine)
        except EngineRefused as refused:
            why_not = f"the engine refused: {refused.message}"
        except DockerstorageError as gone:  # the engine, or with it the pool
            outcome.stopped, outcome.broken_off = str(gone), True
            break
        if why_not is None:
            outcome.removed.append(removal)
        else:
            outcome.skipped.append(Skipped(removal, why_not))
        on_progress(outcome)
    return outcome


def _remove(seen: Object, engine: Engine) -> str | None:
    """Remove one object; return why it was left instead, if it was."""
    if isinstance(seen, Container):
        return _remove_container(seen, engine)
    if isinstance(seen, Image):
        return _remove_image(seen, engine)
    if isinstance(seen, Network):
        return _remove_network(seen, engine)
    if isinstance(seen, Volume):
        return _remove_volume(seen, engine)
    return _remove_cache_record(seen, engine)


GONE = "it was already gone"


def _remove_container(seen: Container, engine: Engine) -> str | None:
    now = engine.container(seen.id)
    if now != seen:
        return GONE if now is None else f"it changed since the plan: it is {now.state}"
    engine.remove_container(seen.id)
    return None


def _remove_network(seen: Network, engine: Engine) -> str | None:
    now = engine.network(seen.id)
    if now != seen:
        return GONE if now is None else "it changed since the plan"
    # The engine itself counts running containers only, and would let a stopped one's network go.
    if engine.containers_on_network(seen):
        return "a container uses it since the plan"
    engine.remove_network(seen.id)
    return None


def _remove_volume(seen: Volume, engine: Engine) -> str | None:
    now = engine.volume(seen.name)
    if now != seen:
        return GONE if now is None else "it changed since the plan"
    engine.remove_volume(seen.name)
    return None


def _remove_cache_record(seen: CacheRecord, engine: Engine) -> str | None:
    return None if engine.remove_cache_record(seen.id) else "it is in use, or already gone"


def _remove_image(seen: Image, engine: Engine) -> str | None:
    now = engine.image(seen.id)
    if now is None:
        return GONE
    names = real_names(now.get("RepoTags")), real_names(now.get("RepoDigests"))
    if names != (seen.tags, seen.digests):
        return (
            f"it changed since the plan: its names are {', '.join(names[0] + names[1]) or 'none'}"
        )
    # Taking a tag away from an image with several is never refused, even if a container uses it.
    if engine.containers_of_image(seen.id):
        return "a container uses it since the plan"
    _untag_and_remove(seen, engine)
    return None


def _untag_and_remove(seen: Image, engine: Engine) -> None:
    """Take away every name but the last, then the image by its id; put the names back if it stays.

    By its id the engine removes an image together with a last tag, or refuses before it touches
    anything: a name that meanwhile points to another image is safe.
    """
    taken: list[str] = []
    try:
        for name in _further_names(seen):
            now = engine.image(name)
            if now is not None and now["Id"] == seen.id:
                engine.remove_image(name)
                taken.append(name)
        engine.remove_image(seen.id)
    except EngineRefused as refused:
        if engine.image(seen.id) is None:
            if refused.status == 404:
                return  # somebody else removed it
            raise
        for tag in taken:
            # A digest cannot be given by hand.
            if "@" not in tag and engine.image(tag) is None:
                engine.tag(seen.id, tag)
        raise


def _further_names(seen: Image) -> tuple[str, ...]:
    """What must go before the engine removes an image by its id: all but one tag of one repository.

    Digests of that repository go along with it.
    """
    tags, digests = seen.tags[:-1], seen.digests
    last = (*seen.digests, *seen.tags)[-1:]
    home = [repository(name) for name in last]
    return (*tags, *(name for name in digests if repository(name) not in home))
