"""A real master changes three Docker hosts, each a guest with a minion of its own, one by one.

The tests are one story and run in their order: what one leaves is where the next begins.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dockerstorage_lib import migration_compare
from tests.lab import masters, migrated, prepared, richhost
from tests.lab.guest import Guest
from tests.lab.hosts import Host, resume
from tests.lab.masters import Master
from tests.lab.network import Network

NAMES = ("db1", "db2", "db3")
BALANCER = "db3"  # a minion that is no host in turn would be a guest more
LOG = "/srv/balancer.log"
OLD_STORE = "/var/lib/docker/.dockerstorage-migration"  # until dockerstorage.commit
# The hooks of an operator. They are told which host it is about; the balancer is another minion.
STATES = {
    "lb/move.sls": """\
{% set about = pillar['dockerstorage']['rolling'] %}
tell the balancer:
  cmd.run:
    - name: echo {{ about['step'] }} {{ about['minion'] }} {{ about['action'] }} >> LOG; sync
""".replace("LOG", LOG),
    "host/drain.sls": """\
{% if pillar.get('sabotage') == grains['id'] %}
somebody starts a container that would be lost:
  cmd.run:
    - name: docker run -d --rm --net none --name lost lab/base:1 sleep 1000
{% else %}
nothing in the way:
  test.nop
{% endif %}
""",
    "host/check.sls": """\
serves:
  dockerstorage.healthy:
    - expected: [web, kept-web]
""",
}
# Each hook costs some seconds a host here, so not all of them are in both.
MOVE = {"sls": "lb.move", "tgt": BALANCER}
COMMON: dict[str, Any] = {"tgt": "db*", "canary": "db2", "batch": 2, "timeout": 20, "undrain": MOVE}
PRUNE = {
    **COMMON,
    "prune": {"protect_names": ["lab/base*"]},
    "drain": MOVE,
    "check": {"sls": "host.check"},
}
MIGRATE = {**COMMON, "migrate": {"driver": "overlay2"}, "drain": [MOVE, {"sls": "host.drain"}]}


@dataclass
class Fleet:
    """The hosts by name, their network and their master."""

    hosts: dict[str, Host]
    network: Network
    master: Master
    directory: Path

    def orchestrate(self, action: str, given: dict[str, Any], **more: Any) -> dict[str, Any]:
        """What the orchestration's one state told."""
        pillar = {"dockerstorage": {"rolling": given}}
        status, told = self.master.run(
            "state.orchestrate", f"dockerstorage.orch.{action}", pillar=pillar, **more
        )
        (states,) = told["data"].values() if "data" in told else told.values()
        assert isinstance(states, dict), states
        (state,) = states.values()
        print(f"--- {action} {more}: {state['result']}\n{state['comment']}")
        assert (status == 0) is (state["result"] is not False), told
        return dict(state)

    def moves(self) -> list[str]:
        """What the balancer was told since the last call."""
        run = self.hosts[BALANCER].guest.run
        return run(f"touch {LOG}; cat {LOG}; rm {LOG}").stdout.splitlines()

    def journal(self, action: str) -> list[dict[str, Any]]:
        path = self.directory / f"cache/dockerstorage/rolling/{action}/journal.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]

    def each(self, function: Any) -> dict[str, Any]:
        """What a function makes of each host, at the same time."""
        with ThreadPoolExecutor() as pool:
            found = pool.map(function, self.hosts.values())
            return dict(zip(self.hosts, found, strict=True))


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    directory = Path(tempfile.mkdtemp(prefix="dsm-"))
    source = prepared.path("direct")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        network = stack.enter_context(Network())
        master = stack.enter_context(Master(network, directory, STATES))
        master.start()
        guests = [Guest(name, source=source, devices=network.plug(name)) for name in NAMES]
        for guest in guests:
            stack.callback(guest.close)

        def open_(guest: Guest) -> Host:
            with network.inside():
                guest.boot()
            masters.configure(guest, network)
            return resume(guest, "direct")

        with ThreadPoolExecutor() as pool:
            hosts = dict(zip(NAMES, pool.map(open_, guests), strict=True))
        master.await_minions(NAMES)
        synced = master.ask((NAMES, "saltutil.sync_all"))[0]
        assert all("modules.dockerstorage" in synced[name]["modules"] for name in NAMES)
        status, told = master.run("saltutil.sync_all")
        assert status == 0, told
        yield Fleet(hosts, network, master, directory)


def contents(host: Host) -> dict[str, Any]:
    """All documents of the engine, and all files of all containers; images are test_migrate's."""
    script = migrated.CONTAINERS.format(contents=richhost.CONTENTS)
    digests = host.guest.run(script, timeout=240).stdout.splitlines()
    return {"objects": migrated.documents(host), "digests": sorted(digests)}


def test_a_test_shows_the_batches_and_each_hosts_part(fleet: Fleet) -> None:
    state = fleet.orchestrate("migrate", MIGRATE, test=True)
    assert state["result"] is None
    assert set(state["changes"]) == set(NAMES)
    assert all("devicemapper to overlay2 by graft" in one for one in state["changes"].values())
    assert fleet.moves() == []
    assert fleet.journal("migrate") == []


def test_a_rolling_prune(fleet: Fleet) -> None:
    state = fleet.orchestrate("prune", PRUNE)
    assert state["result"] is True
    assert set(state["changes"]) == set(NAMES)
    for one in state["changes"].values():
        assert one["result"] == "pruned"
        assert one["bytes_freed"] > 0
    assert fleet.moves() == [
        "drain db2 prune", "undrain db2 prune",
        "drain db1 prune", "drain db3 prune", "undrain db1 prune", "undrain db3 prune",
    ]  # fmt: skip
    found = fleet.each(lambda host: host.docker("image", "ls", "-q", "lab/unused"))
    assert not any(found.values())


def test_a_failing_canary_stops_everything(fleet: Fleet) -> None:
    drain = [MOVE, {"sls": "host.drain", "pillar": {"sabotage": "db2"}}]
    state = fleet.orchestrate("migrate", {**MIGRATE, "drain": drain})
    assert state["result"] is False
    assert state["changes"] == {}
    assert "! db2 failed at act: " in state["comment"]
    assert "--rm" in state["comment"]
    assert "! db2 is out of service" in state["comment"]
    assert fleet.moves() == ["drain db2 migrate"]
    assert set(fleet.each(migrated.driver).values()) == {"devicemapper"}
    refused = fleet.orchestrate("migrate", MIGRATE)
    assert "is not over" in refused["comment"]
    assert fleet.moves() == []


def test_a_migration_goes_on_after_the_canary_is_mended_a_power_cut_and_a_killed_master(
    fleet: Fleet,
) -> None:
    fleet.hosts["db2"].docker("stop", "-t", "0", "lost")
    before = fleet.each(contents)
    again = {"resume": True}
    cut_in_the_second_batch(fleet, again)
    assert migrated.driver(fleet.hosts["db2"]) == "overlay2", "the canary is through"
    state = fleet.orchestrate("migrate", again)
    assert state["result"] is True, state["comment"]
    assert set(state["changes"]) == {"db1", "db3"}
    after = fleet.each(contents)
    for name in NAMES:
        assert migrated.driver(fleet.hosts[name]) == "overlay2"
        assert migrated.left_behind(fleet.hosts[name]) == [OLD_STORE]
        old, new = before[name], after[name]
        assert migration_compare.differences(old["objects"], new["objects"], {}) == []
        assert new["digests"] == old["digests"]
        for id_, one in old["objects"]["containers"].items():
            now = new["objects"]["containers"][id_]["State"]["Status"]
            assert now == one["State"]["Status"], one["Name"]
    assert fleet.moves() == [
        "undrain db2 migrate",
        "drain db1 migrate", "drain db3 migrate", "undrain db1 migrate", "undrain db3 migrate",
    ]  # fmt: skip
    lines = fleet.journal("migrate")
    for name in NAMES:
        assert [one for one in lines if one.get("end") == "act" and one["minion"] == name], name


def cut_in_the_second_batch(fleet: Fleet, given: dict[str, Any]) -> None:
    """Resume it, and in the midst of two migrations cut one's power and kill master and run."""
    pillar = {"dockerstorage": {"rolling": given}}
    argv = fleet.master.run_argv("state.orchestrate", "dockerstorage.orch.migrate", pillar=pillar)
    guest = fleet.hosts["db3"].guest
    with subprocess.Popen([*masters.CAGE, *argv], stdout=subprocess.PIPE, text=True) as run:
        begun = {"begin": "act", "minion": "db3"}
        until = time.monotonic() + 240
        while not any(begun.items() <= line.items() for line in fleet.journal("migrate")):
            assert run.poll() is None, run.stdout and run.stdout.read()
            assert time.monotonic() < until
            time.sleep(0.2)
        folder = "/var/lib/dockerstorage/migration"
        stops = f"""until grep -q '"begin": "stop"' {folder}/journal.jsonl; do sleep 0.1; done"""
        guest.run(stops, timeout=90)
        run.kill()
    fleet.master.kill()
    guest.cut_power()
    fleet.master.start()
    with fleet.network.inside():
        guest.boot()
    fleet.hosts["db3"].start_docker()
    masters.configure(guest, fleet.network)
    fleet.master.await_minions(NAMES)


def test_a_fleet_that_is_as_wanted_is_left_alone(fleet: Fleet) -> None:
    state = fleet.orchestrate("migrate", MIGRATE)
    assert (state["result"], state["changes"]) == (True, {})
    assert "3 were as wanted already: db1, db2, db3" in state["comment"]
    assert fleet.moves() == []
