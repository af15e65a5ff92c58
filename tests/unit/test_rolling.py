"""Batches, and what comes next: each host once, canaries first, few at a time, nothing twice."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerstorage_lib import rolling
from dockerstorage_lib.rolling import ACT, DRAIN, HEALTH, PUT_BACK, STEPS, UNDRAIN, Plan, Step

names = st.lists(st.text("abcd", min_size=1, max_size=3), unique=True, max_size=9)


@given(names, st.integers(0, 4), st.integers(1, 4))
def test_every_minion_is_in_one_batch_and_canaries_are_first(minions, canaries, size):
    batches, count = rolling.make_batches(minions, canaries, size)
    told = [minion for batch in batches for minion in batch]
    assert sorted(told) == sorted(minions)
    assert all(0 < len(batch) <= size for batch in batches)
    first = [minion for batch in batches[:count] for minion in batch]
    assert first == sorted(minions)[:canaries]


@given(names.filter(bool), st.data(), st.integers(1, 4))
def test_named_canaries_are_first_in_their_order(minions, data, size):
    canaries = data.draw(st.lists(st.sampled_from(minions), unique=True))
    batches, count = rolling.make_batches(minions, canaries, size)
    assert [one for batch in batches[:count] for one in batch] == canaries
    assert sorted(one for batch in batches for one in batch) == sorted(minions)


@pytest.mark.parametrize(
    ("batch", "count", "size"),
    [(3, 10, 3), ("25%", 10, 2), ("1%", 10, 1), ("100%", 7, 7), ("33.3%", 9, 2)],
)
def test_a_percentage_is_of_all_and_at_least_one(batch, count, size):
    assert rolling.batch_size(batch, count) == size


def plan(minions="abcde", canaries=1, size=2, steps=STEPS):
    batches, count = rolling.make_batches(minions, canaries, size)
    return Plan("migrate", {}, tuple(steps), batches, count)


def through(progress, *lines):
    for line in lines:
        progress = rolling.note(progress, line)
    return progress


def done(*pairs):
    """The lines of steps that went well."""
    return [
        line
        for minion, step in pairs
        for line in ({"begin": step, "minion": minion}, {"end": step, "minion": minion})
    ]


def test_a_batch_goes_through_each_step_together():
    progress = rolling.begin(plan("abc", 0, 3, (DRAIN, ACT, HEALTH, UNDRAIN)))
    assert rolling.next_step(progress) == Step(DRAIN, ("a", "b", "c"))
    progress = through(progress, *done(("a", DRAIN), ("b", DRAIN)))
    assert rolling.next_step(progress) == Step(DRAIN, ("c",))
    progress = through(progress, *done(("c", DRAIN)))
    assert rolling.next_step(progress) == Step(ACT, ("a", "b", "c"))


def test_after_a_failed_act_the_changed_are_finished_and_nobody_else_is_begun():
    progress = rolling.begin(plan("abc", 0, 2, (DRAIN, ACT, HEALTH, UNDRAIN)))
    progress = through(
        progress,
        *done(("a", DRAIN), ("b", DRAIN), ("a", ACT)),
        {"begin": ACT, "minion": "b"},
        {"fail": ACT, "minion": "b", "why": "no room"},
    )
    assert rolling.next_step(progress) == Step(HEALTH, ("a",))
    progress = through(progress, *done(("a", HEALTH), ("a", UNDRAIN)))
    assert rolling.next_step(progress) is None
    assert progress.hosts["b"].drained
    assert not progress.hosts["a"].drained
    progress = through(progress, {"resume": True})
    assert rolling.next_step(progress) == Step(ACT, ("b",)), "its drain is done"


def test_after_a_failed_drain_what_was_only_drained_is_put_back():
    progress = rolling.begin(plan("abc", 0, 3, (DRAIN, ACT, HEALTH, UNDRAIN)))
    progress = through(
        progress, *done(("a", DRAIN)), {"fail": DRAIN, "minion": "b", "why": "no such pool"}
    )
    assert rolling.next_step(progress) == Step(PUT_BACK, ("a",))
    progress = through(progress, *done(("a", PUT_BACK)))
    assert rolling.next_step(progress) is None
    assert not progress.hosts["a"].drained
    progress = through(progress, {"resume": True})
    assert rolling.next_step(progress) == Step(DRAIN, ("a", "b", "c"))


def test_a_failed_drain_may_have_done_its_part():
    progress = rolling.begin(plan("ab", 0, 1, (DRAIN, ACT, HEALTH, UNDRAIN)))
    progress = through(
        progress,
        {"begin": DRAIN, "minion": "a"},
        {"fail": DRAIN, "minion": "a", "why": "half of it"},
        {"resume": True, "skip": ["a"]},
    )
    assert progress.hosts["a"].drained, "and it is said of a host that is left out, too"
    assert rolling.next_step(progress) == Step(DRAIN, ("b",))


events = st.sampled_from(["end", "fail", "cut"])


@settings(max_examples=150)
@given(st.integers(1, 7), st.integers(0, 3), st.integers(1, 3), st.sets(st.sampled_from(STEPS)),
       st.lists(events, max_size=60))  # fmt: skip
def test_whatever_happens_nothing_is_done_twice_and_few_are_in_flight(
    count, canaries, size, hooks, fates
):
    made = plan("abcdefg"[:count], canaries, size, [s for s in STEPS if s in hooks | {ACT, HEALTH}])
    progress, lines = rolling.begin(made), []
    acted, fates = [], iter(fates)

    def note(**line):
        nonlocal progress
        lines.append(line)
        progress = rolling.note(progress, line)

    for _ in range(400):
        step = rolling.next_step(progress)
        if step is None:
            if progress.over:
                break
            note(resume=True)
            continue
        assert len(step.minions) <= size
        batches = {n for n, batch in enumerate(made.batches) if set(batch) & set(step.minions)}
        assert len(batches) == 1
        if batches != {0}:
            assert all(progress.finished(one) for one in made.batches[min(batches) - 1])
        for minion in step.minions:
            note(begin=step.name, minion=minion)
            fate = next(fates, "end")
            if fate == "end":
                if step.name == ACT:
                    acted.append(minion)
                note(end=step.name, minion=minion)
            elif fate == "fail":
                note(fail=step.name, minion=minion, why="x")
            else:
                note(resume=True)
                break
    assert progress.over
    assert sorted(acted) == sorted(made.minions), "each once"
    assert not any(host.drained for host in progress.hosts.values()) or UNDRAIN not in made.steps
    kept = json.loads(json.dumps([rolling.plan_line(made), *lines]))
    assert rolling.read_progress(kept) == progress, "the journal tells all of it"
