"""A store on disk, seen for its orphans: what cannot be read is told, never passed over."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib import orphan_look, orphans
from dockerstorage_lib.errors import DockerstorageError, Refused
from dockerstorage_lib.orphan_sight import Layer, Mount, Sight, Transaction
from dockerstorage_lib.thinmap import PoolMap

POOL = PoolMap(128, 1000, {})
DIFF = f"sha256:{'d' * 64}"
IMAGE = json.dumps({"rootfs": {"diff_ids": [DIFF]}}).encode()
DEVICE = {"device_id": 3, "size": 1, "transaction_id": 4, "initialized": False, "deleted": False}
FILES = {
    f"image/devicemapper/imagedb/content/sha256/{hashlib.sha256(IMAGE).hexdigest()}": IMAGE,
    f"image/devicemapper/layerdb/sha256/{'d' * 64}/cache-id": b"one",
    f"image/devicemapper/layerdb/sha256/{'e' * 64}-12-removing/cache-id": b"two",
    "image/devicemapper/layerdb/mounts/box/mount-id": b"rw",
    "image/devicemapper/layerdb/mounts/box/init-id": b"rw-init",
    "image/devicemapper/layerdb/mounts/box/parent": DIFF.encode(),
    "containers/box/config.v2.json": b'{"State": {}, "Driver": "devicemapper"}',
    "devicemapper/metadata/one": json.dumps(DEVICE).encode(),
    "devicemapper/metadata/transaction-metadata": json.dumps(
        {"open_transaction_id": 7, "device_hash": "one", "device_id": 3}
    ).encode(),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def look(root: Path, transaction_id: int = 7) -> Sight:
    return orphan_look.look(str(root), None, POOL, transaction_id, running=False)


def test_all_parts_are_seen(root: Path) -> None:
    seen = look(root)
    assert seen.layers == {DIFF: Layer("one")}
    assert seen.mounts == {"box": Mount(("rw", "rw-init"), DIFF)}
    assert seen.removing == {f"{'e' * 64}-12-removing": "two"}
    assert (seen.image_chains, seen.containers) == (frozenset((DIFF,)), frozenset(("box",)))
    assert seen.records["one"].device_id == 3
    assert (seen.doubts, seen.open_transaction) == ((), None)


def test_an_open_transaction(root: Path) -> None:
    assert look(root, 6).open_transaction == Transaction("one", 3)


@pytest.mark.parametrize("transaction_id", [5, 8])
def test_files_of_another_pool(root: Path, transaction_id: int) -> None:
    with pytest.raises(Refused, match="they are not of one another"):
        look(root, transaction_id)


UNREADABLE = sorted(
    name
    for name in FILES
    if not name.endswith(("transaction-metadata", "/parent", "/cache-id", "-id", "config.v2.json"))
)


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_a_doubt(root: Path, name: str) -> None:
    (root / name).write_bytes(b"\xff{")
    assert len(orphans.doubts(look(root))) == 1


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("-id")])
def test_a_name_that_is_no_text_is_a_doubt(root: Path, name: str) -> None:
    (root / name).write_bytes(b"\xff{")
    assert orphans.doubts(look(root))


def test_a_database_that_cannot_be_read_is_a_doubt(root: Path) -> None:
    (root / "buildkit").mkdir()
    (root / "buildkit/snapshots.db").write_bytes(b"...one...")
    seen = look(root)
    assert "snapshots.db" in seen.doubts[0]
    assert seen.buildkit == frozenset()


@given(st.sampled_from(sorted(FILES)), st.binary(max_size=40))
def test_no_file_makes_it_fail(name: str, data: bytes) -> None:
    """Whatever is in a file: it is read, a doubt, or refused."""
    with tempfile.TemporaryDirectory() as folder:
        for other, was in FILES.items():
            path = Path(folder, other)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if other == name else was)
        try:
            orphans.find(look(Path(folder)))
        except DockerstorageError:
            return
