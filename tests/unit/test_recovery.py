"""What is done about a host that is stuck."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib.recover import HELP
from dockerstorage_lib.recover_steps import Steps
from dockerstorage_lib.recovery import (
    ANSWERS,
    HANGS,
    INACTIVE,
    STOPPED,
    Deferred,
    Mount,
    Node,
    Situation,
    plan_recovery,
)

MIB = 1 << 20
WELL = Situation(
    pool="docker-thinpool",
    volume="docker/thinpool",
    health="ok",
    data_percent=50.0,
    metadata_percent=10.0,
    daemon=ANSWERS,
    vg_free_bytes=1 << 30,
    used_metadata_bytes=6 * MIB,
    metadata_bytes=64 * MIB,
    repair_spare_bytes=64 * MIB,
)
MOUNT = Mount("254:3", "/var/lib/docker/devicemapper/mnt/abc", "mnt:[1]", 1)
RUNS = Node("docker-8:1-2-abc", "254:3", 7, 1, True, (MOUNT,), (4711,), "web")
LEFT = replace(RUNS, container_pids=(), container="")
UNMOUNTED = replace(LEFT, mounts=(), open_count=0)
HELD = replace(LEFT, mounts=(), open_count=1)
FOREIGN = replace(UNMOUNTED, name="docker-lvol1", is_dockers=False)
FULL = {"health": "out_of_data_space", "data_percent": 100.0}
NO_ROOM = {**FULL, "vg_free_bytes": 0}
DEFERRED = (Deferred("abc", 7),)
OFFLINE = "deactivate repair activate start_daemon"


def planned(**seen):
    plan = plan_recovery(replace(WELL, **seen))
    assert not (plan.steps and plan.obstacle)
    return plan.obstacle or " ".join(step.name for step in plan.steps)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, ""),
        ({"nodes": (RUNS, LEFT, UNMOUNTED, FOREIGN)}, ""),
        ({"deferred": DEFERRED}, ""),
        ({"data_percent": 89.9}, ""),
        ({"data_percent": 90}, "extend"),
        ({"metadata_percent": 95}, "extend"),
        ({**FULL, "daemon": HANGS}, "extend end_daemon start_daemon"),
        ({**NO_ROOM, "spares": ("/dev/sdc",)}, "extend"),
        ({"health": "read_only"}, "extend"),
        ({"snapshot_held": True}, "release_snapshot"),
        ({"snapshot_held": True, "snapshot_readers": (5,)}, ""),
        ({"daemon": HANGS}, "end_daemon start_daemon"),
        ({"daemon": HANGS, "nodes": (RUNS,)}, "end_daemon start_daemon"),
        ({"daemon": STOPPED}, "start_daemon"),
        ({"daemon": STOPPED, "nodes": (RUNS, HELD, FOREIGN)}, "start_daemon"),
        ({"daemon": STOPPED, "nodes": (LEFT,)}, "unmount remove_nodes start_daemon"),
        ({"daemon": STOPPED, "nodes": (UNMOUNTED,)}, "remove_nodes start_daemon"),
        ({"daemon": STOPPED, "health": INACTIVE}, "activate start_daemon"),
        ({"daemon": STOPPED, "health": INACTIVE, "volume": None}, "start_daemon"),
        (
            {**NO_ROOM, "daemon": HANGS, "deferred": DEFERRED},
            "end_daemon delete_deferred start_daemon",
        ),
        ({**FULL, "daemon": STOPPED, "deferred": DEFERRED}, "extend start_daemon"),
        ({"data_percent": 99, "vg_free_bytes": 0, "daemon": STOPPED}, "start_daemon"),
        ({"data_percent": 99, "vg_free_bytes": 0, "daemon": HANGS}, "end_daemon start_daemon"),
        ({"health": "needs_check"}, f"end_daemon {OFFLINE}"),
        ({"health": "failed", "daemon": STOPPED}, OFFLINE),
        (
            {"health": "needs_check", "daemon": HANGS, "nodes": (RUNS,)},
            f"end_daemon end_containers unmount remove_nodes {OFFLINE}",
        ),
        ({"health": INACTIVE, "daemon": STOPPED, "repair_begun": True}, OFFLINE[11:]),
        (
            {"health": "needs_check", "daemon": STOPPED, "repair_spare_bytes": 0},
            "deactivate grow_metadata repair activate start_daemon",
        ),
        (
            {"health": "needs_check", "daemon": STOPPED, "used_metadata_bytes": 40 * MIB},
            "deactivate grow_metadata repair activate start_daemon",
        ),
    ],
)
def test_plans(seen, expected):
    assert planned(**seen) == expected


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (NO_ROOM, "docker-thinpool is full, its volume group has nothing free"),
        (NO_ROOM, "dockerstorage.extend data size=100%FREE device="),
        (NO_ROOM, "Or remove what nobody needs: dockerstorage.prune"),
        ({"data_percent": 99, "vg_free_bytes": 0}, "docker-thinpool is full"),
        ({**NO_ROOM, "daemon": HANGS}, "no_space_timeout"),
        ({**NO_ROOM, "deferred": DEFERRED}, "nothing can be freed for certain"),
        ({**NO_ROOM, "snapshot_held": True, "snapshot_readers": (5,)}, "read by process 5"),
        ({"health": "read_only", "vg_free_bytes": 0}, "extend metadata size"),
        ({"health": "read_only", "vg_free_bytes": 0}, "A prune cannot help"),
        ({**FULL, "volume": None}, "lives in files (loop-lvm)"),
        ({"vg_missing_devices": 1}, "bring them back first"),
        ({"health": "needs_check", "vg_missing_devices": 2}, "2 disks"),
        ({"health": "failed", "metadata_error": "Input/output error"}, "mend or replace the disk"),
        ({"health": "needs_check", "metadata_error": "EIO"}, "cannot be read: EIO"),
        ({"health": "needs_check", "volume": None}, "thin_repair from the copy"),
        ({"health": "needs_check", "nodes": (FOREIGN,)}, "docker-lvol1 in it is not Docker's"),
    ],
)
def test_what_the_operator_must_do(seen, told):
    assert told in planned(**seen)


nodes = st.lists(st.sampled_from([RUNS, LEFT, UNMOUNTED, HELD, FOREIGN]), unique=True).map(tuple)
situations = st.builds(
    replace,
    st.just(WELL),
    health=st.sampled_from(
        ["ok", "out_of_data_space", "read_only", "needs_check", "failed", INACTIVE]
    ),
    daemon=st.sampled_from([ANSWERS, HANGS, STOPPED]),
    volume=st.sampled_from([None, "docker/thinpool"]),
    data_percent=st.sampled_from([0.0, 95.0]),
    vg_free_bytes=st.sampled_from([0, 1 << 30]),
    nodes=nodes,
    deferred=st.sampled_from([(), DEFERRED]),
    snapshot_held=st.booleans(),
    snapshot_readers=st.sampled_from([(), (5,)]),
    repair_begun=st.booleans(),
)


@given(situations)
def test_it_never_does_what_it_must_not(seen):
    steps = [step.name for step in plan_recovery(seen).steps]
    offline = seen.health in ("needs_check", "failed") or seen.repair_begun
    assert len(set(steps)) == len(steps)
    if not offline:
        assert not {"end_containers", "deactivate", "repair"} & set(steps)
        if seen.daemon == ANSWERS:
            assert set(steps) <= {"extend", "release_snapshot", "activate"}
    # Devices are deleted at the pool only while no daemon can count them.
    if "delete_deferred" in steps:
        assert seen.daemon == STOPPED or steps.index("end_daemon") < steps.index("delete_deferred")
    if "repair" in steps:
        assert seen.volume is not None
        assert seen.health == INACTIVE or steps.index("deactivate") < steps.index("repair")
    for step in plan_recovery(seen).steps:
        if step.name == "remove_nodes":
            assert FOREIGN.name not in step.what
        if step.name == "release_snapshot":
            assert not seen.snapshot_readers


def test_every_step_can_be_taken_and_its_failure_helped():
    names = {
        "extend", "release_snapshot", "end_daemon", "end_containers", "unmount", "remove_nodes",
        "delete_deferred", "deactivate", "grow_metadata", "repair", "activate", "start_daemon",
    }  # fmt: skip
    assert {name for name in names if hasattr(Steps, f"_{name}")} == names
    assert set(HELP) == names | {"verify"}
