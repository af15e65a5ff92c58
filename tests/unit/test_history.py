"""The history keeps its bound whatever happens, the newest sample, and how full a pool got."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerstorage_lib.history import (
    DAY_SECONDS,
    MOST_BYTES,
    SAMPLE_SECONDS,
    SPANS,
    Row,
    append,
    from_text,
    is_due,
    thin,
    to_text,
)

NOW = 1_700_000_000


def row(at: int, data: int = 50, metadata: int = 10, total: int = 100) -> Row:
    return Row(at, data, total, metadata, total)


def months(pools: int, step: int = SAMPLE_SECONDS, days: int = 90) -> dict[str, tuple[Row, ...]]:
    """What pools that never rest would have left behind, unthinned."""
    times = range(NOW - days * DAY_SECONDS, NOW, step)
    rows = tuple(Row(at, at % 10**7, 10**7, at % 10**5, 10**5) for at in times)
    return {f"pool-{number}": rows for number in range(pools)}


@pytest.mark.parametrize("pools", [1, 2, 20])
def test_months_of_samples_fit(pools):
    kept = append(months(pools, step=2400), {"pool-0": row(NOW)}, NOW)
    assert len(to_text(kept)) <= MOST_BYTES
    assert kept.keys() == {f"pool-{number}" for number in range(pools)}
    assert kept["pool-0"][-1] == row(NOW)


def test_a_single_pool_has_all_that_is_promised():
    (rows,) = append(months(1), {"pool-0": row(NOW)}, NOW).values()
    times = [one.at for one in rows]
    for youngest, (oldest, span) in zip((0, DAY_SECONDS, 7 * DAY_SECONDS), SPANS, strict=True):
        aged = [at for at in times if youngest < NOW - at <= oldest]
        gaps = [later - earlier for earlier, later in pairwise(aged)]
        assert max(gaps) <= 2 * span
        assert len(aged) >= (oldest - youngest) // span - 1
    assert len(to_text({"pool-0": rows})) < MOST_BYTES // 2


def test_more_pools_than_fit_leave_those_seen_last():
    names = [f"docker-8:1-{number}-pool".ljust(127, "x") for number in range(5000)]
    old = {name: (row(NOW - 600),) for name in names}
    kept = append(old, {names[-1]: row(NOW)}, NOW)
    assert len(to_text(kept)) <= MOST_BYTES
    assert kept[names[-1]][-1] == row(NOW)
    assert len(kept) > 200


samples = st.tuples(
    st.sampled_from(["a", "b", "ü" * 60, "docker-8:1-5-pool"]),
    st.integers(-(10**8), 10**8),  # a clock that jumps both ways, years at once
    st.integers(0, 2**62),
    st.integers(0, 2**62),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(samples, max_size=25), st.sampled_from([0, 1, 30]))
def test_whatever_is_sampled_the_bound_holds_and_the_newest_is_kept(jumps, pools):
    kept = months(pools, step=3 * 3600)
    now = NOW
    for pool, jump, used, total in jumps:
        now = max(0, now + jump)
        newest = Row(now, used, total, used, total)
        kept = append(kept, {pool: newest}, now)
        assert newest in kept[pool]
        assert len(to_text(kept)) <= MOST_BYTES
        assert all(list(rows) == sorted(set(rows)) and rows for rows in kept.values())
        assert from_text(to_text(kept)) == kept


@given(
    st.lists(
        st.builds(row, st.integers(NOW - 89 * DAY_SECONDS, NOW), st.integers(0, 100)),
        min_size=1,
        unique_by=lambda one: one.at,
    ),
    st.sampled_from([1, 2, 8]),
)
def test_thinning_keeps_how_full_it_got_and_thins_once(rows, coarseness):
    kept = thin(sorted(rows), NOW, coarseness)
    assert set(kept) <= set(rows)
    assert max(kept, key=lambda one: one.at).at == max(one.at for one in rows)
    assert max(one.data_percent for one in kept) == max(one.data_percent for one in rows)
    assert thin(kept, NOW, coarseness) == kept


def test_full_metadata_is_as_worth_keeping_as_full_data():
    at = NOW // 3600 * 3600 - 3 * DAY_SECONDS
    fuller = row(at + 600, data=50, metadata=90)
    assert thin([row(at, 55), fuller, row(at + 1200, 60), row(NOW)], NOW) == (fuller, row(NOW))


def test_a_clock_put_back_by_hours_loses_nothing():
    kept: dict[str, tuple[Row, ...]] = {}
    for number in range(20):
        kept = append(kept, {"p": row(NOW + number * 300)}, NOW + number * 300)
    back = NOW - 6 * 3600
    kept = append(kept, {"p": row(back)}, back)
    assert len(kept["p"]) == 21


def test_one_sample_in_five_minutes_is_due():
    assert is_due(None, NOW)
    assert not is_due(NOW, NOW + SAMPLE_SECONDS - 1)
    assert is_due(NOW, NOW + SAMPLE_SECONDS)
    assert is_due(NOW, NOW - 1), "the clock was put back"


TEXT = to_text({"a b": (row(NOW - 300), row(NOW)), "c": (row(5),)})


@given(st.integers(0, 200))
def test_a_torn_text_is_no_history(length):
    assert from_text(TEXT[: min(length, len(TEXT) - 1)]) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", '"x"', "{}", '{"format":2,"pools":{}}', '{"format":1}',
        '{"format":1,"pools":[]}', '{"format":1,"pools":{"p":7}}', "[" * 100_000,
        *(f'{{"format":1,"pools":{{"p":[{one}]}}}}' for one in (
            "1", "[1,2,3,4]", "[1,2,3,4,5,6]", "[1,2,3,4,null]", "[1,2,3,4,-1]", "[1,2,3,4,0.5]",
            "[1,2,3,4,true]", f"[{10**400},2,3,4,5]", "[NaN,2,3,4,5]",
        )),
    ],
)  # fmt: skip
def test_a_strange_text_is_no_history(text):
    assert from_text(text) is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), lambda inner: (
    st.lists(inner, max_size=5)
    | st.dictionaries(st.sampled_from(["format", "pools", "p"]), inner)
)))  # fmt: skip
def test_no_document_is_an_error(document):
    found = from_text(json.dumps(document))
    assert found is None or isinstance(found, dict)
