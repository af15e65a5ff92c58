"""Make a bundle's containers: under a temporary name, filled, and named last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from . import recreate, recreate_compare
from .adapters import mounts, tree, volumedir
from .bundle import ContainerRecord
from .errors import DockerstorageError, Incoherent
from .import_journal import Line
from .import_places import fill_volume
from .import_plan import Step
from .import_work import Work
from .objects import ALIVE
from .recreate import Known

Document = Mapping[str, Any]

TEMPORARY = "dockerstorage-import-"
ASIDE = "dockerstorage-aside-"
#: Log drivers whose files the engine reads, by their form in a bundle.
LOGGED = "json-file"


def remove_leftovers(work: Work) -> None:
    """Remove what an import of this bundle had begun and not ended."""
    for line in work.journal.history.begun("container"):
        left = work.engine.container(line.new_name)
        # Nobody but an import gives such a name; still, it must not have been started.
        if (
            left is not None
            and left.name == line.new_name
            and left.name.startswith(TEMPORARY)
            and left.state == "created"
        ):
            work.engine.discard(left.id)


def import_containers(work: Work) -> None:
    """Make the containers, those that others need first."""
    for record in work.plan.choice.containers:
        step = work.plan.step("container", record.id)
        assert step is not None
        new_id = _make(step, record, work) if step.acts else step.here
        if new_id and step.action != "skip":
            _remove_aside(record.id, work)
        if new_id:
            work.containers.append(Known(record.id, record.name, new_id, step.new_name))


def _make(step: Step, record: ContainerRecord, work: Work) -> str:
    document = work.contents.document(record)
    now = work.engine.container(step.new_name)
    work.expect(f"container {step.new_name}", (now.id if now else "") == step.here)
    temporary = f"{TEMPORARY}{work.bundle_id[:8]}-{record.id[:12]}"
    made = recreate.recreate(
        document,
        _image_name(step, record, document, work),
        work.names(),
        work.contents.manifest.host,
        work.contents.manifest.driver == work.world.site.driver,
    )
    work.begin(step, temporary)
    volumes_before = set(work.engine.volume_documents())
    with _created(step, temporary, made, work) as new_id:
        found = work.engine.document("container", new_id) or {}
        _fill_own_volumes(document, found, volumes_before, work)
        _fill_layer(step, record, new_id, work)
        _put_logs(step, record, found, work)
        _take_place(step, new_id, work)
    for note in made.notes:
        work.note(step, note)
    _compare(step, made, new_id, work)
    work.finish(step, new_id)
    return new_id


@contextmanager
def _created(step: Step, name: str, made: recreate.Recreation, work: Work) -> Iterator[str]:
    """A new container; it goes again if it cannot be finished."""
    with ExitStack() as stack:
        for folder in _empty_volumes(made, work):
            stack.enter_context(volumedir.kept_empty(folder))
        new_id = work.engine.create_container(name, made.body)
    try:
        work.journal.add(Line("begun", "container", step.id, new_id, name))
        for network, settings in made.connect:
            work.engine.connect(network, new_id, settings)
        for network in made.disconnect:
            work.engine.disconnect(network, new_id)
        yield new_id
    except BaseException:
        with suppress(DockerstorageError):
            work.engine.discard(new_id)
        raise


def _image_name(step: Step, record: ContainerRecord, document: Document, work: Work) -> str:
    """The name by which a container knows its image, if that is what it means here; else the id."""
    name = str(document["Config"].get("Image") or "")
    has_tag = ":" in name.rpartition("/")[2] or "@" in name
    new = work.options.new_name("image", name if has_tag else f"{name}:latest")
    for candidate in (name, new):
        found = work.engine.image(candidate) if candidate else None
        if found is not None and found["Id"] == record.image_id:
            return candidate
    work.note(step, f"its image is known by its id: {name} is not that image here")
    return record.image_id


def _empty_volumes(made: recreate.Recreation, work: Work) -> list[Path]:
    """The directories of volumes of the bundle that have no data, and are to have none."""
    mounted = set(recreate.explicit_volumes(made.body).values())
    found = []
    for volume in work.plan.choice.volumes:
        step = work.plan.step("volume", volume.name)
        if volume.data is None or step is None or step.with_container or step.action == "skip":
            continue
        if step.new_name in mounted:
            folder = work.volume_folder(step.new_name)
            found += [folder] if volumedir.is_empty(folder) else []
    return found


def _fill_own_volumes(document: Document, found: Document, before: set[str], work: Work) -> None:
    """Data for the volumes that the engine has made with a container, by where they are mounted."""
    new = {one["Destination"]: one["Name"] for one in recreate.volume_mounts(found)}
    for target, old in sorted(recreate.own_volumes(document).items()):
        step = work.plan.step("volume", old)
        # One that was there before is another container's, with data of its own.
        if step is None or not step.with_container or old in work.volumes:
            continue
        if target not in new or new[target] in before:
            raise Incoherent(f"the volume at {target}", "a new one", new.get(target))
        work.begin(step)
        work.volumes[old] = new[target]
        _fill(old, work)
        work.finish(step, new[target], new[target])


def _fill(old: str, work: Work) -> None:
    step = work.plan.step("volume", old)
    record = next(one for one in work.plan.choice.volumes if one.name == old)
    assert step is not None
    if record.data is not None:
        fill_volume(step, record, work.volume_folder(work.volumes[old]), work)


def _fill_layer(step: Step, record: ContainerRecord, new_id: str, work: Work) -> None:
    what = f"container {record.name}"
    with (
        mounts.container_tree(work.world.site, new_id, write=True) as layer,
        work.source.entries(record.changes, what, whiteouts=True) as entries,
    ):
        tree.restore(entries, layer.path, layer.whiteouts, lambda path, why: work.note(
            step, f"{path}: {why}"))  # fmt: skip


def _put_logs(step: Step, record: ContainerRecord, found: Document, work: Work) -> None:
    if not record.logs:
        return
    driver = ((found.get("HostConfig") or {}).get("LogConfig") or {}).get("Type")
    if driver != LOGGED:
        work.note(step, f"without its logs: the log driver {driver} keeps them elsewhere")
        return
    with ExitStack() as stack:
        logs = [stack.enter_context(work.source.open(one)) for one in record.logs]
        volumedir.write_logs(work.world.site.root, found["Id"], logs)


def _take_place(step: Step, new_id: str, work: Work) -> None:
    """Give a finished container its name; one that has it steps aside, and back if that fails."""
    if step.action != "replace":
        work.engine.rename(new_id, step.new_name)
        return
    old = work.engine.container(step.here)
    work.expect(f"container {step.new_name}", old is not None and old.name == step.new_name)
    assert old is not None
    aside = f"{ASIDE}{old.id[:12]}"
    work.journal.add(Line("aside", "container", step.id, old.id, aside))
    try:
        if old.state in ALIVE:
            work.engine.stop(old.id)
        work.engine.rename(old.id, aside)
        work.engine.rename(new_id, step.new_name)
    except DockerstorageError:
        with suppress(DockerstorageError):
            work.engine.rename(old.id, step.new_name)
        if old.state in ALIVE:
            with suppress(DockerstorageError):
                work.engine.start(old.id)
        raise


def _remove_aside(old_id: str, work: Work) -> None:
    """Remove the containers in whose place a finished one stands; their volumes stay."""
    for line in work.journal.history.aside():
        left = work.engine.container(line.new_id) if line.id == old_id else None
        if left is not None and left.name == line.new_name and left.state not in ALIVE:
            work.engine.remove_container(left.id)


def _compare(step: Step, made: recreate.Recreation, new_id: str, work: Work) -> None:
    """Note what the engine made otherwise than it was asked."""
    found = work.engine.document("container", new_id)
    if found is None or found["Name"].lstrip("/") != step.new_name:
        raise Incoherent(f"container {step.new_name}", "to be there", found and found["Name"])
    for field, asked, got in recreate_compare.deviations(made, found):
        work.note(step, f"{field} is {got!r} and was {asked!r}")
