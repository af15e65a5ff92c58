"""Results as lines for a terminal."""

import pytest

from dockerstorage_lib.summary import (
    columns,
    human_bytes,
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
        "pool vg-docker--pool (direct-lvm): ok",
        "  data     [###############.....]  75.0 %  3.0 GiB of 4.0 GiB",
        "  metadata [....................]   0.0 %  0 B of 4.0 MiB",
        "  volume group vg: 0 B free",
    ]


def test_a_failed_pool_and_none():
    failed = POOL | {"health": "failed", "data": None, "metadata": None}
    assert pool_lines(failed)[0] == "pool vg-docker--pool (direct-lvm): failed"
    assert not any("[" in line for line in pool_lines(failed))
    assert pool_lines(None) == ["no thin pool"]


def test_a_report_of_a_silent_host_says_what_it_could_not_see():
    report = {
        "engine": {"running": False, "version": None, "driver": None, "data_root": "/d"},
        "counts": None,
        "pool": None,
        "warnings": [{"code": "x", "text": "It is broken.", "remedy": "Mend it."}],
        "unseen": [{"what": "engine", "why": "no socket"}],
    }
    assert report_lines(report) == [
        "Docker does not answer, no driver known, /d",
        "no thin pool",
        "! It is broken.\n    Mend it.",
        "? not seen: engine: no socket",
    ]


def result(**more):
    item = {"kind": "image", "id": "1", "name": "app:1", "reason": "unused", "bytes": 2048}
    stays = {"kind": "volume", "id": "d", "name": "data", "reason": "named"}
    found = {
        "test": False,
        "plan": {"remove": [item, item], "keep": [stays]},
        "removed": [item],
        "skipped": [{**item, "why": "it changed"}],
        "bytes_predicted": 4096,
        "bytes_source": "pool blocks",
        "bytes_freed": 2048,
        "stopped": None,
    }
    return found | more


def test_a_prune_says_what_went_what_stayed_and_what_was_left():
    assert prune_lines(result()) == [
        "removed 1 of 2 objects, 2.0 KiB freed; keeps 1",
        "-  image  app:1  2.0 KiB  unused",
        "=  volume  data  named",
        "~ left image app:1: it changed",
    ]


def test_a_test_says_what_would_go():
    lines = prune_lines(
        result(test=True, removed=[], skipped=[], bytes_freed=None, stopped="at 40 %")
    )
    assert lines[0] == "would remove 2 objects, 4.0 KiB (pool blocks); keeps 1"
    assert lines[1:3] == ["-  image  app:1  2.0 KiB  unused"] * 2
    assert lines[-1] == "stopped: at 40 %"


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
