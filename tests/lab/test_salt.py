"""Through a real master and minion: sync, prune, states, progress on the event bus."""

from __future__ import annotations

import json

from tests.lab import world
from tests.lab.hosts import Host
from tests.lab.salthost import salt, salt_call

STATES = {
    "clean": {"dockerstorage": ["pruned", {"protect": ["protected", "keep"]}, {"volumes": "all"}]},
    "lab/app:1": {"dockerstorage": ["protected"]},
}


def test_prune_from_the_master_with_progress(salt_host: Host) -> None:
    guest = salt_host.guest
    bus = guest.start("timeout 90 salt-run state.event 'dockerstorage/*' count=1")
    guest.run("sleep 4")  # the listener's start
    planned = salt(guest, "*", "dockerstorage.prune", test=True)["host1"]
    assert planned["plan"]["remove"]
    done = salt(guest, "*", "dockerstorage.prune")["host1"]
    assert done["plan"] == planned["plan"]
    assert done["removed"] == planned["plan"]["remove"]
    assert done["bytes_freed"] == done["bytes_predicted"]
    tag, _, data = bus.wait(timeout=100).stdout.partition("\t")
    assert tag.startswith("dockerstorage/20")  # the job's id
    assert tag.endswith("/prune/progress")
    event = json.loads(data.splitlines()[0])["data"]
    assert event["minion"] == "host1"
    assert 0 < event["done"] <= event["total"] == len(planned["plan"]["remove"])


def test_an_export_from_the_master_tells_how_far_it_is(salt_host: Host) -> None:
    guest = salt_host.guest
    guest.run("mkdir -p /srv/bundles")
    bus = guest.start("timeout 90 salt-run state.event 'dockerstorage/*/export/progress' count=1")
    guest.run("sleep 4")  # the listener's start
    made = salt(guest, "*", "dockerstorage.export", "/srv/bundles/all")["host1"]
    assert isinstance(made, dict), made
    assert made["complete"] is True
    data = bus.wait(timeout=100).stdout.partition("\t")[2]
    event = json.loads(data.splitlines()[0])["data"]
    assert (event["minion"], event["subject"]) == ("host1", "/srv/bundles/all")
    assert 0 <= event["done_bytes"] <= event["total_bytes"]
    assert event["bytes_per_second"] >= 0
    assert salt(guest, "*", "dockerstorage.verify", "/srv/bundles/all")["host1"]["valid"] is True


def test_a_wrong_argument_comes_back_as_an_error(salt_host: Host) -> None:
    answer = salt(
        salt_host.guest, "*", "dockerstorage.prune", "until_percent=400", options=("--failhard",)
    )
    assert "until_percent" in json.dumps(answer)


def test_states_are_idempotent_and_test_mode_lists_all(salt_host: Host) -> None:
    guest = salt_host.guest
    guest.run("docker create --name leftover lab/base:1 true")
    before = world.state(salt_host)
    planned = salt_call(guest, "state.high", STATES, test=True)
    by_name = {one["name"]: one for one in planned.values()}
    assert by_name["clean"]["result"] is None
    assert any("leftover" in name for name in by_name["clean"]["changes"]["removed"])
    assert by_name["lab/app:1"]["result"] is None
    assert world.state(salt_host) == before

    first = salt_call(guest, "state.high", STATES)
    assert all(one["result"] for one in first.values())
    assert all(one["changes"] for one in first.values())
    assert "leftover" not in world.names(salt_host)["container"]
    assert salt_host.inspect("image", "lab/app:1")["Config"]["Labels"] == {"protected": "true"}

    second = salt_call(guest, "state.high", STATES)
    assert all(one["result"] for one in second.values())
    assert not any(one["changes"] for one in second.values())


def test_salt_3006_on_the_same_host(direct_host: Host) -> None:
    for function in ("dockerstorage.report", "dockerstorage.devices"):
        old = salt_call(direct_host.guest, function, release="3006")
        assert old == salt_call(direct_host.guest, function)
    plans = [
        salt_call(direct_host.guest, "dockerstorage.prune", release=release, test=True)["plan"]
        for release in ("3006", "3008")
    ]
    assert plans[0] == plans[1]
    assert plans[0]["remove"]


def test_names_in_the_minions_configuration_and_in_pillar_protect(fresh_direct_host: Host) -> None:
    guest = fresh_direct_host.guest
    guest.push(
        "/etc/salt/minion.d/dockerstorage.conf",
        'dockerstorage: {protect: ["nothing"], protect_names: ["lab/unused*"]}',
    )
    guest.push("/srv/pillar/top.sls", "base: {'*': [clean]}")
    guest.push("/srv/pillar/clean.sls", 'dockerstorage: {protect_names: ["net-plain"]}')
    plan = salt_call(guest, "dockerstorage.prune", protect_names="done", test=True)["plan"]
    kept = {item["name"]: item["reason"] for item in plan["keep"]}
    assert kept["lab/unused:1"] == "protected by name pattern lab/unused*"
    assert kept["net-plain"] == "protected by name pattern net-plain"
    assert kept["done"] == "protected by name pattern done"
    assert "kept-done" in {item["name"] for item in plan["remove"]}
