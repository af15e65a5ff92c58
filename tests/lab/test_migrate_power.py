"""The power of a host is cut while it migrates: it goes on, or back, and nothing is lost."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import migrated, prepared, richhost
from tests.lab.hosts import Host
from tests.lab.migrated import migrate

CUTS = 6
#: About what a migration takes here.
LONGEST_SECONDS = 25


@pytest.fixture(scope="module")
def rich() -> Iterator[tuple[Host, dict[str, Any]]]:
    """A host on direct-lvm with objects that are hard to carry, and all its content."""
    host = prepared.open_host("direct", "power")
    with host.guest:
        richhost.enrich(host)
        yield host, migrated.content(host)


def test_cut_at_every_step_it_goes_on(rich: tuple[Host, dict[str, Any]]) -> None:
    host, before = rich
    what = "run"
    for step in migrated.STEPS:
        migrated.begin(host, what, f"before={step}", "how=stop")
        migrated.wait_until_stopped(host)
        migrated.cut_power(host)
        # Between the stop and the start no engine may write to either store.
        assert migrated.is_up(host) == (step in ("stage", "stop", "verify")), step
        what = "resume"
    assert migrate(host, "resume")["outcome"] == "switched"
    assert migrated.driver(host) == "overlay2"
    migrated.assert_same(before, host, images=False)
    assert migrate(host, "rollback", force=True)["outcome"] == "abandoned"
    migrate(host, "commit")
    assert migrated.left_behind(host) == []


def test_cut_at_any_moment_it_ends_in_one_of_the_two_whole_states(
    rich: tuple[Host, dict[str, Any]],
) -> None:
    host, before = rich
    chance = random.Random(5)
    what = "run"
    for number in range(CUTS):
        migrated.begin(host, what, force=True)
        time.sleep(chance.uniform(1, LONGEST_SECONDS if what == "run" else LONGEST_SECONDS / 2))
        migrated.cut_power(host)
        what = _next(migrate(host, "status"), number)
    while what != "run":
        migrate(host, what, force=True)
        what = _next(migrate(host, "status"), 0)
    assert migrated.driver(host) == "devicemapper"
    migrated.assert_same(before, host)
    assert migrated.left_behind(host) == []


def _next(status: dict[str, Any] | None, number: int) -> str:
    """What an operator does next: mostly goes on, sometimes back."""
    if status is None:
        return "run"
    if status["outcome"] == "abandoned":
        return "commit"
    if status["outcome"] == "switched" or status["rolling_back"] or number % 3 == 2:
        return "rollback"
    return "resume"
