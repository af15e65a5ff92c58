"""What is read from a damaged store is a value or an error that says so, and never a crash."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dockerstorage_lib import bolt, cold_documents, tarsplit
from dockerstorage_lib.adapters import store
from dockerstorage_lib.adapters.cold_engine import ColdEngine
from dockerstorage_lib.errors import DockerstorageError, Unparsable
from dockerstorage_lib.thinmap import DumpReader

DATA = Path(__file__).with_name("data")
SPLIT = gzip.decompress((DATA / "tar-split.json.gz").read_bytes()).splitlines()
DUMP = (DATA / "thin_dump-snapshot.xml").read_text()
CONTAINER = json.loads((DATA / "cold-container.json").read_text())
DATABASE = gzip.decompress((DATA / "local-kv.db.gz").read_bytes())

#: Any JSON, with the names and values that the engine's own files have among it.
WORDS = st.sampled_from(
    [*CONTAINER["config"], *CONTAINER["config"]["State"], "type", "payload", "size", "name",
     "name_raw", "rootfs", "diff_ids", "config", "Labels", "Repositories", "device_id",
     "transaction_id", "initialized", "deleted"]
)  # fmt: skip
NUMBERS = st.integers() | st.sampled_from([2**31, 2**63, 2**64, -1, 10**400])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=4), inner),
    max_leaves=12,
)
DEEP = b'{"a":' * 100_000


@st.composite
def damaged(draw: Callable[..., Any], whole: bytes) -> bytes:
    """Bytes that were changed, cut or filled in some places."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 40))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "end"]))
        if kind == "flip" and at < len(data):
            data[at] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del data[at : at + length]
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=40))
        elif kind == "end" and draw(st.booleans()):
            del data[at:]
    return bytes(data)


TEXTS = JSON.map(lambda value: json.dumps(value).encode())


@given(st.sampled_from(SPLIT).flatmap(damaged) | st.binary() | TEXTS)
@example(DEEP)
@settings(deadline=None, max_examples=400)
def test_lines_of_tar_split(line: bytes) -> None:
    try:
        piece = tarsplit.parse_piece(line)
    except Unparsable:
        return
    assert piece.size >= 0


@given(damaged(DUMP.encode()) | st.binary())
@settings(deadline=None, max_examples=60)
def test_dumps(data: bytes) -> None:
    reader = DumpReader()
    try:
        reader.feed(data.decode("utf-8", "replace"))
        pool = reader.close()
    except Unparsable:
        return
    for device in pool.devices.values():
        assert all(number >= 0 for run in device.runs for number in run)


@given(damaged(DATABASE) | st.binary())
@settings(deadline=None, max_examples=100)
def test_databases(data: bytes) -> None:
    try:
        cold_documents.network_documents(bolt.read_database(data))
    except Unparsable:
        return


@given(JSON | damaged(json.dumps(CONTAINER["config"]).encode()), JSON)
@settings(deadline=None, max_examples=300)
def test_containers_and_images(config: Any, host: Any) -> None:
    text = config if isinstance(config, bytes) else json.dumps(config)
    try:
        found = cold_documents.read_json(text, "a container")
        cold_documents.container_document(found, host)
    except Unparsable:
        pass
    raw = text if isinstance(text, bytes) else text.encode()
    for read in (
        cold_documents.image_names,
        cold_documents.mount_options,
        lambda data: cold_documents.image_row("sha256:x", data, "", []),
    ):
        with contextlib.suppress(Unparsable):
            read(raw)


FILES = (
    "devicemapper/metadata/abc",
    "devicemapper/metadata/transaction-metadata",
    "image/devicemapper/repositories.json",
    f"image/devicemapper/imagedb/content/sha256/{'a' * 64}",
    f"image/devicemapper/layerdb/sha256/{'b' * 64}/cache-id",
    f"image/devicemapper/layerdb/mounts/{'c' * 64}/mount-id",
    f"containers/{'c' * 64}/config.v2.json",
    f"containers/{'c' * 64}/hostconfig.json",
    "network/files/local-kv.db",
    "volumes/metadata.db",
    "volumes/v/opts.json",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store")
    for name in FILES:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
    return path


@given(
    st.lists(
        st.binary(max_size=60)
        | TEXTS
        | damaged(json.dumps(CONTAINER["config"]).encode())
        | damaged(DATABASE),
        min_size=len(FILES),
        max_size=len(FILES),
    )
)
@settings(deadline=None, max_examples=120)
def test_whole_stores(root: Path, contents: list[bytes]) -> None:
    for name, content in zip(FILES, contents, strict=True):
        (root / name).write_bytes(content)
    engine = ColdEngine(root, lambda _: 0)
    engine.containers()
    engine.images()
    engine.networks()
    engine.volumes()
    for read in (
        lambda: store.device_records(str(root)),
        lambda: store.open_transaction_id(str(root)),
        lambda: store.layers(str(root)),
        lambda: store.container_hashes(str(root), "c" * 64),
    ):
        with contextlib.suppress(DockerstorageError):
            read()
