"""Results as lines for a terminal."""

import pytest

from dockerstorage_lib.summary import (
    columns,
    drivers_lines,
    human_bytes,
    human_duration,
    pool_lines,
    prune_lines,
    recover_lines,
    report_lines,
)

SHARE = {"used_bytes": 3 << 30, "total_bytes": 4 << 30, "percent": 75.0}
POOL = {
    "name": "vg-docker--pool",
    "kind": "direct-lvm",
    "health": "ok",
    "when_full": "queue",
    "data": SHARE,
    "metadata": {"used_bytes": 0, "total_bytes": 4 << 20, "percent": 0.0},
    "vg": {"name": "vg", "free_bytes": 0},
}


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536 << 20, "1.5 GiB"),
        (-2048, "-2.0 KiB"),
        (3 << 60, "3072.0 PiB"),
    ],
)
def test_sizes(count, text):
    assert human_bytes(count) == text


def test_columns_are_aligned_but_the_last():
    assert columns([("a", "bbb", "c"), ("aa", "b", "cc ")]) == ["a   bbb  c", "aa  b    cc"]
    assert columns([]) == []


def test_a_pool_is_shown_with_bars():
    assert pool_lines(POOL) == [
        "pool vg-docker--pool (direct-lvm): ok; when full, writes wait for a minute",
        "  data      [###############.....]  75.0 %  3.0 GiB of 4.0 GiB",
        "  metadata  [....................]   0.0 %  0 B of 4.0 MiB",
        "  group     vg, 0 B free",
    ]


def test_loop_files_are_shown_with_what_they_take():
    files = {"data": {"allocated_bytes": 1 << 20, "apparent_bytes": 4 << 30}}
    assert pool_lines(POOL | {"loop_files": files})[3] == "  on disk   data 1.0 MiB of 4.0 GiB"


def test_a_failed_pool_and_none():
    failed = POOL | {"health": "failed", "data": None, "metadata": None}
    del failed["when_full"]
    assert pool_lines(failed)[0] == "pool vg-docker--pool (direct-lvm): failed"
    assert not any("[" in line for line in pool_lines(failed))
    assert pool_lines(None) == ["no thin pool"]


def test_a_report_of_a_silent_host_says_what_it_could_not_see():
    report = {
        "engine": {"running": False, "version": None, "driver": None, "data_root": "/d"},
        "counts": None,
        "pool": None,
        "forecast": None,
        "configuration": {"driver": "vfs", "file": "/etc/d", "says": "DOCKER_OPTS"},
        "warnings": [{"code": "x", "text": "It is broken.", "remedy": "Mend it."}],
        "unseen": [{"what": "engine", "why": "no socket"}],
    }
    assert report_lines(report) == [
        "Docker does not answer, no driver known, /d",
        "configured: vfs, by /etc/d (DOCKER_OPTS)",
        "",
        "no thin pool",
        "",
        "! It is broken.",
        "  way out: Mend it.",
        "",
        "not seen",
        "  engine: no socket",
    ]


def test_a_report_tells_when_the_pool_will_be_full_and_what_a_prune_would_free():
    report = {
        "engine": {"running": True, "version": "20.10", "driver": "d", "data_root": "/d"},
        "configuration": None,
        "counts": None,
        "pool": POOL,
        "forecast": {
            "seconds_to_data_full": 9 * 86400,
            "observed_data_seconds": 3 * 86400,
            "seconds_to_metadata_full": None,
            "observed_metadata_seconds": 3 * 86400,
        },
        "reclaimable_bytes": 3 << 30,
        "warnings": [],
        "unseen": [],
    }
    assert report_lines(report)[2:] == [
        *pool_lines(POOL),
        "  data full in about 9 days at the rate of the last 3 days",
        "a prune would free 3.0 GiB",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 seconds"), (1, "1 second"), (90, "2 minutes"), (3600, "1 hour"), (9 * 86400, "9 days")],
)
def test_durations(seconds, text):
    assert human_duration(seconds) == text


def test_drivers():
    one = {"name": "vfs", "supported": True, "why_not": [], "notes": ["slow"]}
    other = {"name": "zfs", "supported": False, "why_not": ["no zfs"], "notes": ["x"]}
    found = {
        "drivers": [one, other],
        "recommended": "vfs",
        "current": None,
        "engine_version": None,
        "kernel": "6.1",
        "file_system": {"path": "/d", "type": "ext4"},
    }
    assert drivers_lines(found) == [
        "Docker is not installed, kernel 6.1, /d on ext4",
        "driver not known; recommended: vfs",
        "",
        "yes vfs",
        "      slow",
        "",
        "no  zfs",
        "      no zfs",
    ]


def test_long_warnings_are_wrapped():
    long = {"code": "x", "text": "word " * 40, "remedy": "do " * 40}
    empty = {"version": None, "driver": None, "data_root": "/d", "running": False}
    report = {"engine": empty, "counts": None, "pool": None, "warnings": [long], "unseen": []}
    report |= {"configuration": None, "forecast": None}
    lines = report_lines(report)[3:]
    assert all(len(line) <= 96 for line in lines)
    assert [line[:11].strip() for line in lines if "do do" in line] == ["way out:", ""]


IMAGE = {"kind": "image", "id": "1", "name": "app:1", "reason": "unused", "bytes": 2048}
STAYS = {"kind": "volume", "id": "d", "name": "ab" * 32, "reason": "named"}


def result(**more):
    return {
        "test": False,
        "plan": {"remove": [IMAGE, IMAGE], "keep": [STAYS]},
        "removed": [IMAGE],
        "skipped": [{**IMAGE, "why": "it changed"}],
        "bytes_predicted": 4096,
        "bytes_source": "pool blocks",
        "bytes_freed": 2048,
        "pool": {"before": POOL, "after": POOL | {"data": SHARE | {"percent": 70.0}}},
        "stopped": None,
    } | more


def test_a_prune_says_what_went_and_what_was_left():
    assert prune_lines(result()) == [
        "removed 1 of 2 objects, 2.0 KiB freed, 4.0 KiB predicted; kept 1",
        "  image  app:1     2.0 KiB  unused",
        "",
        "pool vg-docker--pool: data 75.0 % -> 70.0 %, metadata 0.0 % -> 0.0 %",
        "",
        "left 1 of the plan",
        "  image  app:1  it changed",
    ]


def test_without_a_pool_none_is_shown():
    assert not any(
        "pool" in line for line in prune_lines(result(pool={"before": None, "after": None}))
    )


def test_a_test_says_what_would_go_and_what_would_stay():
    lines = prune_lines(result(test=True, removed=[], skipped=[], stopped="at 40 %"))
    assert lines == [
        "would remove 2 objects, 4.0 KiB (pool blocks)",
        "  image  app:1     2.0 KiB  unused",
        "  image  app:1     2.0 KiB  unused",
        "",
        "would keep 1",
        "  volume  abababababab  named",
        "",
        "stopped: at 40 %",
    ]


def recovery(**more):
    step = {"step": "extend", "why": "it is full", "what": ["docker/thinpool"]}
    found = {
        "test": False,
        "pool": "docker-thinpool",
        "before": {"health": "out_of_data_space"},
        "plan": [step],
        "done": [{**step, "result": "by 5 bytes"}],
        "stopped": None,
        "not_running": ["web"],
        "advice": "make room",
        "after": {"health": "ok"},
    }
    return found | more


def test_a_recovery_says_each_step_and_what_came_of_it():
    assert recover_lines(recovery()) == [
        "pool docker-thinpool: out_of_data_space",
        "- extend: it is full",
        "    docker/thinpool",
        "    = by 5 bytes",
        "pool docker-thinpool: ok",
        "left to you: make room",
        "ran before, and do not run now: web",
    ]
    failed = recovery(done=[{"step": "repair", "why": "x", "what": [], "error": "no"}], stopped="y")
    assert recover_lines(failed)[2] == "    ! no"
    assert "stopped: y" in recover_lines(failed)
    assert recover_lines(recovery(test=True))[-3] == "    docker/thinpool"
    assert recover_lines(recovery(plan=[], done=[], not_running=[], advice=None))[-1].startswith(
        "the host is"
    )
