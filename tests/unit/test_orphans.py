"""Orphans of a devicemapper store: told by a pure planner."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib import orphan_removal, orphans
from dockerstorage_lib.adapters.records import Record
from dockerstorage_lib.adapters.store import DeviceRecord
from dockerstorage_lib.errors import BrokenOff, CommandFailed
from dockerstorage_lib.orphan_sight import BASE, Layer, Mount, Sight, Transaction
from dockerstorage_lib.orphans import Orphan
from dockerstorage_lib.thinmap import PoolMap, ThinDevice

BLOCK_BYTES = 65536
A, B, C, D = (f"sha256:{letter * 64}" for letter in "abcd")


def device(number: int, *blocks: int) -> ThinDevice:
    runs = tuple((at, block, 1) for at, block in enumerate(blocks))
    return ThinDevice(number, len(blocks), number, runs)


def pool(*devices: ThinDevice) -> PoolMap:
    return PoolMap(128, 1000, {one.device_id: one for one in devices})


def record(name: str, number: int, deleted: bool = False) -> DeviceRecord:
    return DeviceRecord(name, number, 1 << 30, number + 1, deleted)


def records(deleted: str = "", **numbers: int) -> dict[str, DeviceRecord]:
    return {name: record(name, number, name == deleted) for name, number in numbers.items()}


def store(**others: object) -> Sight:
    """The base, an image of two layers, a container on it: nothing of it is an orphan."""
    sight = Sight(
        pool=pool(
            device(1, 10), device(2, 10, 11), device(3, 10, 12), device(4, 10, 13), device(5, 10)
        ),
        records={
            **records(base=1, one=2, two=3, rw=4),
            "rw-init": record("rw-init", 5),
        },
        layers={A: Layer("one"), B: Layer("two", A)},
        mounts={"box": Mount(("rw", "rw-init"), B)},
        image_chains=frozenset((A, B)),
        containers=frozenset(("box",)),
    )
    return dataclasses.replace(sight, **others)  # type: ignore[arg-type]


def with_device(
    sight: Sight, name: str | None, number: int, *blocks: int, deleted: bool = False
) -> Sight:
    devices = {**sight.pool.devices, number: device(number, *blocks)}
    found = dict(sight.records)
    if name is not None:
        found[name] = record(name, number, deleted)
    return dataclasses.replace(
        sight, pool=dataclasses.replace(sight.pool, devices=devices), records=found
    )


def found(sight: Sight) -> list[tuple[str, str, int]]:
    return [(one.kind, one.name, one.freed_bytes // BLOCK_BYTES) for one in orphans.find(sight)
            if one.kept is None]  # fmt: skip


def kept(sight: Sight) -> dict[str, str]:
    return {one.name: one.kept for one in orphans.find(sight) if one.kept is not None}


def test_a_whole_store_has_none() -> None:
    assert orphans.find(store()) == []


def test_a_container_that_is_gone_leaves_a_mount() -> None:
    # Its parents are the image's; it alone goes, with both devices.
    (one,) = orphans.find(store(containers=frozenset()))
    assert (one.kind, one.name, one.device_ids) == ("unreferenced_mount", "box", (4, 5))
    assert one.paths == (
        "image/devicemapper/layerdb/mounts/box",
        "devicemapper/metadata/rw",
        "devicemapper/metadata/rw-init",
    )
    assert one.freed_bytes == BLOCK_BYTES


def test_layers_go_from_the_top() -> None:
    gone = store(image_chains=frozenset(), containers=frozenset())
    assert found(gone) == [
        ("unreferenced_mount", "box", 1),
        ("unreferenced_layer", B, 1),
        ("unreferenced_layer", A, 1),
    ]


def test_a_container_alone_keeps_its_layers() -> None:
    assert orphans.find(store(image_chains=frozenset())) == []


@pytest.mark.parametrize("name", ["box", "rw", "rw-init"])
def test_what_buildkit_names_is_live(name: str) -> None:
    assert orphans.find(store(containers=frozenset(), buildkit=frozenset((name,)))) == []


def test_a_layer_that_buildkit_names_keeps_those_below() -> None:
    sight = store(
        image_chains=frozenset(), containers=frozenset(), mounts={}, buildkit=frozenset(("b" * 64,))
    )
    assert {one.name for one in orphans.find(sight)} == {"rw", "rw-init"}


def test_half_removed_layers_and_devices() -> None:
    removing = f"{'c' * 64}-1f-removing"
    sight = with_device(store(removing={removing: "three"}), "three", 6, 20, 21)
    sight = with_device(sight, "marked", 7, 22, deleted=True)
    sight = with_device(sight, "loose", 8, 23)
    sight = with_device(sight, None, 9, 24, 25, 26)
    sight = dataclasses.replace(sight, records={**sight.records, "stale": record("stale", 99)})
    assert found(sight) == [
        ("removing", removing, 2),
        ("deferred_delete", "marked", 1),
        ("unreferenced_device", "loose", 1),
        ("metadata_without_device", "stale", 0),
        ("device_without_metadata", "9", 3),
    ]


def test_a_layer_half_removed_that_an_image_needs_stays() -> None:
    name = f"{'a' * 64}-1f-removing"
    sight = store(removing={name: "one"}, layers={B: Layer("two", A)})
    assert set(kept(sight)) == {name}
    assert found(sight) == []


@pytest.mark.parametrize("name", [BASE, "one", "rw"])
def test_what_lost_its_file_may_be_a_nameless_device(name: str) -> None:
    sight = store()
    left = {key: one for key, one in sight.records.items() if key != name}
    number = str(sight.records[name].device_id)
    sight = dataclasses.replace(sight, records=left)
    assert found(sight) == []
    assert set(kept(sight)) == {number}


def test_live_devices_marked_as_deleted_stay() -> None:
    sight = store(records={**store().records, "one": record("one", 2, deleted=True)})
    assert "remove it by the engine" in kept(sight)["one"]


def test_a_record_with_the_number_of_a_live_device_does_not_take_it() -> None:
    sight = store(records={**store().records, "twin": record("twin", 2)})
    assert all(not one.device_ids for one in orphans.find(sight))
    assert "name the device 2" in orphans.doubts(sight)[0]


def test_what_is_in_use_or_under_way_stays() -> None:
    sight = with_device(store(), None, 9, 24)
    assert kept(dataclasses.replace(sight, in_use={9: "it is mounted"})) == {"9": "it is mounted"}
    assert "at work" in kept(dataclasses.replace(sight, work=("a build",)))["9"]
    undone = dataclasses.replace(sight, open_transaction=Transaction("x", 9))
    assert "undoes that when it starts" in kept(undone)["9"]


def test_what_lies_below_a_kept_one_stays() -> None:
    gone = store(image_chains=frozenset(), containers=frozenset(), in_use={4: "it is open"})
    assert kept(gone) == {
        "box": "it is open",
        A: "box lies upon it, and is kept",
        B: "box lies upon it, and is kept",
    }


@st.composite
def stores(draw: st.DrawFn) -> Sight:
    """A store of all sorts, half of what it should have missing."""
    chains = [f"sha256:{letter * 64}" for letter in "abcdef"]
    names = [f"dev{number}" for number in range(12)]
    some = st.frozensets
    parents = [draw(st.sampled_from([None, *chains[:at]])) for at in range(len(chains))]
    layers = {
        chain: Layer(names[at], parents[at])
        for at, chain in enumerate(chains) if draw(st.integers(0, 5))
    }  # fmt: skip
    mounts = {
        f"box{at}": Mount((names[6 + at], f"{names[6 + at]}-init"), draw(st.sampled_from(chains)))
        for at in range(3)
    }
    everyone = [BASE, *names, *(f"{one}-init" for one in names[6:9])]
    numbers = {name: at for at, name in enumerate(everyone)}
    known = draw(some(st.sampled_from(sorted(numbers))))
    return Sight(
        pool=pool(*(device(n, n, 50 + n // 2) for n in draw(some(st.integers(0, 22))))),
        records={
            name: record(name, numbers[name], draw(st.booleans()) and draw(st.booleans()))
            for name in sorted(known)
        },
        layers=layers,
        removing={f"{'a' * 64}-1-removing": draw(st.sampled_from(["", *names]))},
        mounts=mounts,
        image_chains=draw(some(st.sampled_from(chains))),
        containers=draw(some(st.sampled_from(sorted(mounts)))),
        buildkit=draw(some(st.sampled_from([*names, *(one[7:] for one in chains), "box1"]))),
    )


def needed(sight: Sight) -> tuple[set[str], set[str]]:
    """Chains and device names that something needs, reckoned the simple way."""
    chains = {*sight.image_chains, *(one for one in sight.layers if one[7:] in sight.buildkit)}
    names = {BASE, *sight.buildkit}
    for id_, mount in sight.mounts.items():
        if id_ in sight.containers:
            names |= set(mount.hashes)
            chains |= {mount.parent} if mount.parent else set()
    while True:
        below = {sight.layers[one].parent for one in chains if one in sight.layers} - {None}
        if below <= chains:
            break
        chains |= {one for one in below if one}
    return chains, names | {sight.layers[one].hash for one in chains if one in sight.layers}


@given(stores())
def test_nothing_that_is_needed_is_ever_removed(sight: Sight) -> None:
    chains, names = needed(sight)
    live_ids = {one.device_id for name, one in sight.records.items() if name in names}
    going = [one for one in orphans.find(sight) if one.kept is None]
    for one in going:
        assert one.name not in chains
        assert one.name not in sight.containers
        assert not names & set(one.records) or one.kind == "metadata_without_device"
        assert not live_ids & set(one.device_ids)


@given(stores())
def test_each_device_and_file_is_of_one_orphan_and_bytes_add_up(sight: Sight) -> None:
    everything = orphans.find(sight)
    for part in ("records", "device_ids", "paths"):
        parts = [each for one in everything for each in getattr(one, part)]
        assert len(parts) == len(set(parts))
    going = [one for one in everything if one.kept is None]
    doomed = {number for one in going for number in one.device_ids}
    left = {block for number, one in sight.pool.devices.items() if number not in doomed
            for _, block, _ in one.runs}  # fmt: skip
    freed = {block for number in doomed for _, block, _ in sight.pool.devices[number].runs} - left
    assert sum(one.freed_bytes for one in going) == len(freed) * BLOCK_BYTES


@given(stores())
def test_a_layer_goes_after_what_lies_upon_it(sight: Sight) -> None:
    going = [one.name for one in orphans.find(sight) if one.kept is None]
    for chain, layer in sight.layers.items():
        if chain in going and layer.parent in going:
            assert going.index(chain) < going.index(layer.parent)
    on: Mapping[str, str | None] = {name: one.parent for name, one in sight.mounts.items()}
    for name, parent in on.items():
        if name in going and parent in going:
            assert going.index(name) < going.index(parent)


# -- acts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in (
        "image/devicemapper/layerdb/mounts/box/mount-id",
        "devicemapper/metadata/rw",
        "devicemapper/metadata/rw-init",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "devicemapper/mnt/rw").mkdir(parents=True)
    return tmp_path


ORPHAN = Orphan(
    "unreferenced_mount", "box", "", "image/devicemapper/layerdb/mounts/box",
    ("rw", "rw-init"), (4, 5),
)  # fmt: skip


def test_names_go_before_devices_and_all_is_kept(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []

    def message(pool: str, sector: int, text: str) -> str:
        assert not list((root / "devicemapper/metadata").iterdir())
        said.append((pool, text))
        return ""

    monkeypatch.setattr(orphan_removal.dmsetup, "message", message)
    record = Record("orphans", 0.0, tmp_path / "records")
    orphan_removal.keep(str(root), [ORPHAN], record)
    orphan_removal.remove(str(root), "pool", [ORPHAN], record, lambda _: None)
    assert said == [("pool", "delete 4"), ("pool", "delete 5")]
    left = [one for one in root.rglob("*") if one.is_file() and "records" not in one.parts]
    assert left == []
    assert not (root / "devicemapper/mnt/rw").exists()
    for path in ("image/devicemapper/layerdb/mounts/box/mount-id", "devicemapper/metadata/rw"):
        assert (record.folder / path).read_text() == path


def test_what_fails_says_what_was_done(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def message(pool: str, sector: int, text: str) -> str:
        raise CommandFailed(["dmsetup"], 1, "Device or resource busy")

    monkeypatch.setattr(orphan_removal.dmsetup, "message", message)
    record = Record("orphans", 0.0, tmp_path / "records")
    with pytest.raises(BrokenOff, match=r"box: .*busy.*Done by then: nothing"):
        orphan_removal.remove(str(root), "pool", [ORPHAN], record, lambda _: None)
    aside = root / "image/devicemapper/layerdb/tmp/dockerstorage-orphan-x"
    aside.mkdir()
    orphan_removal.clear_aside(str(root))
    assert not aside.exists()
