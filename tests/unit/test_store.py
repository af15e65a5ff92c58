"""Docker's store on disk, laid out as dockerd 20.10 leaves it, is read without the engine."""

import json
import struct
from pathlib import Path

import pytest

from dockerstorage_lib.adapters import store
from dockerstorage_lib.errors import Unparsable

LAYERS = [
    line.split()
    for line in (Path(__file__).parent / "data" / "layerdb.txt").read_text().splitlines()
]
RW = "ead7c32ee1ead7d98244d502dbdace92787b9410cc77dd219523c40fd5c2b0a6"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def root(tmp_path):
    db = tmp_path / "image/devicemapper/layerdb"
    for chain, cache_id, diff in LAYERS:
        write(db / "sha256" / chain / "cache-id", cache_id)
        write(db / "sha256" / chain / "diff", diff)
    write(db / "mounts/web/mount-id", RW)
    write(db / "mounts/web/init-id", f"{RW}-init")
    metadata = tmp_path / "devicemapper/metadata"
    for number, name in enumerate(["base", LAYERS[0][1], RW], 1):
        record = {"device_id": number, "size": 67108864, "transaction_id": number}
        write(metadata / name, json.dumps(record | {"initialized": False, "deleted": False}))
    write(metadata / "deviceset-metadata", '{"next_device_id":1}')
    write(metadata / "transaction-metadata", '{"open_transaction_id":18}')
    write(metadata / ".tmp123", "")
    return str(tmp_path)


def test_layers_containers_and_their_devices(root):
    assert store.layers(root) == {f"sha256:{chain}": cache for chain, cache, _ in LAYERS}
    assert store.layer_hash(root, f"sha256:{LAYERS[1][0]}") == LAYERS[1][1]
    assert store.containers(root) == ["web"]
    assert store.container_hashes(root, "web") == (RW, f"{RW}-init")


def test_a_layer_that_is_being_removed_is_no_layer(root):
    folder = Path(root, "image/devicemapper/layerdb/sha256", f"{LAYERS[0][0]}-123-removing")
    write(folder / "cache-id", "gone")
    assert "gone" not in store.layers(root).values()


def test_device_records_and_nothing_else(root):
    assert set(store.device_records(root)) == {"base", LAYERS[0][1], RW}
    assert store.device_record(root, RW) == store.DeviceRecord(RW, 3, 67108864, 3, False)
    assert store.device_record(root, "unknown") is None


def test_a_damaged_record_is_refused(root):
    write(Path(root, "devicemapper/metadata", "bad"), '{"device_id":')
    with pytest.raises(Unparsable, match="metadata of device bad"):
        store.device_records(root)


def test_the_store_is_hidden_only_from_another_driver(root):
    assert store.hidden_store(root, "devicemapper") is None
    hidden = store.hidden_store(root, "overlay2")
    assert (hidden.images, hidden.containers) == (0, 1)


def test_an_absent_store_is_empty(tmp_path):
    root = str(tmp_path)
    assert store.layers(root) == store.device_records(root) == {}
    assert store.containers(root) == []
    assert store.container_hashes(root, "web") == ()
    assert store.hidden_store(root, "overlay2") is None
    assert store.managed_device(root) is None
    assert store.latest_driver(root) == ""
    assert store.buildkit_snapshots(root) == {}


def test_image_facts_are_those_of_the_image_database(tmp_path):
    database = tmp_path / "image/overlay2/imagedb"
    write(database / "content/sha256/abc", json.dumps({"rootfs": {"diff_ids": ["l1", "l2"]}}))
    diff_ids, used_at = store.image_facts(str(tmp_path), "overlay2", "sha256:abc")
    assert diff_ids == ("l1", "l2")
    assert used_at == (database / "content/sha256/abc").stat().st_mtime
    assert store.image_facts(str(tmp_path), "overlay2", "sha256:def") is None


def test_a_managed_pool_names_its_disk(tmp_path):
    write(tmp_path / "devicemapper/setup-config.json", '{"Device":"/dev/sdb","ThinpPercent":95}')
    assert store.managed_device(str(tmp_path)) == "/dev/sdb"


def test_the_transaction_that_docker_opened_last(root, tmp_path):
    assert store.open_transaction_id(root) == 18
    assert store.open_transaction_id(str(tmp_path / "absent")) is None
    write(tmp_path / "devicemapper/metadata/transaction-metadata", "{}")
    with pytest.raises(Unparsable, match="transaction-metadata"):
        store.open_transaction_id(root)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (struct.pack("<IIQ16sQ", 1, 1, 0, b"", 27022010), True),
        (struct.pack("<IIQ16sQ", 1, 0, 0, b"", 27022010), False),
        (struct.pack("<IIQ16sQ", 1, 1, 0, b"", 5), False),
        (b"", False),
    ],
)
def test_the_mark_for_a_check_in_the_file_of_loop_lvm(tmp_path, block, expected):
    file = tmp_path / "devicemapper/devicemapper/metadata"
    assert not store.loop_metadata_needs_check(str(tmp_path))
    file.parent.mkdir(parents=True)
    file.write_bytes(block.ljust(4096 if block else 0, b"\0"))
    assert store.loop_metadata_needs_check(str(tmp_path)) is expected
