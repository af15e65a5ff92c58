"""Damaged stores, on this machine's own kernel: what can be saved is, and the rest is named."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import rescued

BLOCK = 4096


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data root of a populated loop-lvm host, read-only."""
    with rescued.mounted(rescued.data_disk("loop"), tmp_path_factory.mktemp("sound")) as root:
        yield root


@pytest.fixture(scope="module")
def whole(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a rescue of the sound store holds."""
    done = rescued.rescue(sound, tmp_path_factory.mktemp("whole") / "bundle")
    assert (done["damaged"], done["apart"]) == ([], None)
    found = rescued.bundle(done)
    assert (len(found["layers"]), len(found["containers"])) == (10, 6)
    return found


@pytest.fixture
def store(sound: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    target = tmp_path / "docker"
    subprocess.run(["cp", "-a", "--sparse=always", sound, target], check=True)
    return target


def assert_saved_or_named(done: dict[str, Any], whole: dict[str, Any]) -> set[str]:
    """Whatever was in the sound store is there as it was, or named; ids of what is named."""
    found = rescued.bundle(done)
    told = json.dumps([done["damaged"], done["not_taken"]])
    kinds = {one["kind"] for one in done["damaged"]}
    named = {one["id"] for one in (*done["damaged"], *done["not_taken"])}
    for kind, objects in whole.items():
        for id_, was in objects.items():
            now = found[kind].get(id_)
            if kind == "images" and now is not None:
                # A parent that is lost is no parent; names are lost all at once.
                now[1] = now[1] or was[1]
                now[0] = was[0] if "tags" in kinds else now[0]
            same = now == was or (kind == "networks" and "networks" in kinds)
            assert same or id_ in told or id_[:12] in told, (kind, id_, was, now)
    return named


def test_flipped_bytes_in_the_pools_metadata(
    store: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    metadata = store / "devicemapper/devicemapper/metadata"
    sound, dice = metadata.read_bytes(), random.Random(6)
    used = [at for at in range(0, len(sound), BLOCK) if sound[at : at + BLOCK].strip(b"\0")]
    lost = 0
    for number in range(14):
        damaged = bytearray(sound)
        # The first block last: without it nothing of the pool is to be had.
        blocks = dice.sample(used[1:], 1 + number // 3) if number < 13 else [0]
        for at in blocks:
            place = at + dice.randrange(BLOCK)
            damaged[place] ^= 1 << dice.randrange(8)
        metadata.write_bytes(damaged)
        done = rescued.rescue(store, tmp_path / f"bundle-{number}")
        named = assert_saved_or_named(done, whole)
        # A block may be one that the kernel has given up, which nobody misses.
        told = any(one["kind"] == "pool" for one in done["damaged"])
        assert told or rescued.bundle(done) == whole, blocks
        lost += bool(named & whole["layers"].keys())
        assert rescued.bundle(done)["volumes"] == whole["volumes"]
        assert metadata.read_bytes() == damaged
    assert lost


def test_a_part_of_the_data_is_missing(store: Path, whole: dict[str, Any], tmp_path: Path) -> None:
    data = store / "devicemapper/devicemapper/data"
    with data.open("r+b") as file:
        end = max(end for _, end in rescued.extents(file.fileno()))
        file.truncate(end * 9 // 10)
    done = rescued.rescue(store, tmp_path / "bundle")
    named = assert_saved_or_named(done, whole)
    assert named & (whole["layers"].keys() | whole["containers"].keys())
    assert rescued.bundle(done)["layers"]


def test_a_layer_with_a_changed_block_is_kept_apart_and_its_file_named(
    store: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    # The layer with 6 MiB of random bytes in the file /c, somewhere in the middle of it.
    config = next(
        json.loads(path.read_bytes())
        for path in (store / "image/devicemapper/imagedb/content/sha256").iterdir()
        if f"sha256:{path.name}" == rescued.tagged(store, "lab/unused:1")
    )
    diff_id = config["rootfs"]["diff_ids"][-1]
    sound = rescued.rescue(store, tmp_path / "sound")
    content = rescued.layer_file(Path(sound["bundle"]), diff_id, "c")
    data = store / "devicemapper/devicemapper/data"
    place = data.read_bytes().index(content[2 << 20 : (2 << 20) + BLOCK])
    with data.open("r+b") as file:
        file.seek(place)
        file.write(b"\0" * BLOCK)
    done = rescued.rescue(store, tmp_path / "bundle")
    assert diff_id in assert_saved_or_named(done, whole)
    why = next(one["why"] for one in done["damaged"] if one["id"] == diff_id)
    assert why.endswith("; c: its content has changed")
    kept = Path(done["apart"]) / "layers" / f"{diff_id.partition(':')[2]}.tar"
    left = rescued.member(kept, "c")
    assert left == content[: 2 << 20] + b"\0" * BLOCK + content[(2 << 20) + BLOCK :]
    # The image, and what was built upon it, cannot be whole.
    lost = {one["id"] for one in done["not_taken"] if one["kind"] == "image"}
    assert {rescued.tagged(store, name) for name in ("lab/unused:1", "lab/unused:2")} <= lost
    assert len(rescued.bundle(done)["layers"]) == len(whole["layers"]) - 1


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path: Path) -> None:
    path.write_bytes(b"\xff\x00 nonsense {")


DAMAGE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a list of files is cut": ("image/devicemapper/layerdb/sha256/*/tar-split.json.gz", cut),
    "a list of files is gone": (
        "image/devicemapper/layerdb/sha256/*/tar-split.json.gz", Path.unlink,
    ),
    "a layer's device is not named": ("image/devicemapper/layerdb/sha256/*/cache-id", Path.unlink),
    "a layer's device is garbage": ("image/devicemapper/layerdb/sha256/*/cache-id", garble),
    "a container's layer is not named": ("image/devicemapper/layerdb/mounts/*/mount-id", garble),
    "a device's record is cut": ("devicemapper/metadata/[0-9a-f]*", cut),
    "an image's configuration is cut": ("image/devicemapper/imagedb/content/sha256/*", cut),
    "an image's parent is garbage": ("image/devicemapper/imagedb/metadata/sha256/*/parent", garble),
    "names are garbage": ("image/devicemapper/repositories.json", garble),
    "a container's configuration is cut": ("containers/*/config.v2.json", cut),
    "a container's settings are gone": ("containers/*/hostconfig.json", Path.unlink),
    "networks are garbage": ("network/files/local-kv.db", garble),
    "networks are gone": ("network/files/local-kv.db", Path.unlink),
    "volumes' labels are garbage": ("volumes/metadata.db", garble),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_a_file_of_the_engine_is_damaged(
    name: str, store: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    pattern, damage = DAMAGE[name]
    # The devices beneath a container's own hold nothing that is missed.
    victim = min(path for path in store.glob(pattern) if not path.name.endswith("-init"))
    damage(victim)
    listed = rescued.rescue(store, None)
    done = rescued.rescue(store, tmp_path / "bundle")
    assert "error" not in listed
    assert done["damaged"] or done["not_taken"], name
    assert_saved_or_named(done, whole)
    # What is not of the damaged object came along.
    kept = rescued.bundle(done)
    assert sum(map(len, kept.values())) > sum(map(len, whole.values())) * 0.6


def test_layers_of_an_image_that_cannot_be_read_are_named(
    store: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    image = rescued.tagged(store, "lab/unused:2")
    path = store / "image/devicemapper/imagedb/content/sha256" / image.partition(":")[2]
    diff_ids = json.loads(path.read_bytes())["rootfs"]["diff_ids"]
    cut(path)
    done = rescued.rescue(store, tmp_path / "bundle")
    named = assert_saved_or_named(done, whole)
    # Those below are another image's as well.
    assert {image, diff_ids[-1]} <= named
    assert not named & set(diff_ids[:-1])


def test_a_size_is_only_for_estimates(store: Path, whole: dict[str, Any], tmp_path: Path) -> None:
    garble(sorted(store.glob("image/devicemapper/layerdb/sha256/*/size"))[0])
    assert rescued.bundle(rescued.rescue(store, tmp_path / "bundle")) == whole


def test_a_pool_of_another_store_is_not_taken_for_this_one(
    store: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    record = next((store / "devicemapper/metadata").glob("[0-9a-f]" * 64))
    found = json.loads(record.read_text())
    record.write_text(json.dumps({**found, "transaction_id": found["transaction_id"] + 1}))
    done = rescued.rescue(store, tmp_path / "bundle")
    assert "another one" in json.dumps([done["damaged"], done["not_taken"]])
    assert_saved_or_named(done, whole)


def test_a_killed_rescue_goes_on_where_it_was(
    sound: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    dest = tmp_path / "bundle"
    assert rescued.rescue(sound, dest, f"bytes={16 << 20}") == {"killed": True}
    assert not dest.exists()
    done = rescued.rescue(sound, dest)
    assert done["reused"] >= 3
    assert rescued.bundle(done) == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]
    assert subprocess.run(["losetup", "-a"], capture_output=True, text=True).stdout.count(
        str(tmp_path)
    ) == 0  # fmt: skip


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    error = rescued.rescue(tmp_path, None)["error"]
    assert error.startswith(f"source: {tmp_path} holds no devicemapper store")
    (tmp_path / "165536.165536/image/devicemapper").mkdir(parents=True)
    assert str(tmp_path / "165536.165536") in rescued.rescue(tmp_path, None)["error"]
