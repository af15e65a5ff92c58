"""Arguments are read as meant, or refused by name before anything is done."""

import math

import pytest

from dockerstorage_lib.errors import BadInput
from dockerstorage_lib.policy import (
    LabelRule,
    Policy,
    make_policy,
    read_age,
    read_label,
    read_percent,
    repository,
)


def test_the_defaults_are_the_careful_ones():
    assert make_policy() == Policy(
        labels=(LabelRule("protected"),),
        name_patterns=(),
        min_age_seconds=0,
        keep_tags=0,
        volumes="none",
        networks=True,
        build_cache=True,
        until_percent=None,
        own_labels_only=False,
    )


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("protected", LabelRule("protected")),
        ("protected=true", LabelRule("protected", "true")),
        ("a=b=c", LabelRule("a", "b=c")),
        ("empty=", LabelRule("empty", "")),
        ("com.example.größe=10 %", LabelRule("com.example.größe", "10 %")),
    ],
)
def test_labels_are_keys_or_pairs(text, rule):
    assert read_label(text) == rule
    assert str(rule) == text


@pytest.mark.parametrize(
    ("rule", "labels", "matches"),
    [
        ("protected", {"protected": ""}, True),
        ("protected", {"protected": "false"}, True),
        ("protected", {"unprotected": "true"}, False),
        ("protected=true", {"protected": "true"}, True),
        ("protected=true", {"protected": "True"}, False),
        ("protected=", {"protected": "true"}, False),
        ("protected=", {"protected": ""}, True),
    ],
)
def test_a_label_protects_by_key_or_by_exact_value(rule, labels, matches):
    assert read_label(rule).matches(labels) is matches


@pytest.mark.parametrize(
    "bad",
    [
        "",
        " ",
        "=x",
        "a==x",
        " protected",
        "protected =x",
        "a\nb",
        "protected!",
        "protected!=1",
        "protected,keep=yes",
        5,
        True,
    ],
)
def test_what_is_no_label_is_refused(bad):
    with pytest.raises(BadInput, match=r"^protect: "):
        read_label(bad)


@pytest.mark.parametrize(
    ("age", "seconds"),
    [
        (0, 0),
        (90, 90),
        (1.5, 1.5),
        ("90", 90),
        ("90s", 90),
        ("90m", 5400),
        (" 12 h ", 43200),
        ("7d", 604800),
        ("1.5w", 907200),
    ],
)
def test_ages(age, seconds):
    assert read_age(age) == seconds


@pytest.mark.parametrize("bad", [-1, "-1d", "1y", "d", "", None, True, "1h30m", math.nan, math.inf])
def test_what_is_no_age_is_refused(bad):
    with pytest.raises(BadInput, match=r"^min_age: "):
        read_age(bad)


@pytest.mark.parametrize("value", [0, 100, 72.5, "80"])
def test_percents(value):
    assert read_percent(value) == float(value)


@pytest.mark.parametrize("bad", [-0.1, 100.1, "80 %", math.nan, math.inf, True, [], {}])
def test_what_is_no_percent_is_refused(bad):
    with pytest.raises(BadInput, match=r"^until_percent: "):
        read_percent(bad)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"protect": ["ok", 5]}, "protect"),
        ({"protect": [None]}, "protect"),
        ({"protect_names": [7]}, "protect_names"),
        ({"protect_names": ""}, "protect_names"),
        ({"protect_names": "app[0-9"}, "protect_names"),
        ({"protect_names": "a\0"}, "protect_names"),
        ({"protect_names": "db-*,web-*"}, "protect_names"),
        ({"protect_names": "db-* web-*"}, "protect_names"),
        ({"min_age": "soon"}, "min_age"),
        ({"keep_tags": -1}, "keep_tags"),
        ({"keep_tags": "2"}, "keep_tags"),
        ({"keep_tags": True}, "keep_tags"),
        ({"volumes": "some"}, "volumes"),
        ({"volumes": 1}, "volumes"),
        ({"volumes": []}, "volumes"),
        ({"networks": "no"}, "networks"),
        ({"build_cache": 1}, "build_cache"),
        ({"until_percent": 101}, "until_percent"),
        ({"own_labels_only": None}, "own_labels_only"),
    ],
)
def test_the_bad_argument_is_named(arguments, name):
    with pytest.raises(BadInput, match=f"^{name}: "):
        make_policy(**arguments)


def test_one_text_is_a_list_of_one():
    policy = make_policy(protect="keep", protect_names="db*", volumes=True, until_percent="70")
    assert (policy.labels, policy.name_patterns) == ((LabelRule("keep"),), ("db*",))
    assert (policy.volumes, policy.until_percent) == ("anonymous", 70.0)


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_no_label_at_all_protects_nothing(nothing):
    assert make_policy(protect=nothing).protecting_label({"protected": "true"}) is None


@pytest.mark.parametrize("pattern", ["app[0-9]", "[!a]*", "[]]", "[!]]x", "*", "a?", "[a,b]*"])
def test_patterns_with_closed_sets_are_taken(pattern):
    assert make_policy(protect_names=pattern).name_patterns == (pattern,)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app", "app"),
        ("app:1", "app"),
        ("reg.local:5000/app", "reg.local:5000/app"),
        ("reg.local:5000/app:1", "reg.local:5000/app"),
        ("reg.local:5000/app@sha256:00", "reg.local:5000/app"),
        ("app:1@sha256:00", "app"),
    ],
)
def test_the_repository_of_a_name(name, expected):
    assert repository(name) == expected
