"""Make a bundle's networks and volumes, and fill volumes with their data."""

from __future__ import annotations

from pathlib import Path

from .adapters import tree, volumedir
from .bundle import VolumeRecord
from .errors import Refused
from .import_plan import Step
from .import_work import Work
from .objects import ALIVE
from .recreate import Known
from .recreate_others import network_request, volume_request


def import_networks(work: Work) -> None:
    """Make the networks; those that give others their settings first."""
    records = sorted(
        work.plan.choice.networks, key=lambda one: not work.contents.document(one).get("ConfigOnly")
    )
    for record in records:
        step = work.plan.step("network", record.id)
        assert step is not None
        new_id = step.here
        if step.acts:
            new_id = _make_network(step, dict(work.contents.document(record)), work)
        if new_id:
            work.networks.append(Known(record.id, record.name, new_id, step.new_name))


def _make_network(step: Step, document: dict, work: Work) -> str:
    work.begin(step)
    source = (document.get("ConfigFrom") or {}).get("Network")
    if source:
        document["ConfigFrom"] = {"Network": work.names().network(source)}
    request = network_request(document, step.new_name, with_addresses=not step.readdressed)
    now = work.engine.document("network", step.new_name)
    work.expect(f"network {step.new_name}", (now or {}).get("Id", "") == step.here)
    if step.here:
        work.engine.remove_network(step.here)
    new_id = work.engine.create_network(request)
    found = work.engine.document("network", new_id) or {}
    made = network_request(found, step.new_name)
    for key in sorted(request):
        # What was left to the engine it fills in.
        if request[key] != made.get(key) and not (key == "IPAM" and step.readdressed):
            work.note(step, f"the engine made {key} {made.get(key)!r} of {request[key]!r}")
    if step.readdressed:
        work.note(step, "its addresses are others: the old ones are taken here")
    work.finish(step, new_id)
    return new_id


def import_volumes(work: Work) -> None:
    """Make the volumes that have names of their own, and fill them."""
    for record in work.plan.choice.volumes:
        step = work.plan.step("volume", record.name)
        if step is None or step.with_container:
            continue
        if step.acts:
            _make_volume(step, record, work)
        work.volumes[record.name] = step.new_name


def _make_volume(step: Step, record: VolumeRecord, work: Work) -> None:
    document = work.contents.document(record)
    now = work.engine.document("volume", step.new_name)
    work.expect(f"volume {step.new_name}", (now is not None) == bool(step.here))
    if now is not None:
        _refuse_users(step, work)
    labels = (now or {}).get("Labels") or {}
    if step.action == "replace" and labels != (document.get("Labels") or {}):
        work.note(step, "it keeps the labels that it has here: the engine cannot change them")
    work.begin(step)
    if now is None:
        work.engine.create_volume(volume_request(document, step.new_name))
    if record.data is not None:
        folder = work.volume_folder(step.new_name)
        if step.action != "replace":
            volumedir.write_mark(folder, work.bundle_id, "begun")
        fill_volume(step, record, folder, work)
        volumedir.write_mark(folder, work.bundle_id, "done")
    work.finish(step, step.new_name)


def _refuse_users(step: Step, work: Work) -> None:
    users = [one.name for one in work.engine.containers()
             if one.state in ALIVE and step.new_name in one.volumes]  # fmt: skip
    work.expect(f"volume {step.new_name}, used by {', '.join(users)}", not users)


def fill_volume(step: Step, record: VolumeRecord, folder: Path, work: Work) -> None:
    """Give a volume the data of the bundle, whatever it had."""
    data = record.data
    if data is None:
        raise Refused(f"volume {record.name}: the bundle does not have its data")

    def fill(new: Path) -> None:
        with work.source.entries(data, f"volume {record.name}", whiteouts=False) as entries:
            tree.restore(entries, new, None, lambda path, why: work.note(step, f"{path}: {why}"))

    volumedir.replace_data(folder, fill)
