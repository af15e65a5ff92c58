"""Migrations of real hosts by graft: nothing is lost, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import migrated, prepared, richhost
from tests.lab.hosts import Host
from tests.lab.migrated import migrate
from tests.lab.salthost import salt_call


@pytest.fixture(scope="module", params=["direct", "loop"])
def rich(request: pytest.FixtureRequest) -> Iterator[tuple[Host, dict[str, Any]]]:
    """A host on devicemapper with objects that are hard to carry, and all its content."""
    host = prepared.open_host(request.param, f"migrate-{request.param}")
    with host.guest:
        richhost.enrich(host)
        host.docker("pause", "kept-web")
        yield host, migrated.content(host)


def test_nothing_is_lost_and_the_way_back_is_open(rich: tuple[Host, dict[str, Any]]) -> None:
    host, before = rich
    config = migrated.daemon_config(host)
    planned = salt_call(host.guest, "dockerstorage.migrate", "overlay2", "test=True")
    assert planned["possible"], planned["obstacles"]
    assert migrated.daemon_config(host) == config
    done = salt_call(host.guest, "dockerstorage.migrate", "overlay2", timeout=180)
    assert done["outcome"] == "switched"
    assert migrated.driver(host) == "overlay2"
    migrated.assert_same(before, migrated.content(host))
    assert migrated.daemon_config(host) == {"iptables": False, "storage-driver": "overlay2"}
    report = salt_call(host.guest, "dockerstorage.report")
    assert [one["code"] for one in report["warnings"]] == ["migration_open"]

    told = migrate(host, "rollback")
    assert "files written by container rich" in told["error"]  # its /etc, where it had none
    back = migrate(host, "rollback", force=True)
    assert back["outcome"] == "abandoned"
    assert migrated.driver(host) == "devicemapper"
    assert migrated.daemon_config(host) == config
    migrated.assert_same(before, migrated.content(host))
    gone = migrate(host, "commit")
    assert gone["removed"] == ["/var/lib/docker/.dockerstorage-migration"]
    assert migrated.left_behind(host) == []


def test_killed_before_and_after_every_step_it_goes_on(rich: tuple[Host, dict[str, Any]]) -> None:
    host, before = rich
    what = "run"
    store = ""
    for step in migrated.STEPS:
        for moment in ("before", "after"):
            assert migrate(host, what, f"{moment}={step}") == migrated.KILLED
            state = {one["step"]: one["state"] for one in migrate(host, "status")["steps"]}
            assert state[step] == {"before": "begun", "after": "done"}[moment]
            what = "resume"
        if step == "stop" and host.kind == "loop":
            store = migrated.old_store(host)
    assert migrate(host, "resume")["outcome"] == "switched"
    migrated.assert_same(before, migrated.content(host))
    if store:
        assert migrated.old_store(host) == store  # to the bit
    # The way back, killed before each thing that it does.
    for number in range(1, 99):
        done = migrate(host, "rollback", f"act={number}", force=True)
        if "outcome" in done:
            break
        assert done == migrated.KILLED
    assert number > len(before["objects"]["containers"])
    assert migrated.driver(host) == "devicemapper"
    migrated.assert_same(before, migrated.content(host))
    migrate(host, "commit")
    assert migrated.left_behind(host) == []


def test_from_within_every_step_it_goes_back(rich: tuple[Host, dict[str, Any]]) -> None:
    host, before = rich
    config = migrated.daemon_config(host)
    for step in migrated.STEPS[:-1]:  # the last one starts what no restart policy does
        assert migrate(host, "run", f"act=1:{step}") == migrated.KILLED, step
        assert migrate(host, "rollback")["outcome"] == "rolled back", step
        assert migrated.left_behind(host) == []
        assert migrated.daemon_config(host) == config
    migrated.assert_same(before, migrated.content(host))
