"""Layers put together again; the sample is a real layer's, with the files it stands for."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from dockerstorage_lib.adapters.rooted import Root
from dockerstorage_lib.errors import Damaged, Unparsable
from dockerstorage_lib.tarsplit import assemble, assemble_rest, parse_piece

DATA = Path(__file__).with_name("data")


def test_a_real_layer_has_its_digest_again(tmp_path: Path) -> None:
    facts = json.loads((DATA / "tar-split-layer.json").read_text())
    for name, content in facts["files"].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content))
    lines = gzip.decompress((DATA / "tar-split.json.gz").read_bytes()).splitlines()
    with Root(tmp_path) as root:
        stream = b"".join(assemble(lines, root.open, "x"))
    assert f"sha256:{hashlib.sha256(stream).hexdigest()}" == facts["diff_id"]
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        assert {one.name for one in archive if one.isfile() or one.islnk()} == set(facts["files"])


@contextmanager
def opened(name: bytes) -> Iterator[BinaryIO]:
    yield io.BytesIO(name * 3)


def entry(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_pieces_follow_one_another_and_odd_names_are_read() -> None:
    lines = [
        entry(type=2, payload=base64.b64encode(b"head").decode(), position=0),
        entry(type=1, name="a", size=3, payload="AAAA", position=1),
        entry(type=1, name_raw=base64.b64encode(b"\xff").decode(), size=2, position=2),
        entry(type=1, name="empty", position=3),
        entry(type=2, payload=base64.b64encode(b"tail").decode(), position=4),
    ]
    assert b"".join(assemble(lines, opened, "x")) == b"headaaa\xff\xfftail"


def test_a_file_that_is_short_or_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=r"layer abc is damaged: b'a' is 2 bytes too short"):
        list(assemble([entry(type=1, name="a", size=5)], opened, "abc"))
    with Root(tmp_path) as root, pytest.raises(Damaged, match="b'gone': No such file"):
        list(assemble([entry(type=1, name="gone", size=1)], root.open, "abc"))


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"{}", b'{"type": 3}', b'{"type": 1, "size": "x"}', b"null"]
)
def test_what_is_no_entry_is_told(line: bytes) -> None:
    with pytest.raises(Unparsable):
        parse_piece(line)


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("absolute", "/inside"),
        ("upward", "../../../../inside"),
        ("chain", "absolute"),
    ],
)
def test_links_of_a_layer_lead_nowhere_but_into_it(tmp_path: Path, link: str, target: str) -> None:
    layer = tmp_path / "layer"
    (layer / "inside").mkdir(parents=True)
    (layer / "inside" / "file").write_text("the layer's")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file").write_text("somebody else's")
    (layer / "absolute").symlink_to("/inside")
    if link != "absolute":
        (layer / link).symlink_to(target)
    with Root(layer) as root, root.open(f"./{link}/file".encode()) as file:
        assert file.read() == b"the layer's"


def test_a_link_as_the_file_itself_and_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").symlink_to("/etc/passwd")
    (tmp_path / "circle").symlink_to("circle")
    with Root(tmp_path) as root:
        for name in (b"file", b"circle/x"):
            with pytest.raises(OSError, match="Too many levels"), root.open(name):
                pass


def test_of_a_damaged_layer_the_rest_comes_and_each_bad_file_is_named(tmp_path: Path) -> None:
    facts = json.loads((DATA / "tar-split-layer.json").read_text())
    names = sorted(name for name, content in facts["files"].items() if content)
    for name, content in facts["files"].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content))
    lines = gzip.decompress((DATA / "tar-split.json.gz").read_bytes()).splitlines()
    told: list[tuple[str, str]] = []

    def rest() -> bytes:
        told.clear()
        with Root(tmp_path) as root:
            return b"".join(assemble_rest(lines, root.open, lambda *one: told.append(one)))

    whole = rest()
    assert (f"sha256:{hashlib.sha256(whole).hexdigest()}", told) == (facts["diff_id"], [])
    changed = tmp_path / names[0]
    content = changed.read_bytes()
    changed.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert len(rest()) == len(whole)
    assert [why for _, why in told] == ["its content has changed"]
    changed.write_bytes(content[:-1])
    assert (
        rest()
        == whole[: whole.index(content)]
        + content[:-1]
        + b"\0"
        + whole[whole.index(content) + len(content) :]
    )
    assert [why for _, why in told] == ["1 bytes too short"]
    changed.unlink()
    assert len(rest()) == len(whole)
    assert [why for _, why in told] == ["No such file or directory"]
