"""Keys of a JSON file change, and nothing else of its text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib.errors import Refused
from dockerstorage_lib.jsonedit import change, read

FILE = """{
  "log-opts": {"max-size": "10m",   "max-file": "3"},
\t"storage-driver" : "devicemapper",
  "storage-opts": [
    "dm.fs=xfs",
    "dm.basesize=20G"
  ],
  "live-restore":true
}
"""


def test_a_value_is_replaced_and_the_rest_stays():
    after = change(FILE, "f", {"storage-driver": "overlay2"})
    assert after == FILE.replace("devicemapper", "overlay2")


def test_a_key_goes_with_its_comma():
    after = change(FILE, "f", {"storage-driver": None, "storage-opts": None})
    assert (
        after
        == """{
  "log-opts": {"max-size": "10m",   "max-file": "3"},
  "live-restore":true
}
"""
    )


def test_the_first_and_the_last_go():
    assert change('{\n  "a": 1,\n  "b": 2\n}\n', "f", {"a": None}) == '{\n  "b": 2\n}\n'
    assert change('{\n  "a": 1,\n  "b": 2\n}\n', "f", {"b": None}) == '{\n  "a": 1\n}\n'
    assert change('{ "a": 1 }', "f", {"a": None}) == "{}"


def test_new_keys_look_like_the_others():
    after = change('{\n\t"a": 1\n}', "f", {"b": ["x", "y"], "c": "z"})
    assert after == '{\n\t"a": 1,\n\t"b": [\n\t\t"x",\n\t\t"y"\n\t],\n\t"c": "z"\n}'
    assert change('{"a": 1}\n', "f", {"b": ["x"]}) == '{"a": 1, "b": ["x"]}\n'
    assert change('{\r\n  "a": 1\r\n}', "f", {"b": ["x"]}) == (
        '{\r\n  "a": 1,\r\n  "b": [\r\n    "x"\r\n  ]\r\n}'
    )


@pytest.mark.parametrize("text", ["", "\n", "{}", "{}\n", "{ }\n"])
def test_an_empty_file(text):
    after = change(text, "f", {"storage-driver": "vfs"})
    assert json.loads(after) == {"storage-driver": "vfs"}
    assert after.startswith('{\n    "storage-driver": "vfs"\n}')


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{\n  "a": 1,\n}', "d.json is no valid JSON: line 2, column 9|line 3, column 1"),
        ('{\n  "a": 1\n  "b": 2}', "line 3, column 3"),
        ('{"a": 1} x', "line 1, column 10"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ('{"a": {"b": 1, "b": 1}}', "'b' is there twice"),
        ("[]", "no JSON object"),
        ('{"a": NaN}', "NaN is no number"),
        ("\ufeff{}", "line 1, column 1"),
    ],
)
def test_what_cannot_be_read_is_never_written(text, why):
    with pytest.raises(Refused, match=why):
        read(text, "d.json")
    with pytest.raises(Refused, match=why):
        change(text, "d.json", {"k": "v"})


KEYS = st.sampled_from(["a", "b", "{", '"', "ü}", "storage-driver"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('a"{}[],:\\', max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(KEYS, VALUES, max_size=5),
    st.dictionaries(KEYS, st.none() | st.text(max_size=3) | st.lists(st.text(max_size=2))),
    st.sampled_from([None, 1, 4, "\t"]),
)  # fmt: skip
def test_any_file_is_changed_to_just_what_was_wanted(found, values, indent):
    text = json.dumps(found, indent=indent)
    after = change(text, "f", values)
    kept = {key: value for key, value in found.items() if key not in values}
    expected = {key: value for key, value in values.items() if value is not None}
    assert json.loads(after) == {**kept, **expected}
    # And what is not changed is there, letter by letter.
    if not values:
        assert after == text
