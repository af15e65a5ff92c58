"""A whole rolling change over a fleet in memory: order, refusals, failures, kills, resumes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerstorage_lib import rolling_job, rolling_look
from dockerstorage_lib.errors import BadInput, Refused
from tests.unit.fleets import Fleet, Host, Killed

HOOKS = {"drain": {"sls": "drain"}, "undrain": {"sls": "undrain"}}
MIGRATE = {"tgt": "db*", "migrate": {"driver": "overlay2"}, "batch": 2, **HOOKS}
RESUME = {"resume": True}


def fleet(count: int = 5, **others) -> Fleet:
    return Fleet({f"db{n}": Host() for n in range(1, count + 1)}, **others)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(rolling_look, "POLL_SECONDS", 0.0)


def run(tmp_path: Path, hosts: Fleet, given=MIGRATE, action="migrate", **more):
    told: list[str] = []
    return rolling_job.run(action, {**given, **more}, tmp_path, lambda _: hosts, 1e9, told.append)


def plan(tmp_path: Path, hosts: Fleet, given=MIGRATE, action="migrate", **more):
    return rolling_job.plan(action, {**given, **more}, tmp_path, lambda _: hosts, 1e9)


def results(found):
    return {one["minion"]: one["result"] for one in found["hosts"]}


def test_all_are_migrated_canary_first_each_drained_and_put_back(tmp_path):
    hosts = fleet()
    found = run(tmp_path, hosts, canary="db4")
    assert found["outcome"] == "done"
    assert found["batches"] == [["db4"], ["db1", "db2"], ["db3", "db5"]]
    assert hosts.acts[:3] == [("db4", "drain"), ("db4", "migrate"), ("db4", "undrain")]
    assert hosts.acts[3:9] == [
        (one, what) for what in ("drain", "migrate", "undrain") for one in ("db1", "db2")
    ]
    assert set(results(found).values()) == {"migrated"}
    assert sorted(found["changed"]) == ["db1", "db2", "db3", "db4", "db5"]
    assert not any(host.drained for host in hosts.hosts.values())
    assert "salt -L 'db4,db1,db2,db3,db5' dockerstorage.commit" in "\n".join(found["summary"])


def test_what_is_on_the_driver_already_is_not_touched(tmp_path):
    hosts = fleet(3)
    hosts.hosts["db2"].driver = "overlay2"
    found = run(tmp_path, hosts)
    assert found["already"] == ["db2"]
    assert {minion for minion, _ in hosts.acts} == {"db1", "db3"}
    again = run(tmp_path, hosts)
    assert (again["outcome"], again["hosts"], again["changed"]) == ("done", [], [])


def test_a_plan_changes_nothing_and_shows_each_hosts_part(tmp_path):
    hosts = fleet(3)
    found = plan(tmp_path / "none", hosts)
    assert found["outcome"] == "planned"
    assert found["batches"] == [["db1"], ["db2", "db3"]]
    assert "devicemapper to overlay2 by graft" in found["hosts"][0]["preview"]
    assert hosts.acts == []
    assert not (tmp_path / "none").exists()


REFUSALS = {
    "nobody": ({"tgt": "web*"}, {}, "'web*' (glob) is no minion"),
    "a strange canary": ({"canary": "web1"}, {}, "canary: web1: not among"),
    "a silent minion": ({}, {"silent": True}, "db2: no answer"),
    "a sick host": ({}, {"problem": ("container", "the container x is dead")}, "x is dead"),
    "an obstacle": ({}, {"obstacle": "too little room"}, "db2: too little room"),
    "a cut migration": ({}, {"half_way": True}, "db2: a migration is half-way"),
    "a hook for nobody": ({"check": {"sls": "a", "tgt": "lb*"}}, {}, "check:tgt: 'lb*' (glob)"),
    "a hook of nothing": ({"check": {"sls": "gone"}}, {}, "gone does not render: No matching"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_it_is_refused_and_nothing_is_changed(tmp_path, kind):
    more, facts, told = REFUSALS[kind]
    hosts = fleet(3, broken_sls={"gone": "No matching sls found for 'gone' in env 'base'"})
    for name, value in facts.items():
        setattr(hosts.hosts["db2"], name, value)
    for act in (run, plan):
        with pytest.raises((BadInput, Refused)) as refused:
            act(tmp_path, hosts, **more)
        assert told in str(refused.value)
    assert hosts.acts == []
    assert not list(tmp_path.rglob("journal.jsonl"))


def test_all_that_stands_in_the_way_is_told_at_once(tmp_path):
    hosts = fleet(4, broken_sls={"drain": "Rendering failed"})
    hosts.hosts["db1"].obstacle = hosts.hosts["db3"].obstacle = "too little room"
    with pytest.raises(Refused) as refused:
        run(tmp_path, hosts)
    assert "- db1, db3: too little room" in str(refused.value)
    assert "Rendering failed" in str(refused.value)


def test_a_full_pool_is_no_reason_not_to_prune(tmp_path):
    hosts = fleet(2)
    hosts.hosts["db1"].problem = ("pool_full", "the pool is nearly full")
    with pytest.raises(Refused, match="nearly full"):
        run(tmp_path, hosts)
    given = {"tgt": "db*", "prune": {"min_age": "7d"}}
    found = run(tmp_path, hosts, given, "prune")
    assert (found["outcome"], results(found)["db1"]) == ("stopped", "failed at health"), (
        "it is full still"
    )
    hosts.hosts["db1"].problem = None
    found = run(tmp_path, hosts, RESUME, "prune")
    assert found["outcome"] == "done"
    assert [host.prunes for host in hosts.hosts.values()] == [1, 1]
    assert found["hosts"][0]["bytes_freed"] == 100


def test_a_failing_canary_stops_all_and_a_resume_finishes(tmp_path):
    hosts = fleet()
    hosts.hosts["db1"].fails = "the disk is full"
    found = run(tmp_path, hosts)
    assert results(found) == {"db1": "failed at act"} | dict.fromkeys(
        ("db2", "db3", "db4", "db5"), "to do"
    )
    assert {minion for minion, _ in hosts.acts} == {"db1"}
    text = "\n".join(found["summary"])
    assert "! db1 failed at act: the disk is full" in text
    assert "! db1 is out of service" in text
    assert "resume: true" in text
    with pytest.raises(Refused, match="is not over"):
        run(tmp_path, hosts)
    found = run(tmp_path, hosts, RESUME)
    assert found["outcome"] == "done"
    assert [host.migrations for host in hosts.hosts.values()] == [1] * 5
    assert hosts.acts.count(("db1", "drain")) == 1


def test_a_host_can_be_left_out_at_a_resume_and_stays_drained(tmp_path):
    hosts = fleet(3)
    hosts.hosts["db1"].fails = "the disk is full"
    run(tmp_path, hosts)
    with pytest.raises(BadInput, match="skip: db9"):
        run(tmp_path, hosts, RESUME, skip=["db9"])
    found = run(tmp_path, hosts, RESUME, skip=["db1"])
    assert found["outcome"] == "done"
    assert results(found)["db1"] == "skipped"
    assert "! db1 is out of service" in "\n".join(found["summary"])


def test_the_others_of_a_batch_are_finished_when_one_fails(tmp_path):
    hosts = fleet(3)
    hosts.hosts["db2"].fails = "the disk is full"
    found = run(tmp_path, hosts, canary=0, batch=3)
    assert results(found) == {"db1": "migrated", "db2": "failed at act", "db3": "migrated"}
    assert [one for one, host in hosts.hosts.items() if host.drained] == ["db2"]


def test_a_failed_drain_stops_before_anything_is_changed(tmp_path):
    hosts = fleet(3, failing={("drain", "db2")})
    found = run(tmp_path, hosts, canary=0, batch=3)
    assert results(found) == {"db1": "to do", "db2": "failed at drain", "db3": "to do"}
    assert "the balancer is away" in found["hosts"][1]["why"]
    assert not hosts.hosts["db1"].drained, "it was put back"
    assert ("db3", "drain") not in hosts.acts
    assert not any(what == "migrate" for _, what in hosts.acts)


def test_what_is_not_healthy_after_it_stops_it(tmp_path):
    hosts = fleet(2)
    given = {**MIGRATE, "check": {"sls": "smoke"}}
    hosts.failing = {("smoke", "db1")}
    found = run(tmp_path, hosts, given)
    assert results(found) == {"db1": "failed at check", "db2": "to do"}
    assert "take db1 back to its old store" in "\n".join(found["next"])
    hosts.failing = set()
    hosts.hosts["db1"].starting = ("web",)
    found = run(tmp_path, hosts, RESUME)
    assert found["outcome"] == "done", "its health was seen before"
    assert [host.migrations for host in hosts.hosts.values()] == [1, 1]


def test_what_ran_before_must_run_after(tmp_path):
    hosts = fleet(2)

    class Loses(Host):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name == "migrations" and value == 1:
                self.running = ()

    hosts.hosts["db1"] = Loses()
    found = run(tmp_path, hosts)
    assert results(found)["db1"] == "failed at health"
    assert "the container web should run" in found["hosts"][0]["why"]


def test_what_was_stopped_to_mend_a_failed_act_need_not_run(tmp_path):
    hosts = fleet(1)
    hosts.hosts["db1"].running = ("web", "lost")
    hosts.hosts["db1"].fails = "container lost was started with --rm"
    run(tmp_path, hosts)
    hosts.hosts["db1"].running = ("web",)
    assert run(tmp_path, hosts, RESUME)["outcome"] == "done"


def test_what_ran_before_a_migration_that_was_cut_must_run_after(tmp_path):
    hosts = fleet(1, dies_at=16)  # in the act
    with pytest.raises(Killed):
        run(tmp_path, hosts)
    assert hosts.hosts["db1"].half_way
    hosts.dies_at, hosts.hosts["db1"].running = None, ()
    found = run(tmp_path, hosts, RESUME)
    assert "the container web should run" in found["hosts"][0]["why"]


def test_a_health_check_that_does_not_pass_in_time_stops_it(tmp_path):
    hosts = fleet(1)
    hosts.hosts["db1"].starting = ("web",)
    found = run(tmp_path, hosts, health="5s")
    assert "have not passed within 5 s: web" in found["hosts"][0]["why"]


def test_an_answer_that_is_lost_is_looked_for_on_the_host(tmp_path):
    hosts = fleet(2)
    hosts.hosts["db1"].loses_answer = True
    hosts.hosts["db1"].busy = 3
    found = run(tmp_path, hosts)
    assert found["outcome"] == "done"
    assert found["hosts"][0]["downtime_seconds"] == 3.5
    assert hosts.hosts["db1"].migrations == 1


def test_a_host_that_is_busy_is_waited_for_and_not_for_ever(tmp_path):
    hosts = fleet(1)
    hosts.hosts["db1"].busy = 3
    assert run(tmp_path, hosts)["outcome"] == "done"
    hosts = fleet(1)
    hosts.hosts["db1"].busy = 10**6
    found = run(tmp_path / "other", hosts, wait=0)
    assert found["hosts"][0]["why"] == "it is busy: dockerstorage.prune"


def test_only_one_run_at_a_time(tmp_path):
    hosts = fleet(1)
    seen = []

    def again(text):
        with pytest.raises(Refused, match="is being run right now"):
            run(tmp_path, hosts, RESUME)
        seen.append(text)

    rolling_job.run("migrate", MIGRATE, tmp_path, lambda _: hosts, 1e9, again)
    assert seen


def test_a_resume_does_the_change_of_the_record_and_no_other(tmp_path):
    hosts = fleet(3, failing={("drain", "db1")})
    with pytest.raises(Refused, match="no record"):
        run(tmp_path, hosts, RESUME)
    run(tmp_path, hosts)
    for more, told in (
        ({"migrate": {"driver": "vfs"}}, "rolling:migrate"),
        ({"tgt": "db2"}, "rolling:tgt"),
        ({"check": {"sls": "smoke"}}, "not added or taken away"),
    ):
        with pytest.raises(BadInput, match=told):
            run(tmp_path, hosts, RESUME, **more)
    with pytest.raises(BadInput, match="of a rolling migrate"):
        run(tmp_path, hosts, {"resume": True, "name": "migrate"}, "prune")
    hosts.failing = set()
    found = run(tmp_path, hosts, RESUME, **MIGRATE)
    assert found["outcome"] == "done", "the same settings again are no other"


def test_a_hook_can_be_corrected_at_a_resume(tmp_path):
    hosts = fleet(2, failing={("broken", "db1")})
    run(tmp_path, hosts, drain={"sls": "broken"})
    hosts.hosts["db2"].fails = "x"
    assert run(tmp_path, hosts, RESUME, drain={"sls": "drain"})["outcome"] == "stopped"
    assert run(tmp_path, hosts, RESUME)["outcome"] == "done", "it is kept"


def test_one_that_was_given_up_is_forgotten_when_told(tmp_path):
    hosts = fleet(2)
    hosts.hosts["db1"].fails = "x"
    run(tmp_path, hosts)
    found = run(tmp_path, hosts, forget=True)
    assert found["outcome"] == "done"
    assert (tmp_path / "migrate/previous.jsonl").exists()


def test_a_record_that_is_not_ours_is_not_guessed_at(tmp_path):
    hosts = fleet(2)
    (tmp_path / "migrate").mkdir()
    (tmp_path / "migrate/journal.jsonl").write_text('{"x": 1}\n')
    with pytest.raises(Exception, match=r"journal\.jsonl"):
        run(tmp_path, hosts)
    assert hosts.acts == []


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(0, 2),
    st.integers(1, 3),
    st.lists(st.integers(1, 40), max_size=6),
    st.booleans(),
)
def test_killed_anywhere_and_resumed_no_host_is_migrated_twice(count, canary, batch, deaths, torn):
    with tempfile.TemporaryDirectory() as name:
        folder, hosts = Path(name), fleet(count)
        given = {**MIGRATE, "canary": canary, "batch": batch}
        journal = folder / "migrate/journal.jsonl"
        for death in [*deaths, None]:
            hosts.calls, hosts.dies_at = 0, death
            begun = journal.exists()
            try:
                # The fleet refuses what must not be: twice, in service, over a cut one.
                found = run(folder, hosts, RESUME if begun else given)
            except Killed:
                if torn and journal.exists():  # power was cut while a line was written
                    journal.write_bytes(journal.read_bytes() + b'{"at": 1, "beg')
        assert found["outcome"] == "done"
        assert [host.migrations for host in hosts.hosts.values()] == [1] * count
        assert not any(host.drained for host in hosts.hosts.values())
        for line in journal.read_bytes().splitlines():
            json.loads(line)
