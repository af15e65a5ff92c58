"""The memory survives a restart, and whatever happened to its file is no error."""

from __future__ import annotations

import json
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib.errors import BadInput
from dockerstorage_lib.forecast import Track
from dockerstorage_lib.watch import Memory
from dockerstorage_lib.watch_memory import (
    LONGEST_NAME,
    Remembered,
    from_text,
    history_troubles,
    load,
    path,
    save,
    to_text,
)

MEMORY = Memory("warning", "warning", 7, 1.5, Track(100, ((1.0, 2), (2.0, 3))), Track(10, ()))
REMEMBERED = Remembered({"docker-8:1-5-pool": MEMORY, r"a\x20b": MEMORY}, 123.5, 124.5, "no room")


def test_what_is_kept_comes_back(tmp_path):
    file = path("host1-dockerstorage", tmp_path / "run")
    save(file, REMEMBERED)
    assert load(file) == REMEMBERED
    save(file, Remembered())
    assert load(file) == Remembered()
    assert [one.name for one in file.parent.iterdir()] == [file.name]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_no_memory_is_an_empty_one(tmp_path):
    assert load(tmp_path / "absent") == Remembered()
    (tmp_path / "torn").write_bytes(to_text(REMEMBERED).encode()[:-9] + b"\xff")
    assert load(tmp_path / "torn") == Remembered()


@given(st.integers(0, 500))
def test_a_torn_memory_is_an_empty_one(length):
    text = to_text(REMEMBERED)
    assert from_text(text[: min(length, len(text) - 1)]) == Remembered()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), lambda inner: (
    st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["format", "pools", "searched_at", "p", "data"]), inner)
)))  # fmt: skip
def test_a_strange_memory_is_no_error(document):
    assert isinstance(from_text(json.dumps(document)), Remembered)


def test_one_of_before_there_was_a_history_is_read():
    older = json.loads(to_text(REMEMBERED))
    del older["sampled_at"], older["history_trouble"]
    found = from_text(json.dumps(older))
    assert found == Remembered(REMEMBERED.pools, 123.5)


def test_troubles_of_a_history_that_was_written_since_are_over(tmp_path):
    for name, at in (("a", 124.5), ("b", 124.5), ("c", 5.0)):
        save(path(name, tmp_path), Remembered({}, None, at, f"no room {at}"))
    save(path("d", tmp_path), Remembered({}, None, 200.0))
    assert history_troubles(100, tmp_path) == ["no room 124.5"]
    assert history_troubles(125, tmp_path) == []
    assert history_troubles(0, tmp_path / "absent") == []


def test_one_of_another_format_is_an_empty_one():
    assert from_text(to_text(REMEMBERED).replace('"format":1', '"format":2')) == Remembered()


def test_no_name_leads_out_of_the_folder(tmp_path):
    for name in ("../../etc/passwd", "a/b", "..", "a\0b", "host 1"):
        assert path(name, tmp_path).parent == tmp_path
        assert "/" not in path(name, tmp_path).name
    for name in ("", "x" * (LONGEST_NAME + 1), None, 5):
        with pytest.raises(BadInput, match="memory"):
            path(name, tmp_path)
