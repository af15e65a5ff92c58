"""Decide what an import does with each object of a bundle. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from . import recreate
from .bundle import ContainerRecord, ImageRecord, NetworkRecord, VolumeRecord
from .errors import Refused
from .import_choice import Choice, Contents, Record, id_of, kind_of, name_of, new_names
from .import_options import Options
from .import_world import World
from .objects import ALIVE, PREDEFINED_NETWORKS
from .prune import finder
from .recreate_others import equal_networks, overlapping, same_place


@dataclass(frozen=True)
class Step:
    """What becomes of one object, and why."""

    kind: str
    #: In the bundle.
    id: str
    name: str
    new_name: str
    #: "create", "replace", "exists", "skip" or "conflict" (with which nothing is begun).
    action: str
    why: str
    #: Bytes that are read for it.
    bytes: int = 0
    #: Id of what is on this host in its place.
    here: str = ""
    #: Tags that an image gets.
    tags: tuple[str, ...] = ()
    #: It comes with the first container that uses it: the engine makes and names it.
    with_container: bool = False
    #: A network that gets other addresses than it had.
    readdressed: bool = False

    @property
    def acts(self) -> bool:
        return self.action in ("create", "replace")


@dataclass(frozen=True)
class ImportPlan:
    """Every object's step, in the order in which they are taken."""

    choice: Choice
    steps: tuple[Step, ...]

    @property
    def conflicts(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.action == "conflict")

    def step(self, kind: str, id_: str) -> Step | None:
        return next((one for one in self.steps if (one.kind, one.id) == (kind, id_)), None)


def plan_import(contents: Contents, choice: Choice, options: Options, world: World) -> ImportPlan:
    """A step for each chosen object: images, networks, volumes, containers."""
    planner = _Planner(contents, choice, options, world)
    for image in choice.images:
        planner.add(image, planner.image(image))
    for network in choice.networks:
        planner.add(network, planner.network(network))
    named = named_volumes(choice, contents)
    for volume in choice.volumes:
        if volume.name in named:
            planner.add(volume, planner.volume(volume))
    for container in choice.containers:
        planner.add(container, planner.container(container))
        for name in recreate.own_volumes(contents.document(container)).values():
            planner.own_volume(name, container, named)
    return ImportPlan(choice, tuple(planner.steps.values()))


def named_volumes(choice: Choice, contents: Contents) -> frozenset[str]:
    """Volumes that are made by name; the others are made by the engine with their container."""
    documents = [contents.document(one) for one in choice.containers]
    own = {name for one in documents for name in recreate.own_volumes(one).values()}
    explicit = {name for one in documents for name in recreate.explicit_volumes(one).values()}
    return frozenset(
        one.name for one in choice.volumes if one.name in explicit or one.name not in own
    )


@dataclass(frozen=True)
class _Finding:
    """What is found of one object, before on_conflict has its say."""

    action: str
    why: str
    here: str = ""
    tags: tuple[str, ...] = ()
    #: Whether on_conflict=replace makes a "conflict" a "replace".
    may_replace: bool = False


class _Planner:
    def __init__(self, contents: Contents, choice: Choice, options: Options, world: World) -> None:
        self.contents, self.choice, self.options, self.world = contents, choice, options, world
        self.steps: dict[tuple[str, str], Step] = {}
        self._volumes = {one.name: one for one in choice.volumes}

    def add(self, record: Record, found: _Finding, with_container: bool = False) -> None:
        """Make a step of what was found, as on_conflict says."""
        kind, id_ = kind_of(record), id_of(record)
        names = new_names(record, self.options)
        action, why = found.action, found.why or self.choice.why[kind, id_]
        readdressed = False
        if action == "conflict" and self.options.on_conflict == "replace" and found.may_replace:
            action = "replace"
        elif action == "conflict" and self.options.on_conflict == "skip":
            # Without addresses of its own a network stands in nobody's way.
            readdressed = kind == "network" and not found.here
            action = "create" if readdressed else "skip"
            why = f"{why}; it gets other addresses" if readdressed else why
        self.steps[kind, id_] = Step(
            kind=kind,
            id=id_,
            name=name_of(record),
            new_name=names[0] if names else name_of(record),
            action=action,
            why=why,
            here=found.here,
            tags=found.tags,
            with_container=with_container,
            readdressed=readdressed,
        )

    def image(self, record: ImageRecord) -> _Finding:
        wanted, tags = new_names(record, self.options), self.world.tags()
        here = record.id if record.id in self.world.image_ids() else ""
        missing = tuple(tag for tag in wanted if tag not in tags)
        moved = tuple(tag for tag in wanted if tags.get(tag, record.id) != record.id)
        if moved:
            why = f"the tag {', '.join(moved)} points to another image here"
            if self.options.on_conflict == "skip":
                action = "exists" if here and not missing else "create"
                return _Finding(action, f"{why} and stays", here, missing)
            return _Finding("conflict", why, here, (*missing, *moved), may_replace=True)
        if here and not missing:
            return _Finding("exists", "the same image is here", here)
        why = "the same image is here, and lacks tags" if here else ""
        return _Finding("create", why, here, missing)

    def network(self, record: NetworkRecord) -> _Finding:
        document = self.contents.document(record)
        name = self.options.new_name("network", record.name)
        if record.name in PREDEFINED_NETWORKS or document.get("Ingress"):
            return _Finding("skip", "the engine makes it itself")
        if document.get("Scope", "local") != "local":
            return _Finding("skip", "it belongs to a swarm, which makes it")
        same = self.world.network(name)
        if same is not None and equal_networks(same, document):
            return _Finding("exists", "an equal network is here", str(same["Id"]))
        if same is not None:
            users = self._users(lambda one: bool({name, same["Id"]} & set(one.networks)))
            why = f"another network called {name} is here"
            why += f", and {', '.join(users)} uses it" if users else ""
            return _Finding("conflict", why, str(same["Id"]), may_replace=not users)
        taken = overlapping(document, list(self.world.networks))
        if taken is not None:
            return _Finding("conflict", f"the network {taken['Name']} has its addresses here")
        return _Finding("create", "")

    def volume(self, record: VolumeRecord) -> _Finding:
        document = self.contents.document(record)
        name = self.options.new_name("volume", record.name)
        here = self.world.volumes.get(name)
        if here is None:
            elsewhere = "only its settings: its data lies elsewhere"
            return _Finding("create", "" if record.data else elsewhere)
        if record.data is None and same_place(here, document):
            return _Finding("exists", "an equal volume is here, its data elsewhere", name)
        if record.data is None or not same_place(here, document):
            return _Finding("conflict", f"a volume {name} of another kind is here", name)
        mark, last = self.world.marks.get(name), self.world.history.last("volume", record.name)
        if mark is not None and mark.state == "done":
            return _Finding("exists", "it was imported before", name)
        begun = mark is not None and last is not None and last.event == "begun"
        if mark is not None and (mark.state == "begun" or (begun and mark.is_empty)):
            return _Finding("create", "an earlier import did not end", name)
        users = self._users(lambda one: one.state in ALIVE and name in one.volumes)
        if users:
            return _Finding("conflict", f"a volume {name} is here, and {', '.join(users)} "
                            "runs with it", name)  # fmt: skip
        return _Finding("conflict", f"a volume {name} is here", name, may_replace=True)

    def container(self, record: ContainerRecord) -> _Finding:
        name = self.options.new_name("container", record.name)
        last = self.world.history.last("container", record.id)
        containers = {one.id: one for one in self.world.inventory.containers}
        made = containers.get(last.new_id) if last is not None else None
        # Its name is the last that it gets: with it, it is whole, if the journal was cut or not.
        if made is not None and last is not None and (last.event == "done" or made.name == name):
            return _Finding("exists", "it was imported before", made.id)
        unmet = list(self._unmet(record))
        if unmet:
            return _Finding("conflict", "; ".join(unmet))
        here = next((one for one in containers.values() if one.name == name), None)
        if here is None:
            return _Finding("create", "")
        find = finder(list(containers.values()))
        users = self._users(lambda one: here in map(find, one.needs))
        if users:
            return _Finding("conflict", f"a container {name} is here, and {', '.join(users)} "
                            "needs it", here.id)  # fmt: skip
        return _Finding("conflict", f"a container {name} is here", here.id, may_replace=True)

    def _users(self, uses) -> list[str]:  # type: ignore[no-untyped-def]
        """Names of this host's containers that use something and are not replaced themselves."""
        return [f"container {one.name}" for one in self.world.inventory.containers if uses(one)]

    def _unmet(self, record: ContainerRecord) -> Iterable[str]:
        """What a container needs that is neither imported nor here, as sentences."""
        for need in self.choice.needs:
            if need.container_id == record.id and not self._is_here(need.kind, need.name):
                yield f"the {need.kind} {need.name} is neither in the bundle nor on this host"
        seen = self.contents.container(record)
        find = finder(list(self.choice.containers))
        for needed in map(find, seen.needs):
            step = self.steps.get(("container", needed.id)) if needed is not None else None
            if step is not None and not step.acts and not step.here:
                yield f"the container {step.name}, which it needs, is not imported"
        networks = finder(list(self.choice.networks))
        for network in filter(None, map(networks, seen.networks)):
            step = self.steps["network", network.id]
            if step.action == "skip" and not self._is_here("network", step.new_name):
                yield f"the network {step.name} is not imported: {step.why}"

    def _is_here(self, kind: str, name: str) -> bool:
        inventory = self.world.inventory
        if kind == "volume":
            return name in self.world.volumes
        if kind == "image":
            return any(one.id == name for one in inventory.images)
        if kind == "network":
            return finder(inventory.networks)(name) is not None
        return finder(inventory.containers)(name) is not None

    def own_volume(self, name: str, container: ContainerRecord, named: frozenset[str]) -> None:
        """The step of a volume that the engine makes with a container."""
        record = self._volumes.get(name)
        if record is None or name in named or ("volume", name) in self.steps:
            return
        step = self.steps["container", container.id]
        action = "create" if step.acts else step.action
        why = f"it comes with container {step.name}" if step.acts else f"as container {step.name}"
        self.add(record, _Finding(action, why), with_container=True)
        if action == "conflict":  # it is the container's alone
            self.steps["volume", name] = replace(self.steps["volume", name], action="skip")


def refuse_conflicts(plan: ImportPlan) -> None:
    """Raise Refused, with all conflicts, if there is one."""
    if plan.conflicts:
        lines = [f"{one.kind} {one.name}: {one.why}" for one in plan.conflicts]
        raise Refused(
            f"{len(lines)} objects cannot be imported, so nothing was changed. "
            + ". ".join(lines)
            + ". Rename them (rename=...), leave some out (only=...), or choose with "
            "on_conflict=skip or on_conflict=replace"
        )
