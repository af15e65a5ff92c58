"""Which objects an export takes: by name, by pattern, by label, and what those need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from .errors import BadInput
from .objects import PREDEFINED_NETWORKS, Container, Image, Inventory, Object
from .policy import LabelRule, names_of, read_label, texts
from .prune import finder

KINDS = ("containers", "images", "volumes", "networks")


@dataclass(frozen=True)
class Wanted:
    """Patterns of names for each kind, and labels; without any, everything is wanted."""

    patterns: dict[str, tuple[str, ...]]
    labels: tuple[LabelRule, ...]

    @property
    def everything(self) -> bool:
        return not self.labels and not any(self.patterns.values())


def read_wanted(labels: object = None, **patterns: object) -> Wanted:
    """Read the arguments of an export; raises BadInput, naming the argument."""
    return Wanted(
        {kind: texts(kind, patterns.get(kind)) for kind in KINDS},
        tuple(read_label(one, "labels") for one in texts("labels", labels)),
    )


def choose(inventory: Inventory, wanted: Wanted) -> Inventory:
    """The objects that are wanted, and all that they need; predefined networks never.

    Raises BadInput for a pattern or label that matches nothing: a slip would leave something out.
    """
    if wanted.everything:
        return replace(inventory, networks=_made_networks(inventory))
    chosen = {kind: _matching(getattr(inventory, kind), kind, wanted) for kind in KINDS}
    _refuse_unmatched(inventory, wanted)
    containers = _with_needed(chosen["containers"], inventory.containers)
    volumes = chosen["volumes"] | {name for one in containers for name in one.volumes}
    networks = chosen["networks"] | {name for one in containers for name in one.networks}
    images = _with_parents(chosen["images"] | {one.image_id for one in containers}, inventory)
    return Inventory(
        containers=tuple(containers),
        images=tuple(images),
        volumes=tuple(one for one in inventory.volumes if one.id in volumes),
        networks=tuple(one for one in _made_networks(inventory) if {one.id, one.name} & networks),
    )


def _made_networks(inventory: Inventory):  # type: ignore[no-untyped-def]
    return tuple(one for one in inventory.networks if one.name not in PREDEFINED_NETWORKS)


def _matching(things: Iterable[Object], kind: str, wanted: Wanted) -> set[str]:
    return {
        thing.id
        for thing in things
        if any(_matches(thing, pattern) for pattern in wanted.patterns[kind])
        or any(rule.matches(thing.labels) for rule in wanted.labels)  # type: ignore[union-attr]
    }


def _matches(thing: Object, pattern: str) -> bool:
    names = names_of(thing)  # type: ignore[arg-type]
    identity = thing.id.removeprefix("sha256:")
    # An id, or the beginning of one, as Docker's commands take it.
    by_id = len(pattern) >= 12 and identity.startswith(pattern.removeprefix("sha256:"))
    return by_id or any(fnmatchcase(name, pattern) for name in names)


def _refuse_unmatched(inventory: Inventory, wanted: Wanted) -> None:
    for kind, patterns in wanted.patterns.items():
        for pattern in patterns:
            if not any(_matches(thing, pattern) for thing in getattr(inventory, kind)):
                raise BadInput(f"{kind}: nothing here is called {pattern!r}")
    things = [thing for kind in KINDS for thing in getattr(inventory, kind)]
    for rule in wanted.labels:
        if not any(rule.matches(thing.labels) for thing in things):
            raise BadInput(f"labels: nothing here carries {str(rule)!r}")


def _with_needed(ids: set[str], containers: tuple[Container, ...]) -> list[Container]:
    """Chosen containers and those they cannot start without, in the inventory's order."""
    find = finder(containers)
    waiting, found = [one for one in containers if one.id in ids], set(ids)
    while waiting:
        for need in map(find, waiting.pop().needs):
            if need is not None and need.id not in found:
                found.add(need.id)
                waiting.append(need)
    return [one for one in containers if one.id in found]


def _with_parents(ids: set[str], inventory: Inventory) -> list[Image]:
    by_id = {image.id: image for image in inventory.images}
    found: set[str] = set()
    for image_id in ids:
        while image_id in by_id and image_id not in found:
            found.add(image_id)
            image_id = by_id[image_id].parent_id
    return [image for image in inventory.images if image.id in found]
