"""What a prune removes and what it keeps, and why: a pure function of inventory and policy."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TypeVar

from .objects import (
    ALIVE,
    PREDEFINED_NETWORKS,
    CacheRecord,
    Container,
    Image,
    Inventory,
    Network,
    Object,
    Volume,
    held_chains,
)
from .policy import Policy, repository

T = TypeVar("T", Container, Network, Object)


@dataclass(frozen=True)
class Removal:
    """One object that goes, as it was seen when the plan was made."""

    seen: Object
    reason: str
    #: Pool bytes that go free with it, given the removals before it; None if not known.
    bytes: int | None = None


@dataclass(frozen=True)
class Kept:
    """One object that stays."""

    seen: Object
    reason: str


@dataclass(frozen=True)
class Plan:
    """Removals in the order in which they can be carried out, and all that stays."""

    remove: tuple[Removal, ...]
    keep: tuple[Kept, ...]


def plan_prune(inventory: Inventory, policy: Policy, now: float) -> Plan:
    """Decide on every object of the inventory.

    now: seconds since the epoch. A kept container keeps its image, volumes, networks and the
    containers it needs; a kept image keeps its parents and all its tags.
    """
    images = {image.id: image for image in inventory.images}
    judge = _Judge(policy, now, images)
    containers = _keep_containers(inventory.containers, judge)
    living = [one for one in inventory.containers if one.id in containers]
    kept_images = _keep_images(inventory.images, living, judge)
    volumes = _keep_volumes(inventory.volumes, living, judge)
    networks = _keep_networks(inventory.networks, living, judge)
    cache = _keep_cache(inventory.cache, judge)
    halves = (
        _split(inventory.containers, containers, "not running"),
        _split(inventory.networks, networks, "used by no container"),
        _split(inventory.volumes, volumes, "used by no container"),
        _split(inventory.images, kept_images, "used by no container"),
        _split(inventory.cache, cache, "not in use"),
    )
    return Plan(
        remove=tuple(removal for removals, _ in halves for removal in removals),
        keep=tuple(kept for _, keeps in halves for kept in keeps),
    )


class _Judge:
    """The rules that look at one object alone."""

    def __init__(self, policy: Policy, now: float, images: Mapping[str, Image]) -> None:
        self.policy = policy
        self._now = now
        self._images = images

    def protection(self, thing: Container | Image | Volume | Network) -> str | None:
        """Why policy protects an object by its own label or name."""
        rule = self.policy.protecting_label(self._labels(thing))
        if rule is not None:
            return f"protected by label {rule}"
        pattern = self.policy.protecting_pattern(thing)
        return None if pattern is None else f"protected by name pattern {pattern}"

    def youth(self, used_at: float) -> str | None:
        """Why an object is kept for its age; used_at in seconds since the epoch."""
        if self._now - used_at < self.policy.min_age_seconds:
            return f"younger than {self.policy.min_age_seconds:g} s"
        return None

    def _labels(self, thing: Container | Image | Volume | Network) -> Mapping[str, str]:
        if not self.policy.own_labels_only:
            return thing.labels
        origin = None
        if isinstance(thing, Container):
            origin = self._images.get(thing.image_id)
        elif isinstance(thing, Image):
            origin = self._images.get(thing.parent_id)
        inherited = origin.labels if origin else {}
        return {key: value for key, value in thing.labels.items() if inherited.get(key) != value}


def _keep_containers(containers: Sequence[Container], judge: _Judge) -> dict[str, str]:
    keep: dict[str, str] = {}
    for one in containers:
        reason = one.state if one.state in ALIVE else None
        reason = reason or judge.protection(one) or judge.youth(one.used_at)
        if reason:
            keep[one.id] = reason
    find = _finder(containers)
    waiting = [one for one in containers if one.id in keep]
    while waiting:
        user = waiting.pop()
        for needed in map(find, user.needs):
            if needed is not None and needed.id not in keep:
                keep[needed.id] = f"needed by container {user.name}"
                waiting.append(needed)
    return keep


def _keep_images(
    images: Sequence[Image], living: Sequence[Container], judge: _Judge
) -> dict[str, str]:
    users = {one.image_id: f"used by container {one.name}" for one in living}
    newest = _newest_tags(images, judge.policy.keep_tags)
    keep: dict[str, str] = {}
    for image in images:
        reason = (
            judge.protection(image)
            or users.get(image.id)
            or newest.get(image.id)
            or judge.youth(image.used_at)
        )
        if reason:
            keep[image.id] = reason
    by_id = {image.id: image for image in images}
    for image in [by_id[image_id] for image_id in keep]:
        child, parent = image, by_id.get(image.parent_id)
        while parent is not None and parent.id not in keep:
            keep[parent.id] = f"parent of kept image {child.name}"
            child, parent = parent, by_id.get(parent.parent_id)
    return keep


def _newest_tags(images: Iterable[Image], count: int) -> dict[str, str]:
    """Images that hold one of the newest tags of a repository."""
    if count == 0:
        return {}
    tagged: dict[str, list[tuple[float, float, str, str]]] = defaultdict(list)
    for image in images:
        for tag in image.tags:
            # Reproducible builds are all created at one time: then the arrival here decides.
            tagged[repository(tag)].append((image.created_at, image.used_at, tag, image.id))
    return {
        image_id: f"among the newest {count} tags of {name}"
        for name, tags in tagged.items()
        for *_, image_id in heapq.nlargest(count, tags)
    }


def _keep_volumes(
    volumes: Iterable[Volume], living: Iterable[Container], judge: _Judge
) -> dict[str, str]:
    users = {name: f"used by container {one.name}" for one in living for name in one.volumes}
    keep: dict[str, str] = {}
    for volume in volumes:
        reason = (
            judge.protection(volume)
            or users.get(volume.name)
            or _volume_rule(volume, judge.policy.volumes)
            or judge.youth(volume.used_at)
        )
        if reason:
            keep[volume.id] = reason
    return keep


def _volume_rule(volume: Volume, which: str) -> str | None:
    if which == "none":
        return "volumes are not pruned unless asked for"
    if volume.driver != "local":
        return f"its driver is {volume.driver}, not local"
    if volume.has_options:
        return "it has mount options: its data may lie elsewhere"
    if which == "anonymous" and not volume.anonymous:
        return "it has a name"
    return None


def _keep_networks(
    networks: Sequence[Network], living: Iterable[Container], judge: _Judge
) -> dict[str, str]:
    find = _finder(networks)
    users: dict[str, str] = {}
    for one in living:
        for key in one.networks:
            found = find(key)
            # By the name as well: several networks may have the same.
            users |= dict.fromkeys(
                [key, found.id if found else key], f"used by container {one.name}"
            )
    keep: dict[str, str] = {}
    for network in networks:
        reason = (
            judge.protection(network)
            or _network_rule(network, judge.policy)
            or users.get(network.id)
            or users.get(network.name)
            or judge.youth(network.used_at)
        )
        if reason:
            keep[network.id] = reason
    return keep


def _network_rule(network: Network, policy: Policy) -> str | None:
    if network.name in PREDEFINED_NETWORKS:
        return "made by Docker itself"
    if not policy.networks:
        return "networks are not pruned unless asked for"
    if network.ingress or network.scope != "local":
        return f"its scope is {network.scope}, not this host"
    if network.config_only:
        return "it holds settings for other networks"
    return "in use" if network.endpoints else None


def _keep_cache(cache: Sequence[CacheRecord], judge: _Judge) -> dict[str, str]:
    keep: dict[str, str] = {}
    for record in cache:
        reason = None if judge.policy.build_cache else "build cache is not pruned unless asked for"
        if record.in_use:
            reason = reason or "in use"
        reason = reason or judge.youth(record.used_at)
        if reason:
            keep[record.id] = reason
    by_id = {record.id: record for record in cache}
    waiting = [by_id[record_id] for record_id in keep]
    while waiting:
        child = waiting.pop()
        for parent in (by_id.get(parent_id) for parent_id in child.rests_on):
            if parent is not None and parent.id not in keep:
                keep[parent.id] = f"parent of kept record {child.id}"
                waiting.append(parent)
    return keep


def _split(
    things: Sequence[Object], keep: Mapping[str, str], reason: str
) -> tuple[list[Removal], list[Kept]]:
    doomed = _dependents_first([thing for thing in things if thing.id not in keep])
    kept = sorted((thing for thing in things if thing.id in keep), key=attrgetter("name", "id"))
    return (
        [Removal(thing, reason) for thing in doomed],
        [Kept(thing, keep[thing.id]) for thing in kept],
    )


def _dependents_first(things: Iterable[Object]) -> list[Object]:
    """Order so that nothing goes before what rests on it, and else the longest unused first."""
    by_id = {thing.id: thing for thing in things}
    find = _finder(list(by_id.values()))
    below = {
        thing.id: {found.id for found in map(find, thing.rests_on) if found is not None}
        for thing in by_id.values()
    }
    dependents = Counter(key for keys in below.values() for key in keys)
    ready = [(thing.used_at, thing.id) for thing in by_id.values() if not dependents[thing.id]]
    heapq.heapify(ready)
    ordered: list[Object] = []
    while ready:
        thing = by_id.pop(heapq.heappop(ready)[1])
        ordered.append(thing)
        for key in below[thing.id]:
            dependents[key] -= 1
            if not dependents[key]:
                heapq.heappush(ready, (by_id[key].used_at, key))
    # What is left rests on itself in a circle (containers that link to one another).
    return ordered + sorted(by_id.values(), key=attrgetter("used_at", "id"))


def _finder(things: Sequence[T]) -> Callable[[str], T | None]:
    """Look things up as the engine does: by id, by name, by the beginning of an id.

    Containers keep what their operator wrote: ``--volumes-from 4dabc606``, and before they were
    started once ``--network ceba94a3``.
    """
    by_key = {thing.name: thing for thing in things} | {thing.id: thing for thing in things}
    ids = sorted(thing.id for thing in things)

    def find(key: str) -> T | None:
        if not key or key in by_key:
            return by_key.get(key)
        nearest = bisect_left(ids, key)
        if nearest < len(ids) and ids[nearest].startswith(key):
            return by_key[ids[nearest]]
        return None

    return find


def released_layers(plan: Plan, also_held: Iterable[str] = ()) -> list[tuple[str, ...]]:
    """Chain ids of the layers that go with each removal: with the last object that holds them.

    also_held: chain ids that something outside the plan holds.
    """
    held = {chain for kept in plan.keep for chain in held_chains(kept.seen)}
    held.update(also_held)
    released: list[tuple[str, ...]] = []
    for removal in reversed(plan.remove):
        chains = tuple(chain for chain in held_chains(removal.seen) if chain not in held)
        held.update(chains)
        released.append(chains)
    return released[::-1]


def with_bytes(plan: Plan, sizes: Sequence[int | None]) -> Plan:
    """The plan with the bytes that each removal frees."""
    weighed = (
        replace(removal, bytes=size) for removal, size in zip(plan.remove, sizes, strict=True)
    )
    return replace(plan, remove=tuple(weighed))
