"""What is done about a pool that fills up."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib.errors import BadInput
from dockerstorage_lib.remedy import (
    Condition,
    Remedy,
    RemedyPolicy,
    next_remedy,
    read_policy,
    solved,
)

WELL = Condition("ok", 50.0, 10.0, True, True, 1 << 30, ("/dev/sdc",))
POLICY = read_policy({})


def decided(policy=POLICY, tried=(), **seen):
    found = next_remedy(replace(WELL, **seen), policy, tried)
    return (found.kind, found.part) if isinstance(found, Remedy) else found


def test_defaults():
    assert read_policy({"cooldown": "1m", "order": ["prune", "extend", "spare"]}) == replace(
        RemedyPolicy(), prune={}
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, "the fill is below"),
        ({"data_percent": 79.9}, "the fill is below"),
        ({"data_percent": 80}, ("prune", "data")),
        ({"data_percent": 80, "prunable": False}, ("extend", "data")),
        ({"data_percent": 80, "prunable": False, "vg_free_bytes": 0}, ("spare", "data")),
        ({"metadata_percent": 85}, ("extend", "metadata")),
        ({"metadata_percent": 85, "vg_free_bytes": 0, "spares": ()}, ("prune", "metadata")),
        ({"metadata_percent": 85, "data_percent": 99}, ("extend", "metadata")),
        ({"health": "out_of_data_space", "data_percent": 100}, ("extend", "data")),
        (
            {"health": "out_of_data_space", "vg_free_bytes": 0, "spares": ()},
            ("prune", "data"),
        ),
        ({"health": "read_only", "metadata_percent": 100}, ("extend", "metadata")),
        ({"health": "read_only", "vg_free_bytes": 0}, ("spare", "metadata")),
        ({"health": "needs_check"}, "run dockerstorage.recover"),
        ({"health": "failed"}, "mend the disk"),
        ({"data_percent": 95, "extensible": False}, ("prune", "data")),
    ],
)
def test_decisions(seen, expected):
    found = decided(**seen)
    assert expected in found if isinstance(expected, str) else found == expected


def test_the_order_is_the_operators():
    policy = read_policy({"order": ["spare", "prune"]})
    assert decided(policy, data_percent=90) == ("spare", "data")
    only = read_policy({"order": ["extend"]})
    told = decided(only, data_percent=90, vg_free_bytes=0)
    assert "prune: not allowed; extend: the volume group has no room" in told


def test_a_remedy_has_to_bring_the_fill_well_below_the_trigger():
    prune = [Remedy("prune", "data", "")]
    assert decided(tried=prune, data_percent=76) == ("extend", "data")
    assert "is below" in decided(tried=prune, data_percent=74.9)
    assert solved(replace(WELL, data_percent=79), POLICY)
    assert not solved(replace(WELL, health="read_only"), POLICY)


conditions = st.builds(
    Condition,
    st.sampled_from(["ok", "out_of_data_space", "read_only", "needs_check", "failed"]),
    st.floats(0, 100),
    st.floats(0, 100),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 1 << 30]),
    st.sampled_from([(), ("/dev/sdc",), ("/dev/sdc", "/dev/sdd")]),
)
policies = st.lists(st.sampled_from(["prune", "extend", "spare"]), unique=True).map(
    lambda order: read_policy({"order": order})
)


@given(conditions, policies)
def test_it_ends_and_never_does_what_it_must_not(seen, policy):
    """Even when nothing helps, every remedy is tried once at most and then it ends."""
    tried = []
    while isinstance(remedy := next_remedy(seen, policy, tried), Remedy):
        assert remedy.kind in policy.order
        assert seen.health not in ("needs_check", "failed")
        assert not (remedy.kind == "prune" and seen.health == "read_only")
        assert not (remedy.kind == "prune" and not seen.prunable)
        tried.append(remedy)
        if remedy.kind == "spare":
            seen = replace(seen, spares=seen.spares[1:])
        assert len(tried) <= 5
    assert [one.kind for one in tried].count("prune") <= 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"trigger_percent": 200}, "trigger_percent"),
        ({"target_percent": 80}, "target_percent: 80 must be"),
        ({"order": ["prune", "prune"]}, "order"),
        ({"order": "reboot"}, "order"),
        ({"cooldown": -1}, "cooldown: -1"),
        ({"spare_devices": 1}, "spare_devices"),
        ({"prune": {"until_percent": 5}}, "prune"),
        ({"prune": ["min_age"]}, "prune"),
        ({"targets": 5}, "targets: no key of the policy"),
    ],
)
def test_bad_policies(given, told):
    with pytest.raises(BadInput, match=told):
        read_policy(given)
