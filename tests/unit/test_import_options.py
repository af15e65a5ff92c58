"""Arguments of an import: read, or refused by their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib.errors import BadInput
from dockerstorage_lib.import_options import Pattern, read_options, valid_name


def test_patterns_are_for_one_kind_or_for_all():
    options = read_options(only=["web*", "volume:x", "lab/app:1", "image:lab/*"])
    assert options.only == (
        Pattern(None, "web*"),
        Pattern("volume", "x"),
        Pattern(None, "lab/app:1"),
        Pattern("image", "lab/*"),
    )


def test_names_of_a_kind_come_before_names_of_all():
    options = read_options(rename={"web": "all", "volume:web": "own", "a:1": "b:2"})
    assert options.new_name("container", "web") == "all"
    assert options.new_name("volume", "web") == "own"
    assert options.new_name("image", "a:1") == "b:2"
    assert options.new_name("network", "other") == "other"


BAD = [
    ("rename", ["a"]), ("rename", "a=b"), ("rename", {"a": 5}), ("rename", {5: "aa"}),
    ("rename", {"container:a": "../x"}), ("rename", {"a": ""}), ("rename", {"a": "x/y z"}),
    ("rename", {"network:a": "host"}), ("rename", {"image:a:1": "b"}),
    ("only", 5), ("only", [None]), ("only", ""), ("only", "volume:"), ("only", "a\nb"),
    ("on_conflict", "merge"), ("on_conflict", None), ("on_conflict", ["skip"]),
    ("start", "yes"), ("start", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_arguments_are_refused_by_their_names(name, value):
    with pytest.raises(BadInput, match=rf"^{name}: "):
        read_options(**{name: value})


@pytest.mark.parametrize(
    ("kind", "name", "valid"),
    [
        ("container", "web_1.x-y", True), ("container", "x", False), ("container", "-web", False),
        ("volume", "..", False), ("volume", "a/b", False), ("volume", "f" * 64, True),
        ("network", "my net", False), ("network", "_x", True), ("network", "container:x", False),
        ("network", "none", False), ("network", "default", False),
        ("image", "lab/app:1", True), ("image", "registry.test:5000/a/b:v1.2", True),
        ("image", "app", False), ("image", "app:", False), ("image", "../app:1", False),
        ("image", "lab//app:1", False), ("image", "localhost/x__y:latest", True),
        ("image", "a:b:c", False), ("image", "a" * 300 + ":1", False),
    ],
)  # fmt: skip
def test_names(kind, name, valid):
    assert valid_name(kind, name) is valid


@given(st.sampled_from(["container", "volume"]), st.text(max_size=20))
def test_a_valid_name_is_one_component_of_a_path(kind, name):
    if valid_name(kind, name):
        assert "/" not in name
        assert name not in (".", "..")
        assert "\0" not in name
        assert name.isascii()


def test_a_long_hostile_tag_is_judged_at_once():
    assert not valid_name("image", "a-" * 120 + "!")
