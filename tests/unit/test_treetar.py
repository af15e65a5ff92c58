"""The reader takes what the writer writes, and nothing else."""

import contextlib
import io
import resource
import tarfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dockerstorage_lib import tarheader
from dockerstorage_lib.adapters import tree
from dockerstorage_lib.errors import Damaged, Refused
from dockerstorage_lib.tree import Entry, order
from dockerstorage_lib.treetar import read_tar, write_tar
from tests.unit.trees import look

ROOT = Entry("", "directory", 0o755)
DATA = Path(__file__).parent / "data"


def tar(*entries, content=b"content"):
    """A tar of entries as they are, whether that makes sense or not."""
    out = io.BytesIO()
    write_tar(entries, lambda entry: io.BytesIO(content), out.write)
    return out.getvalue()


def read(data, whiteouts=False):
    return [
        (entry, file and file.read())
        for entry, file in read_tar(io.BytesIO(data), "the tar", whiteouts)
    ]


def file(path, **fields):
    return Entry(path, "file", 0o644, size=7, **fields)


def folder(path):
    return Entry(path, "directory", 0o755)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], "no root"),
        ([file("a")], "not the root"),
        ([ROOT, ROOT], "there twice"),
        ([ROOT, file("../a")], "no path below"),
        ([ROOT, file("/etc/a")], "no path below"),
        ([ROOT, folder("a"), file("a/../b")], "no path below"),
        ([ROOT, folder("a"), file("a/./b")], "no path below"),
        ([ROOT, folder("a"), file("a//b")], "no path below"),
        ([ROOT, file("..")], "no path below"),
        ([ROOT, folder("..")], "no path below"),
        ([ROOT, file("é/../b")], "no path below"),
        ([ROOT, file("é\0")], "no path below"),
        ([ROOT, file("n" * 256)], "too long"),
        ([ROOT, file("/".join("a" * 401))], "deeper"),
        ([ROOT, file("a/b")], "lies in no directory"),
        ([ROOT, Entry("a", "symlink", target="/etc"), file("a/b")], "lies in no directory"),
        ([ROOT, file("a"), file("a/b")], "lies in no directory"),
        ([ROOT, file("b"), file("a")], "out of order"),
        ([ROOT, file("a"), file("a")], "there twice"),
        ([ROOT, folder("a"), folder("a")], "there twice"),
        ([ROOT, folder("a"), file("b"), file("a/x")], "out of order"),
        ([ROOT, Entry("a", "hardlink", target="/etc/passwd")], "no earlier file"),
        ([ROOT, Entry("a", "hardlink", target="a")], "no earlier file"),
        ([ROOT, file("a"), Entry("b", "hardlink", target="a")], "no earlier file"),
        ([ROOT, Entry("a", "hardlink", target="b"), file("b", links=1)], "no earlier file"),
        (
            [ROOT, file("a", links=1), *(Entry(n, "hardlink", target="a") for n in "bc")],
            "no earlier file",
        ),
        ([ROOT, Entry("a", "symlink", target="é\0")], "too long or has a NUL"),
        ([ROOT, Entry("a", "symlink", target="t" * 4096)], "too long or has a NUL"),
        ([ROOT, Entry("a", "symlink")], "the target of a symlink is ''"),
        ([ROOT, file("a", target="b")], "the target of a file is 'b'"),
        ([ROOT, file("a", uid=2**32 - 1)], "uid"),
        ([ROOT, Entry("a", "character", device=(4096, 0))], "device"),
        ([ROOT, file("a", mtime_ns=10**28)], "no time"),
        ([ROOT, file("a", xattrs={"n" * 256: b""})], "name of an xattr"),
        ([ROOT, file("a", xattrs={"": b""})], "name of an xattr"),
        ([ROOT, Entry("a", "fifo", links=2)], "no content"),
    ],
)
def test_what_would_do_harm_or_makes_no_sense_is_damaged(entries, said):
    with pytest.raises(Damaged, match="the tar is damaged") as raised:
        read(tar(*entries))
    assert said in raised.value.why


WHITEOUT = Entry(".wh.x", "file")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([Entry(".wh.", "file")], "deletes nothing"),
        ([Entry(".wh..", "file")], "deletes nothing"),
        ([Entry(".wh...", "file")], "deletes nothing"),
        ([Entry(".wh..wh.plnk", "file")], "deletes nothing"),
        ([folder(".wh.x")], "no whiteout"),
        ([file(".wh.x")], "no whiteout"),
        ([Entry(".wh.x", "symlink", target="y")], "no whiteout"),
        ([replace(WHITEOUT, xattrs={"user.x": b""})], "no whiteout"),
        ([WHITEOUT, file("x")], "there and deleted"),
        ([WHITEOUT, folder("x")], "there and deleted"),
        ([file("!"), Entry(".wh.!", "file")], "there and deleted"),
        ([folder("-a"), file("-a/b"), Entry(".wh.-a", "file")], "there and deleted"),
        ([Entry("gone", "character", device=(0, 0))], "deletion of another form"),
        ([file("a", xattrs={"trusted.overlay.redirect": b"/"})], "overlay"),
        ([file("a", xattrs={"user.overlay.opaque": b"y"})], "overlay"),
    ],
)
def test_deletions_that_make_no_sense_are_damaged(entries, said):
    with pytest.raises(Damaged) as raised:
        read(tar(ROOT, *entries), whiteouts=True)
    assert said in raised.value.why


def test_whiteouts_are_read_and_are_plain_names_elsewhere():
    entries = [ROOT, Entry(".wh..wh..opq", "file"), file("!"), WHITEOUT, file("y")]
    for whiteouts in (True, False):
        assert [one for one, _ in read(tar(*entries), whiteouts)] == entries
    with_content = tar(ROOT, file(".wh.x"), file("x"))
    assert len(read(with_content)) == 3


GOOD = (ROOT, folder("d"), file("d/f", links=1, xattrs={"user.x": b"\0=\n"}),
        Entry("d/g", "hardlink", target="d/f"), Entry("é", "symlink", target="x"))  # fmt: skip


def test_every_cut_is_damaged():
    whole = tar(*GOOD)
    assert len(read(whole)) == len(GOOD)
    for length in range(0, len(whole), 19):
        with pytest.raises(Damaged):
            read(whole[:length])


def test_what_follows_the_end_is_damaged():
    for more in (b"\0", b"x", bytes(512), tar(*GOOD)):
        with pytest.raises(Damaged, match="follows its end"):
            read(tar(*GOOD) + more)


def test_nothing_hides_in_the_filling_of_blocks():
    whole = tar(ROOT, file("a"))
    content = whole.index(b"content")
    header = whole.rindex(b"mtime=", 0, content)
    for at in (content + 7, content + 511, header + 100):
        assert whole[at] == 0
        with pytest.raises(Damaged, match="hidden in the filling"):
            read(whole[:at] + b"x" + whole[at + 1 :])


def test_a_flipped_bit_never_gives_anything_but_damaged_or_entries_within():
    whole = tar(*GOOD)
    for at in range(len(whole)):
        altered = bytearray(whole)
        altered[at] ^= 1 << at % 7
        with contextlib.suppress(Damaged):
            assert_within(entry for entry, _ in read(bytes(altered)))


def assert_within(entries):
    """Nothing leads out of the root: every parent is a directory, every link's target a file."""
    kinds = {}
    for entry in entries:
        parts = entry.path.split("/") if entry.path else []
        assert not {"", ".", ".."} & set(parts)
        assert entry.path not in kinds
        for depth in range(len(parts)):
            assert kinds["/".join(parts[:depth])] == "directory"
        if entry.kind == "hardlink":
            assert kinds[entry.target] == "file"
        kinds[entry.path] = entry.kind
    return kinds


@pytest.mark.parametrize(
    "data",
    [
        b"", bytes(512), bytes(1024), b"x" * 512, b"\0" * 511 + b"x",
        tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT) + bytes(1024),
        tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT) + bytes(1024),
        tarfile.TarInfo("n" * 200).tobuf(tarfile.GNU_FORMAT) + bytes(1024),
        tarfile.TarInfo.create_pax_global_header({"path": "/etc/passwd"}) + tar(*GOOD),
    ],
)  # fmt: skip
def test_other_tars_are_damaged(data):
    with pytest.raises(Damaged):
        read(data)


def pax(records, name="a", **fields):
    """A root and a member of which every record is chosen."""
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    info.pax_headers = {"mtime": "1.000000000"} | records
    return tar(ROOT)[:-1024] + info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)


@pytest.mark.parametrize(
    ("records", "fields"),
    [
        ({"path": "../x"}, {}),
        ({"path": "/x"}, {}),
        ({"path": ""}, {}),
        ({"GNU.sparse.name": "../x"}, {}),
        ({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "../x"}, {}),
        ({"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"}, {}),
        ({"size": "-1"}, {}),
        ({"size": "99999999999999999999999"}, {}),
        ({"size": str(2**61)}, {}),
        ({"uid": "1e9"}, {}),
        ({"mtime": "1"}, {}),
        ({"mtime": "nan"}, {}),
        ({"linkpath": "/etc/passwd"}, {}),
        ({"linkpath": "/etc/passwd"}, {"type": tarfile.LNKTYPE}),
        ({"comment": "x"}, {}),
        ({"SCHILY.xattr.user.%41": "x"}, {}),
        ({"SCHILY.xattr.a%00b": "x"}, {}),
        ({"DOCKERSTORAGE.links": "-1"}, {}),
        ({}, {"type": tarfile.CONTTYPE}),
        ({}, {"type": tarfile.GNUTYPE_SPARSE}),
        ({}, {"type": b"Z"}),
        ({}, {"type": tarfile.DIRTYPE, "size": 512}),
        ({}, {"size": 2**33 - 1}),
        ({"path": "b/"}, {}),
        ({}, {"devmajor": 1, "devminor": 2, "type": tarfile.DIRTYPE}),
    ],
)
def test_records_that_lie_are_damaged(records, fields):
    if fields.get("devmajor"):
        pytest.importorskip("tarfile")  # newer Pythons leave the field empty: nothing to refuse
        if tarfile.TarInfo.frombuf(pax(records, **fields)[-1536:-1024], "utf-8", "").devmajor == 0:
            return
    with pytest.raises(Damaged):
        read(pax(records, **fields))


@pytest.mark.parametrize(
    "raw",
    [
        b"5 a=b\n", b"7 a=b\n", b"0 a=b\n", b"x a=b\n", b"6 a=b\n6 a=c\n", b"6 ab \n", b"6 a=b\n\0",
        b"999999 a=b\n", b" 6 a=b\n", b"-6 a=b\n", b"6a=b\n\n", b"\xb2 a=b\n", b"4 =\n",
    ],
)  # fmt: skip
def test_records_are_read_to_the_byte(raw):
    if raw == b"4 =\n":
        assert tarheader.parse_records(raw) == {b"": b""}
        return
    with pytest.raises(ValueError, match="no record"):
        tarheader.parse_records(raw)
    assert tarheader.parse_records(b"6 a=b\n7 b=\n=\n") == {b"a": b"b", b"b": b"\n="}


def test_an_endless_header_is_not_read_into_memory():
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**32
    tracemalloc.start()
    with pytest.raises(Damaged, match="size of the extended header"):
        read(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def sparse(table, size=100, stored=None):
    """A member with a sparse map of one's own."""
    body = table + bytes(-len(table) % 512)
    entry = Entry("a", "file", size=size)
    blocks = tarheader.header(entry, len(body) if stored is None else stored)
    return tar(ROOT)[:-1024] + blocks + body + bytes(1024)


@pytest.mark.parametrize(
    "table",
    [
        b"", b"0\n", b"1\n", b"-1\n", b"1\n0\n101\n", b"2\n0\n10\n5\n1\n", b"1\n50\n-5\n",
        b"99999999999\n", b"1" * 600, b"1\n100\n0\nx", b"1\n\n0\n", b"1\n1_0\n0\n", b"1\n101\n0\n",
    ],
)  # fmt: skip
def test_maps_of_holes_that_make_no_sense_are_damaged(table):
    with pytest.raises(Damaged):
        read(sparse(table))


def test_a_map_of_holes_and_the_size_must_agree():
    assert read(sparse(b"1\n100\n0\n"))[1][1] == bytes(100)
    with pytest.raises(Damaged, match="disagree"):
        read(sparse(b"1\n100\n0\n", stored=1024))
    with pytest.raises(Damaged, match="disagree"):
        read(sparse(b"1\n0\n10\n"))


NAMES = st.sampled_from(
    ["a", "b", "..", ".", "", "/", "a/b", "a/b/c", "../x", "/tmp/x", "a/../../x", ".wh.a",
     "a/.wh.b", ".wh..", ".wh..wh..opq", "a/.wh..wh..opq", "\udcff", "é", "a\0b", "./a", "n" * 300]
)  # fmt: skip
TYPES = st.sampled_from(
    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
)
MEMBERS = st.lists(st.tuples(NAMES, TYPES, NAMES, st.binary(max_size=600), st.booleans()),
                   max_size=8)  # fmt: skip


def python_tar(members):
    """What Python's own writer makes of members, with the records that ours has."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, type_, target, content, links in [
            ("./", tarfile.DIRTYPE, "", b"", False),
            *members,
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = type_, target
            info.mode = 0o700
            info.pax_headers = {"mtime": "1.000000000"}
            if links:
                info.pax_headers["DOCKERSTORAGE.links"] = "3"
            info.size = len(content) if type_ == tarfile.REGTYPE else 0
            with contextlib.suppress(ValueError):
                archive.addfile(info, io.BytesIO(content))
    # Python fills the last record with zeros, we do not.
    whole = out.getvalue()
    return whole[: len(whole.rstrip(b"\0")) + 511 & ~511] + bytes(1024) if members else whole


@given(MEMBERS, st.sampled_from([None, "remove", "overlay"]), st.booleans())
@example([("a", tarfile.SYMTYPE, "/tmp/x", b"", False), ("a/b", tarfile.REGTYPE, "", b"x", False)],
         None, True)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_members_of_any_kind_never_escape(tmp_path_factory, members, whiteouts, in_order):
    base = tmp_path_factory.mktemp("fuzz")
    (base / "x").write_text("sentinel")
    (base / "root" / "a").mkdir(parents=True)
    (base / "root" / "b").symlink_to(base)
    outside = look(base)
    if in_order:
        members = sorted(members, key=lambda one: order(one[0].rstrip("/")))
    entries = read_tar(io.BytesIO(python_tar(members)), "x", bool(whiteouts))
    seen = []

    def noted():
        for entry, content in entries:
            seen.append(entry)
            yield entry, content

    with contextlib.suppress(Damaged):
        tree.restore(noted(), base / "root", whiteouts)
    assert_within(seen)
    after = look(base)
    for path in (b"x", b"."):
        assert after[path] == outside[path]
    assert {path for path in after if not path.startswith(b"root")} == {b"x", b"."}


PATHS = st.lists(st.sampled_from(["a", "b", "é", "\udcfe", " ", "n" * 120]), max_size=4)


def lies_in_directories(made, path):
    parts = path.split("/")
    return all(made["/".join(parts[:n])].kind == "directory" for n in range(1, len(parts)))


@st.composite
def trees(draw):
    """Entries as a walk may yield them."""
    made = {"": ROOT}
    for parts in draw(st.lists(PATHS, max_size=12)):
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            made.setdefault(above, folder(above))
        path = "/".join(parts)
        if path not in made:
            made[path] = draw(st.builds(
                Entry, st.just(path), st.just("file"), st.integers(0, 0o7777),
                uid=st.integers(0, 2**32 - 2), gid=st.integers(0, 2**32 - 2),
                mtime_ns=st.integers(-(10**20), 10**20), size=st.just(7), links=st.integers(0, 3),
                xattrs=st.dictionaries(st.sampled_from(["user.a", "user.=%", "user.\udc80é"]),
                                       st.binary(max_size=300))))  # fmt: skip
    kept = [one for path, one in made.items() if lies_in_directories(made, path)]
    return sorted(kept, key=lambda one: order(one.path))


@given(trees())
@settings(deadline=None)
def test_any_entries_come_back_as_they_were(entries):
    found = read(tar(*entries))
    assert [one for one, _ in found] == entries
    assert all(content == b"content" for one, content in found if one.kind == "file")


class Pipe:
    """Hands what is written to who reads, without keeping it."""

    def __init__(self, pieces):
        self._pieces = pieces
        self._left = b""

    def read(self, count):
        while len(self._left) < count:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._left += piece
        data, self._left = self._left[:count], self._left[count:]
        return data


def test_memory_does_not_grow_with_the_members():
    def entries(count):
        yield ROOT
        for number in range(count):
            if number % 1000 == 0:
                yield folder(f"{number:09}")
            yield Entry(f"{number - number % 1000:09}/{number:09}", "file", uid=number, mtime_ns=1)

    def blocks(count):
        for entry in entries(count):
            yield tarheader.header(entry)
        yield bytes(1024)

    def peak(count):
        tracemalloc.start()
        seen = sum(1 for _ in read_tar(Pipe(blocks(count)), "x", True))
        try:
            assert seen == count + 1 + -(-count // 1000)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(5_000) < peak(500) + 2**16


def test_very_many_members_are_written_and_read_in_flat_memory(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    file = tmp_path / "many.tar"
    count = 40_000
    many = (Entry(f"{number:09}", "fifo") for number in range(count))
    with file.open("wb") as out:
        write_tar((one for part in ([ROOT], many) for one in part), None, out.write)
    with file.open("rb") as stream:
        assert sum(1 for _ in read_tar(stream, "x", False)) == count + 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 4_000, "KiB"


@pytest.mark.parametrize("size", [0, 2**33 - 1, 2**33, 2**44, 2**62])
def test_sizes_of_any_magnitude(size):
    entry = Entry("a", "file", size=size)
    for stored in (None, 512):
        blocks = tarheader.header(entry, stored)
        records = tarheader.parse_records(blocks[512 : 512 + tarheader.record_bytes(blocks[:512])])
        found = tarheader.parse_header(records, blocks[-512:])
        assert found == (entry, size if stored is None else stored, stored is not None)


def test_xattrs_that_the_reader_would_not_take_are_not_written():
    entry = file("a", xattrs={f"user.{number}": bytes(60_000) for number in range(200)})
    with pytest.raises(Refused, match="a: its extended attributes"):
        tar(ROOT, entry)


GOLDEN = (
    ROOT,
    Entry(".wh.gone", "file"),
    folder("dir"),
    Entry("dir/file", "file", 0o6755, 1000, 3_000_000, 1_500_000_000_123_456_789, 7, links=1,
          xattrs={"security.capability": b"\1\0\0\2\0 \0\0" + bytes(12)}),
    Entry("dir/link", "hardlink", 0o6755, 1000, 3_000_000, 1_500_000_000_123_456_789,
          target="dir/file"),
    Entry("null", "character", 0o666, device=(1, 3)),
    Entry("pipe", "fifo", 0o600, mtime_ns=-1),
    Entry("sym \udcff", "symlink", 0o777, target="../\u00e9"),
)  # fmt: skip


def test_what_was_written_once_stays_readable():
    """The file was written by the first release: later ones, on any Python, read it as it is."""
    data = (DATA / "tree.tar").read_bytes()
    assert [one for one, _ in read(data, whiteouts=True)] == list(GOLDEN)
