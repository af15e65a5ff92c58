"""Files of a bundle: what is read is what was written, or it is found damaged."""

import hashlib
import io
import os
import stat
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from dataclasses import replace

import pytest
import zstandard

from dockerstorage_lib.adapters import packed
from dockerstorage_lib.bundle import FileRecord
from dockerstorage_lib.errors import Damaged, Refused

TEXT = b"".join(b"%d a line\n" % number for number in range(50_000))


def pack(root, data=TEXT, path="volumes/v.tar.zst"):
    with packed.Packer(root, path) as packer:
        for at in range(0, len(data), 100_000):
            packer.write(data[at : at + 100_000])
        return packer.finish()


def read(root, record, **options):
    with packed.unpack(root, record, **options) as content:
        return content.read()


@pytest.mark.parametrize("path", ["volumes/v.tar.zst", "containers/c.json"])
def test_what_was_packed_is_unpacked(tmp_path, path):
    record = pack(tmp_path, path=path)
    file = tmp_path / path
    assert record == FileRecord(
        path,
        file.stat().st_size,
        hashlib.sha256(file.read_bytes()).hexdigest(),
        len(TEXT),
        hashlib.sha256(TEXT).hexdigest(),
    )
    assert (record.bytes < len(TEXT) / 3) == path.endswith(".zst")
    assert read(tmp_path, record) == TEXT
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file]


def test_the_program_zstd_reads_it(tmp_path):
    pack(tmp_path)
    whole = zstandard.ZstdDecompressor().stream_reader((tmp_path / "volumes/v.tar.zst").open("rb"))
    assert whole.read() == TEXT


def test_nothing_is_packed(tmp_path):
    assert read(tmp_path, pack(tmp_path, b"")) == b""


def test_a_file_that_is_not_finished_has_no_name(tmp_path):
    with packed.Packer(tmp_path, "layers/x.tar.zst") as packer:
        packer.write(TEXT)
        assert [one.name for one in (tmp_path / "layers").iterdir()] == ["x.tar.zst.part"]
    assert not list((tmp_path / "layers").iterdir())


def test_what_a_cut_run_left_is_written_anew(tmp_path):
    (tmp_path / "layers").mkdir()
    (tmp_path / "layers/x.tar.zst.part").symlink_to("/etc/passwd")
    record = pack(tmp_path, path="layers/x.tar.zst")
    assert read(tmp_path, record) == TEXT
    assert not (tmp_path / record.path).is_symlink()


@pytest.mark.parametrize("path", ["../x.zst", "/x", "a/../../x", ""])
def test_nothing_is_written_outside_of_the_bundle(tmp_path, path):
    with pytest.raises(Refused):
        packed.Packer(tmp_path / "bundle", path)
    assert not list(tmp_path.iterdir())


def test_every_flipped_bit_and_every_cut_is_found(tmp_path):
    record = pack(tmp_path, b"some content" * 20)
    file = tmp_path / record.path
    whole = file.read_bytes()
    for at in range(len(whole)):
        for altered in (
            whole[:at],
            bytes([*whole[:at], whole[at] ^ 1 << at % 8, *whole[at + 1 :]]),
        ):
            file.write_bytes(altered)
            with pytest.raises(Damaged, match=r"volumes/v\.tar\.zst"):
                packed.check(tmp_path, record)
            # ... also by an adversary who fits the manifest to it
            fitted = replace(record, bytes=len(altered), sha256=hashlib.sha256(altered).hexdigest())
            with suppress(Damaged):
                assert read(tmp_path, fitted) == b"some content" * 20


@pytest.mark.parametrize("field", ["bytes", "plain_bytes"])
@pytest.mark.parametrize("by", [-1, 1, 10**6])
def test_sizes_that_lie_are_found(tmp_path, field, by):
    record = pack(tmp_path)
    with pytest.raises(Damaged):
        packed.check(tmp_path, replace(record, **{field: getattr(record, field) + by}))


@pytest.mark.parametrize("field", ["sha256", "plain_sha256"])
def test_digests_that_lie_are_found(tmp_path, field):
    with pytest.raises(Damaged, match="digest"):
        packed.check(tmp_path, replace(pack(tmp_path), **{field: "0" * 64}))


def test_what_follows_the_end_is_found(tmp_path):
    record = pack(tmp_path)
    file = tmp_path / record.path
    data = file.read_bytes() + b"more"
    file.write_bytes(data)
    record = replace(record, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(Damaged):
        packed.check(tmp_path, record)


@pytest.mark.parametrize("kind", ["link", "parent", "fifo", "directory", "missing"])
def test_only_regular_files_below_the_bundle_are_read(tmp_path, kind):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    record = pack(bundle)
    file = bundle / record.path
    if kind == "parent":
        file.parent.rename(tmp_path / "elsewhere")
        file.parent.symlink_to(tmp_path / "elsewhere")
    else:
        file.rename(tmp_path / "elsewhere")
    if kind == "link":
        file.symlink_to(tmp_path / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    with pytest.raises(Damaged, match=r"volumes/v\.tar\.zst"):
        packed.check(bundle, record)


def bomb(root, claims, content=2**34):
    (root / "layers").mkdir()
    path = "layers/x.tar.zst"
    packing = zstandard.ZstdCompressor(level=3).compressobj()
    zeros = bytes(2**20)
    data = b"".join(packing.compress(zeros) for _ in range(content // 2**20 // 64))
    data = (data + packing.flush()) * 64
    (root / path).write_bytes(data)
    return FileRecord(path, len(data), hashlib.sha256(data).hexdigest(), claims, "0" * 64)


def test_a_bomb_is_refused_before_it_is_read(tmp_path):
    record = bomb(tmp_path, claims=2**34)
    seen = []
    with pytest.raises(Damaged, match="more than 1000 times"):
        packed.check(tmp_path, record, on_read=seen.append)
    assert not seen


def test_a_bomb_that_denies_it_yields_no_more_than_it_admits(tmp_path):
    record = bomb(tmp_path, claims=10**6)
    tracemalloc.start()
    with pytest.raises(Damaged, match="more than the manifest says"):
        packed.check(tmp_path, record)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * 2**20


def test_a_huge_window_is_refused(tmp_path):
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    data = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = data.compress(TEXT) + data.flush()
    (tmp_path / "x.zst").write_bytes(data)
    digests = hashlib.sha256(data).hexdigest(), hashlib.sha256(TEXT).hexdigest()
    record = FileRecord("x.zst", len(data), digests[0], len(TEXT), digests[1])
    with pytest.raises(Damaged, match="memory"):
        packed.check(tmp_path, record)


def test_an_honest_file_of_zeros_is_no_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("dockerstorage_lib.adapters.packer.SMALL_BYTES", 2**20)
    monkeypatch.setattr("dockerstorage_lib.adapters.packed.SMALL_BYTES", 2**20)
    record = pack(tmp_path, bytes(30 * 2**20))
    assert record.plain_bytes / record.bytes <= packed.MAX_RATIO
    assert read(tmp_path, record) == bytes(30 * 2**20)


def test_without_zstandard_all_else_loads_and_the_remedy_is_told(tmp_path, monkeypatch):
    record = pack(tmp_path)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    for act in (lambda: pack(tmp_path), lambda: packed.check(tmp_path, record)):
        with pytest.raises(Refused, match="salt-pip install zstandard"):
            act()
    pack(tmp_path, path="images/plain.json")
    library = packed.__file__.rpartition("/dockerstorage_lib")[0]
    code = (
        "import sys; sys.modules['zstandard'] = None;"
        "import dockerstorage_lib.adapters.packed, dockerstorage_lib.adapters.tree"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": library})


def test_progress_counts_the_bytes_of_the_file(tmp_path):
    record, seen = pack(tmp_path), []
    packed.check(tmp_path, record, on_read=seen.append)
    assert sum(seen) == record.bytes


def test_who_hears_of_progress_may_stop_it(tmp_path):
    class Stopped(Exception):
        pass

    def stop(count):
        raise Stopped

    with pytest.raises(Stopped):
        packed.check(tmp_path, pack(tmp_path), on_read=stop)


def test_small_reads_see_it_all(tmp_path):
    record = pack(tmp_path)
    out = io.BytesIO()
    with packed.unpack(tmp_path, record) as content:
        while data := content.read(777):
            out.write(data)
    assert out.getvalue() == TEXT
