"""BuildKit's snapshot database is read, and a damaged one is refused."""

import gzip
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerstorage_lib.bolt import read_database
from dockerstorage_lib.errors import Unparsable

REAL = gzip.decompress((Path(__file__).parent / "data" / "snapshots.db.gz").read_bytes())


def test_a_real_database_is_read_with_its_nested_buckets():
    found = read_database(REAL)
    assert found[b"k40o4vz6ltanwwkx85ddkpwj8"] == {
        b"chainid": b"sha256:e8886ea8028a9753d47bc944cb524cbd1b033204c8efebfb753e96a2c264ebc8",
        b"committed": b"c6qy895ay7kbgrb9fz98xlrej",
    }
    assert found[b"n51yy7e0nncns416m5oclak1s"] == {b"parent": b"", b"size": b"35"}


def test_either_meta_page_is_enough():
    page = 4096
    for start in (0, page):
        damaged = bytearray(REAL)
        damaged[start + 16 : start + 20] = bytes(4)
        assert b"k40o4vz6ltanwwkx85ddkpwj8" in read_database(bytes(damaged))


@pytest.mark.parametrize("data", [b"", b"x" * 100, bytes(32768), REAL[:4096]])
def test_what_is_no_database_is_refused(data):
    with pytest.raises(Unparsable):
        read_database(data)


@given(st.lists(st.tuples(st.integers(0, len(REAL) - 1), st.integers(0, 255)), max_size=20))
@settings(deadline=None, max_examples=50)
def test_damage_ends_in_one_kind_of_error(changes):
    damaged = bytearray(REAL)
    for position, value in changes:
        damaged[position] = value
    with suppress(Unparsable):
        read_database(bytes(damaged))
