"""What to do about a thin pool that fills up: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .errors import BadInput
from .policy import ARGUMENTS as POLICY_ARGUMENTS
from .policy import read_age, read_percent, texts

REMEDIES = ("prune", "extend", "spare")
#: A remedy has done enough when it is this far below the trigger: nearer, it would be called again
#: at once. The beacon leaves a level by the same margin.
MARGIN_PERCENT = 5.0


@dataclass(frozen=True)
class RemedyPolicy:
    """What may be done, in which order, and how far."""

    #: Fill of data or metadata from which something is done.
    trigger_percent: float = 80.0
    #: Fill that a remedy aims at.
    target_percent: float = 60.0
    order: tuple[str, ...] = REMEDIES
    cooldown_seconds: float = 60.0
    #: Disks that may be given to the volume group.
    spare_devices: tuple[str, ...] = ()
    #: Arguments of ``dockerstorage.prune``.
    prune: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Condition:
    """A pool as a remedy sees it."""

    health: str
    data_percent: float
    metadata_percent: float
    #: The engine answers for it: its images and containers can be pruned.
    prunable: bool
    #: LVM knows it, with so many bytes free in its volume group.
    extensible: bool
    vg_free_bytes: int
    #: Declared disks that are not taken yet.
    spares: tuple[str, ...]


@dataclass(frozen=True)
class Remedy:
    """One thing to do, and why."""

    #: "prune", "extend" or "spare"
    kind: str
    #: "data" or "metadata"; a prune is for both.
    part: str
    why: str


PRUNE_ARGUMENTS = frozenset(POLICY_ARGUMENTS) - {"until_percent"}  # which is target_percent
KEYS = frozenset("trigger_percent target_percent order cooldown spare_devices prune".split())


def read_policy(given: Mapping[str, Any]) -> RemedyPolicy:
    """Check a policy and read it; raises BadInput, naming the key."""
    values = dict(given)
    unknown = set(values) - KEYS
    if unknown:
        raise BadInput(
            f"{', '.join(sorted(unknown))}: no key of the policy; these are: "
            f"{', '.join(sorted(KEYS))}"
        )
    policy = RemedyPolicy(
        trigger_percent=read_percent(values.get("trigger_percent", 80), "trigger_percent"),
        target_percent=read_percent(values.get("target_percent", 60), "target_percent"),
        order=texts("order", values.get("order", list(REMEDIES))),
        cooldown_seconds=read_age(values.get("cooldown", 60), "cooldown"),
        spare_devices=texts("spare_devices", values.get("spare_devices")),
        prune=values.get("prune") or {},
    )
    wrong = set(policy.order) - set(REMEDIES)
    if wrong or len(set(policy.order)) != len(policy.order):
        raise BadInput(
            f"order: {list(policy.order)!r}: name each of {', '.join(REMEDIES)} at most once"
        )
    if not 1 <= policy.target_percent < policy.trigger_percent:
        raise BadInput(
            f"target_percent: {policy.target_percent:g} must be at least 1 and less than "
            f"trigger_percent ({policy.trigger_percent:g})"
        )
    if not isinstance(policy.prune, dict) or set(policy.prune) - PRUNE_ARGUMENTS:
        raise BadInput(
            f"prune: {policy.prune!r} is no mapping of arguments of dockerstorage.prune: "
            f"{', '.join(sorted(PRUNE_ARGUMENTS))}"
        )
    return policy


def growth_only(policy: RemedyPolicy) -> RemedyPolicy:
    """The same without a prune."""
    return replace(policy, order=tuple(kind for kind in policy.order if kind != "prune"))


def in_need(seen: Condition, policy: RemedyPolicy, part: str) -> bool:
    """Whether a part of the pool is not well below the trigger yet."""
    return part in _parts_in_need(seen, policy, begun=True)


HOPELESS = {
    "needs_check": "its metadata must be checked before anything can be written: run "
    "dockerstorage.recover",
    "failed": "the kernel gave it up: mend the disk below, then run dockerstorage.recover",
}


def next_remedy(
    seen: Condition, policy: RemedyPolicy, tried: Sequence[Remedy] = ()
) -> Remedy | str:
    """The next thing to do, or why there is nothing (more) to do.

    tried: what was done in this run. Metadata is extended before all else: it is small, and full
    metadata is the worse failure. With data exhausted, writers wait for at most a minute
    (``no_space_timeout`` of dm-thin): then extension comes before a prune, which may take longer.
    """
    if seen.health in HOPELESS:
        return f"the pool is {seen.health}: {HOPELESS[seen.health]}"
    parts = _parts_in_need(seen, policy, bool(tried))
    if not parts:
        return "the fill is below what calls for a remedy"
    for part in parts:
        for kind in _order(seen, policy, part):
            if _possible(kind, part, seen, tried):
                return Remedy(kind, part, _why(seen, part, policy))
    return f"nothing is left to do about the {parts[0]}: {_exhausted(seen, policy)}"


def solved(seen: Condition, policy: RemedyPolicy) -> bool:
    """Whether the pool is well, as far as its fill goes."""
    return seen.health == "ok" and not _parts_in_need(seen, policy, begun=False)


def _parts_in_need(seen: Condition, policy: RemedyPolicy, begun: bool) -> list[str]:
    least = policy.trigger_percent - (MARGIN_PERCENT if begun else 0)
    parts = []
    # A pool that went read-only by itself ran out of metadata.
    if seen.metadata_percent >= least or seen.health == "read_only":
        parts.append("metadata")
    if seen.data_percent >= least or seen.health == "out_of_data_space":
        parts.append("data")
    return parts


def _order(seen: Condition, policy: RemedyPolicy, part: str) -> list[str]:
    order = list(policy.order)
    if seen.health == "read_only" and "prune" in order:
        order.remove("prune")  # nothing can be freed there, and it can make things worse
    if part == "metadata" or seen.health == "out_of_data_space":
        order.sort(key=lambda kind: kind == "prune")
    return order


def _possible(kind: str, part: str, seen: Condition, tried: Sequence[Remedy]) -> bool:
    done = [one for one in tried if one.kind == kind]
    if kind == "prune":
        return seen.prunable and not done
    if kind == "extend":
        return (
            seen.extensible and seen.vg_free_bytes > 0 and not any(one.part == part for one in done)
        )
    return seen.extensible and bool(seen.spares)


def _why(seen: Condition, part: str, policy: RemedyPolicy) -> str:
    if seen.health != "ok":
        return f"the pool is {seen.health}"
    percent = seen.metadata_percent if part == "metadata" else seen.data_percent
    return f"its {part} is at {percent:g} %, and {policy.trigger_percent:g} % call for a remedy"


def _exhausted(seen: Condition, policy: RemedyPolicy) -> str:
    """What became of each remedy."""
    no_lvm = "LVM does not know the pool"
    helpless = seen.health == "read_only"
    pruned = "it cannot free anything in a read-only pool" if helpless else "it freed too little"
    reasons = {
        "prune": pruned if seen.prunable else "the engine does not answer for the pool",
        "extend": "the volume group has no room that helps" if seen.extensible else no_lvm,
        "spare": "no disk is left" if seen.extensible else no_lvm,
    }
    return "; ".join(
        f"{kind}: {reasons[kind] if kind in policy.order else 'not allowed'}" for kind in REMEDIES
    )
