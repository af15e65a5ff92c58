"""Hosts that are stuck on their pool, brought back with the data of their containers whole."""

from __future__ import annotations

from typing import Any

from tests.lab import stuckhost
from tests.lab.hosts import Host
from tests.lab.salthost import salt_call, salt_calls

RECOVER = "dockerstorage.recover"
PATIENCE = 4


def recover(host: Host, *calls: dict[str, Any]) -> list[dict[str, Any]]:
    wanted: list[tuple[str, list[Any], dict[str, Any]]] = [
        (RECOVER, [], {"patience": PATIENCE, **one}) for one in calls
    ]
    return salt_calls(host.guest, *wanted, seconds_each=120)


def steps(result: dict[str, Any]) -> list[str]:
    assert not any("error" in one for one in result["done"]), result["done"]
    return [one["step"] for one in result["done"]]


def planned(result: dict[str, Any]) -> list[str]:
    return [one["step"] for one in result["plan"]]


def test_a_daemon_that_hangs_on_a_full_pool(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    (well,) = recover(host, {})
    assert (planned(well), well["done"], well["recovered"]) == ([], [], True)
    assert well["summary"][-1] == "the host is well: nothing is to be done"

    seen = stuckhost.precious(host)
    stuckhost.hang_on_full_pool(host)
    before = stuckhost.outside(host)
    (plan,) = recover(host, {"test": True})
    assert planned(plan) == ["extend", "end_daemon", "start_daemon"]
    assert (plan["done"], plan["recovered"]) == ([], False)
    assert stuckhost.outside(host) == before

    done, again = recover(host, {}, {})
    assert (steps(done), done["recovered"]) == (["extend", "verify"], True)
    assert done["after"]["data"]["percent"] < 75
    assert (planned(again), again["recovered"]) == ([], True)
    assert stuckhost.precious_now(host) == seen
    # Who waited for room goes on.
    assert host.inspect("container", "waiter")["State"]["Running"] is True


def test_a_hanging_daemon_and_nothing_to_extend_from(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    seen = stuckhost.precious(host)
    host.guest.run("lvcreate -q -y -n rest -l 100%FREE docker")
    stuckhost.hang_on_full_pool(host, deferred=True)
    before = stuckhost.outside(host)
    (nothing,) = recover(host, {})
    assert (nothing["done"], nothing["recovered"]) == ([], False)
    assert "nothing can be freed for certain" in nothing["stopped"]
    assert stuckhost.outside(host) == before

    # The device that Docker could not delete, since somebody had it open, is free by now.
    stuckhost.let_go(host)
    before = stuckhost.outside(host)
    plan, done = recover(host, {"test": True}, {})
    assert "delete_deferred" in planned(plan)
    assert steps(done)[0] == "end_daemon"
    assert {"delete_deferred", "start_daemon"} < set(steps(done))
    assert done["recovered"] is True
    assert "docker-thinpool is full, its volume group has nothing free" in done["advice"]
    assert done["after"]["data"]["used_bytes"] < done["before"]["data"]["used_bytes"]
    (copy,) = done["kept"]
    assert '"deleted":true' in host.guest.run(["cat", copy]).stdout
    assert stuckhost.precious_now(host) == seen
    host.docker("rm", "-f", "waiter")


def test_a_pool_that_must_be_checked(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    seen = stuckhost.precious(host)
    host.guest.run("lvremove -q -y docker/lvol0_pmspare")  # as of --poolmetadataspare n
    stuckhost.break_a_commit(host)
    report, remedy, pruned, extended, plan = salt_calls(
        host.guest,
        ("dockerstorage.report", [], {}),
        ("dockerstorage.remediate", [], {"trigger_percent": 2, "target_percent": 1}),
        ("dockerstorage.prune", [], {}),
        ("dockerstorage.extend", ["metadata"], {"size": "8M"}),
        (RECOVER, [], {"test": True}),
    )
    assert report["pool"]["health"] == "needs_check"
    (finding,) = [one for one in report["warnings"] if one["code"] == "pool_needs_check"]
    assert "dockerstorage.recover" in finding["remedy"]
    assert (remedy["done"], remedy["solved"]) == ([], False)
    assert "run dockerstorage.recover" in remedy["decision"]
    assert "is needs_check" in pruned["error"]
    assert "must be repaired first, see dockerstorage.recover" in extended["error"]
    assert planned(plan) == [
        "end_daemon", "end_containers", "unmount", "remove_nodes", "deactivate",
        "grow_metadata", "repair", "activate", "start_daemon",
    ]  # fmt: skip

    # Killed, so that containers live on, their devices in use; one is dead, its mount left.
    stuckhost.kill_daemon_and_a_container(host, "web")
    (done,) = recover(host, {})
    assert steps(done) == [
        "end_containers", "unmount", "remove_nodes", "deactivate",
        "grow_metadata", "repair", "activate", "start_daemon", "verify",
    ]  # fmt: skip
    assert (done["recovered"], done["after"]["health"]) == (True, "ok")
    assert done["kept"] == ["docker/thinpool_meta0"]
    assert "thinpool_meta0" in host.guest.run("lvs docker").stdout
    assert stuckhost.precious_now(host) == seen
    host.docker("run", "--rm", "--net=none", "lab/base:1", "true")


def test_leftovers_of_a_killed_daemon(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    seen = stuckhost.precious(host)
    stuckhost.kill_daemon_and_a_container(host, "web")
    assert stuckhost.root_processes(host, "kept-web")
    assert not stuckhost.root_processes(host, "web")
    host.guest.run("dmsetup message docker-thinpool 0 reserve_metadata_snap")
    (report,) = salt_calls(host.guest, ("dockerstorage.report", [], {}))
    assert "metadata_snapshot_held" in {one["code"] for one in report["warnings"]}
    (plan,) = recover(host, {"test": True})
    (unmount,) = [one for one in plan["plan"] if one["step"] == "unmount"]
    assert len(unmount["what"]) >= 2  # the host's namespace, and a private one
    (done,) = recover(host, {})
    expected = ["release_snapshot", "unmount", "remove_nodes", "start_daemon", "verify"]
    assert (steps(done), done["recovered"]) == (expected, True)
    assert salt_call(host.guest, "dockerstorage.pool")["metadata_snapshot_held"] is False
    assert stuckhost.precious_now(host) == seen


def test_a_pool_that_failed(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    seen = stuckhost.precious(host)
    stuckhost.fail_metadata(host)
    before = stuckhost.outside(host)
    pool, remedy, plan = salt_calls(
        host.guest,
        ("dockerstorage.pool", [], {}),
        ("dockerstorage.remediate", [], {}),
        (RECOVER, [], {"patience": PATIENCE}),
    )
    assert pool["health"] == "failed"
    assert "mend the disk below" in remedy["decision"]
    assert (remedy["done"], plan["done"]) == ([], [])
    assert "the metadata of docker-thinpool cannot be read" in plan["stopped"]
    assert "mend or replace the disk below first" in plan["stopped"]
    assert stuckhost.outside(host) == before

    stuckhost.mend_metadata(host)
    (done,) = recover(host, {})
    assert steps(done)[-5:] == ["deactivate", "repair", "activate", "start_daemon", "verify"]
    assert done["recovered"] is True
    assert stuckhost.precious_now(host) == seen


def test_loop_lvm_is_started_again_and_not_repaired(fresh_loop_host: Host) -> None:
    host = fresh_loop_host
    seen = stuckhost.precious(host)
    stuckhost.kill_daemon_and_a_container(host, "web")
    (done,) = recover(host, {})
    assert steps(done) == ["unmount", "remove_nodes", "start_daemon", "verify"]
    assert stuckhost.precious_now(host) == seen

    host.stop_docker()
    stuckhost.mark_loop_metadata(host)
    before = stuckhost.outside(host)
    (refused,) = recover(host, {})
    assert (refused["done"], refused["recovered"]) == ([], False)
    assert "is a pool of loop-lvm that must be checked and repaired" in refused["stopped"]
    assert stuckhost.outside(host) == before
    host.guest.run(stuckhost.repair_by_hand())
    (done,) = recover(host, {})
    assert (steps(done), done["after"]["health"]) == (["start_daemon", "verify"], "ok")
    assert stuckhost.precious_now(host) == seen


def test_no_thin_pool_no_recovery(overlay_host: Host) -> None:
    before = overlay_host.state()
    (refused,) = recover(overlay_host, {})
    assert "Docker's storage driver is overlay2" in refused["error"]
    assert overlay_host.state() == before
