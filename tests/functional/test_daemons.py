"""A master and real minion daemons, from a cold cache, with the beacon configured from the start.

The beacon asks the kernel itself, and is told to watch a pool that is not there: all the way to the
master that is an event like any other. Pools that fill are the lab's. For what runs ``dmsetup``, a
minion sees a thin pool: in a mount namespace of its own a ``dmsetup`` that prints recorded lines
comes before the real one. All else is real.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest
import salt.config
import salt.utils.event

from tests.functional import installs, reactions
from tests.functional.conftest import QUIET
from tests.functional.test_versions import OTHER, with_library_version, with_module_version

POOL = "vg-thin"
#: Another at each run: a beacon remembers across runs, by minion and pool, what it has told.
RUN = uuid.uuid4().hex[:6]
ABSENT = f"absent-{RUN}"
MEMORIES = Path("/run/dockerstorage")
RECORDED = """\
#!/bin/sh
# Prints what a kernel printed for one thin pool; used data blocks are in the file beside it.
case "$1" in
info) echo 'vg-thin|254|2|0|0|LVM-pool-tpool|Active|Writeable|Live ' ;;
table) echo '0 1048576 thin-pool 254:0 254:1 512 0 1 skip_block_zeroing ' ;;
status)
  read -r used < "${0%/*}/used"
  echo "0 1048576 thin-pool 5 118/1024 $used/2048 - rw no_discard_passdown queue_if_no_space - 256 "
  ;;
*) exit 1 ;;
esac
"""
# /usr/local/sbin is the first place where the extension looks for programs.
IN_NAMESPACE = """\
#!/bin/sh
exec unshare --mount --propagation private \\
  sh -c 'mount --bind "$1" /usr/local/sbin && shift && exec "$@"' sh {folder} {python} "$@"
"""


class Daemon:
    """A minion daemon and what surrounds it."""

    def __init__(self, minion, python: Path, programs: Path) -> None:
        self.minion = minion
        self.programs = programs
        launcher = programs.parent / f"{programs.name}-python"
        launcher.write_text(IN_NAMESPACE.format(folder=programs, python=python))
        launcher.chmod(0o755)
        minion.python_executable = str(launcher)

    def set_percent(self, percent: int) -> None:
        """Fill the pool."""
        (self.programs / "used").write_text(f"{2048 * percent // 100}\n")

    def log(self) -> str:
        """The minion's log so far."""
        return Path(self.minion.config["log_file"]).read_text()


@pytest.fixture(scope="module")
def served(scratch) -> Path:
    """The master's file root, which a test may change."""
    return installs.copy_tree(scratch / "served")


@pytest.fixture(scope="module")
def master(salt_factories, served):
    factory = salt_factories.salt_master_daemon(
        "master",
        overrides={
            **QUIET,
            "file_roots": {"base": [str(served), str(served / "salt/formulas")]},
            "reactor": [
                {"salt/beacon/*/dockerstorage/*": ["salt://dockerstorage/reactor/remediate.sls"]}
            ],
        },
    )
    with factory.started():
        yield factory


@pytest.fixture(scope="module", params=["synced", "wheel"])
def daemon(request, master, install, scratch, no_docker):
    """A running minion whose first start was with the beacon configured and an empty cache."""
    way = request.param
    programs = scratch / f"programs-{way}"
    programs.mkdir()
    (programs / "dmsetup").write_text(RECORDED)
    (programs / "dmsetup").chmod(0o755)
    minion = master.salt_minion_daemon(
        f"minion-{way}-{RUN}",
        overrides={
            **QUIET,
            "loop_interval": 1,  # Salt's default; beacons' intervals are counted in loops
            "dockerstorage": no_docker,
            "beacons": {"dockerstorage": [{"interval": 1}, {"pools": [ABSENT]}]},
        },
    )
    daemon = Daemon(minion, install(f"minion-{way}", way), programs)
    daemon.way = way
    daemon.set_percent(10)
    daemon.started_at = time.time()
    with minion.started():
        yield daemon
    for file in MEMORIES.glob(f"watch-{minion.id}-*"):
        file.unlink()


@pytest.fixture(scope="module")
def loaded(daemon, master):
    """The daemon with its modules loaded: synced by the master if that is its way."""
    if daemon.way == "synced":
        found = run(master, daemon, "saltutil.sync_all").data
        assert "modules.dockerstorage" in found["modules"]
        assert "beacons.dockerstorage" in found["beacons"]
    return daemon


def run(master, daemon, *args, **kwargs):
    """``salt <minion> …`` on the master."""
    return master.salt_cli(timeout=60).run(*args, minion_tgt=daemon.minion.id, **kwargs)


def gone_events(event_listener, master, daemon, after):
    """What the beacon told of the absent pool, as the master's bus carried it."""
    tag = f"salt/beacon/{daemon.minion.id}/dockerstorage/gone"
    found = event_listener.get_events([(master.id, tag)], after_time=after)
    return [event.data for event in found if event.data["pool"] == ABSENT]


def test_the_beacon_fires_once_on_a_minion_that_was_not_restarted(loaded, master, event_listener):
    tag = f"salt/beacon/{loaded.minion.id}/dockerstorage/gone"
    found = event_listener.wait_for_events(
        [(master.id, tag)], after_time=loaded.started_at, timeout=30
    )
    assert found.found_all_events, f"no {tag}; the minion's log ends in\n{loaded.log()[-4000:]}"
    time.sleep(3)
    (event,) = gone_events(event_listener, master, loaded, loaded.started_at)
    assert event["state"] == "gone"
    assert event["text"] == f"{ABSENT} is not there"
    tag = f"salt/beacon/{loaded.minion.id}/dockerstorage/*"
    assert len(event_listener.get_events([(master.id, tag)], after_time=loaded.started_at)) == 1


def test_the_beacon_is_available_and_nothing_of_ours_went_wrong(loaded, master):
    available = run(master, loaded, "beacons.list_available", return_yaml=False).data
    assert "dockerstorage" in available
    ours = [
        line for line in loaded.log().splitlines() if "[ERROR" in line and "dockerstorage" in line
    ]
    assert not ours


def test_the_master_believes_what_this_minion_signed(loaded, master, event_listener):
    (event,) = gone_events(event_listener, master, loaded, loaded.started_at)
    opts = salt.config.master_config(master.config["conf_file"])
    assert reactions.objection(opts, event) is None
    changed = {**event, "state": "emergency"}
    assert reactions.objection(opts, changed) == "its signature is not that minion's"


def test_the_reactor_has_the_minion_act_that_signed_and_no_other(loaded, master, event_listener):
    opts = salt.config.master_config(master.config["conf_file"])
    minion = salt.config.minion_config(loaded.minion.config["conf_file"])
    tag = f"salt/beacon/{loaded.minion.id}/dockerstorage/critical"
    event = reactions.signed(minion, pool=ABSENT)
    started = time.time()
    with salt.utils.event.get_master_event(opts, opts["sock_dir"], listen=False) as bus:
        for forged in ({"pool": "other"}, {"id": "other"}, {"signature": None}):
            bus.fire_event({**event, **forged}, tag)
        bus.fire_event(event, tag)
    done = f"salt/job/*/ret/{loaded.minion.id}"
    found = event_listener.wait_for_events([(master.id, done)], after_time=started, timeout=60)
    assert found.found_all_events
    jobs = event_listener.get_events([(master.id, "salt/job/*/new")], after_time=started)
    (job,) = [job.data for job in jobs]
    assert job["fun"] == "dockerstorage.remediate"
    assert job["tgt"] == [loaded.minion.id] == job["minions"]
    assert job["arg"] == [{"pool": ABSENT, "__kwarg__": True}]
    (answer,) = [one.data for one in found.matches]
    assert ABSENT in str(answer["return"]), answer


def test_a_restart_is_no_reason_for_an_event(loaded, master, event_listener):
    with loaded.minion.stopped():
        pass
    restarted = time.time()
    time.sleep(5)
    assert not gone_events(event_listener, master, loaded, restarted)


def test_the_master_gets_figures_and_refusals_as_text(loaded, master):
    loaded.set_percent(50)
    pool = run(master, loaded, "dockerstorage.pool", POOL).data
    assert (pool["health"], pool["level"]) == ("ok", "ok")
    assert pool["data"]["percent"] == pytest.approx(50)
    assert run(master, loaded, "dockerstorage.report").data["engine"]["running"] is False
    specs = run(master, loaded, "sys.argspec", "dockerstorage.*").data
    assert "protect_names" in specs["dockerstorage.prune"]["args"]
    for arguments, told in (
        (["min_age=-1"], "min_age: -1 is no age"),
        (["labels=protected"], "labels"),
        ([], "no.sock"),
    ):
        answer = run(master, loaded, "dockerstorage.prune", *arguments)
        assert told in str(answer.data), answer
        assert "Traceback" not in f"{answer.stdout}{answer.stderr}"
        assert answer.returncode != 0


@pytest.mark.parametrize("daemon", ["synced"], indirect=True, scope="module")
def test_an_update_by_sync_asks_for_a_restart_and_the_restart_helps(loaded, master, served):
    with_library_version(served, OTHER)
    with_module_version(served, OTHER)
    synced = run(master, loaded, "saltutil.sync_all").data
    assert "modules.dockerstorage" in synced["modules"]
    refused = run(master, loaded, "dockerstorage.report")
    assert "restart the minion" in str(refused.data), refused
    with loaded.minion.stopped():
        pass
    assert run(master, loaded, "dockerstorage.report").data["engine"]["running"] is False
