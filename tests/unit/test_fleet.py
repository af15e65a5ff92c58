"""The fleet: answers of minions, whatever they are, put together; and the table of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerstorage_lib import fleet, fleet_answers, fleet_page, fleet_table
from dockerstorage_lib.devmapper import parse_status, parse_table
from dockerstorage_lib.errors import BadInput
from dockerstorage_lib.fleet_answers import HISTORY, REPORT
from dockerstorage_lib.fleet_table import Look
from dockerstorage_lib.fleet_text import clip, columns_of, duration, pad, plain
from dockerstorage_lib.gather import Site
from dockerstorage_lib.poolview import Pool
from dockerstorage_lib.report import Sight, as_dict

SITE = Site("/var/lib/docker", "devicemapper", "vg-pool")
INFO = {"ServerVersion": "20.10.24", "DriverStatus": []}


ACTS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def host(name="h", report=None, **functions):
    return fleet.read_host(name, {REPORT: report, **functions})


def pool(percent, metadata=5.0, **more):
    return {
        "engine": {"running": True},
        "pool": {
            "kind": "direct-lvm",
            "health": "ok",
            "data": {"percent": percent},
            "metadata": {"percent": metadata},
            **more,
        },
    }


def reported(kind="direct-lvm", used_blocks=100, **more):
    """What ``dockerstorage.report`` returns for a host whose kernel said this of its pool."""
    status = parse_status(
        f"0 204800 thin-pool 1 111/1024 {used_blocks}/400 - rw no_discard_passdown "
        "queue_if_no_space - 256"
    )
    table = parse_table("0 204800 thin-pool 254:0 254:1 1024 96 1 error_if_no_space")
    sight = Sight(SITE, INFO, Pool("vg-pool", kind, status, table))
    return as_dict(replace(sight, **more))


def test_real_reports_are_read():
    direct = host("direct", reported())
    assert (direct.state, direct.driver, direct.pool) == ("ok", "devicemapper", "vg-pool")
    assert (direct.pool_kind, direct.loop_lvm, direct.health) == ("direct-lvm", False, "ok")
    assert (direct.engine_version, direct.full_next) == ("20.10.24", None)
    assert direct.data == fleet_answers.Fill(25.0, 100 * 1024 * 512, 400 * 1024 * 512)
    assert direct.metadata.percent == pytest.approx(10.84, abs=0.01)
    full = host("full", reported("loop-lvm", 380))
    assert (full.state, full.loop_lvm) == ("emergency", True)
    assert [one.code for one in full.warnings] == ["pool_data_emergency", "loop_lvm"]
    site = Site("/var/lib/docker", "overlay2", None)
    overlay = host("overlay", reported(site=site, pool=None))
    assert (overlay.state, overlay.driver, overlay.data) == ("ok", "overlay2", None)
    silent = host("x", reported(info=None, unseen=[("engine", "no socket")]))
    assert (silent.state, silent.warnings[0].code) == ("critical", "engine_silent")
    unseen = [("engine", "no socket"), ("data root", "there is no directory /var/lib/docker")]
    assert host("x", reported(info=None, pool=None, unseen=unseen)).state == "no docker"


@pytest.mark.parametrize(
    ("report", "state"),
    [
        (pool(69.9), "ok"),
        (pool(70.0), "warning"),
        (pool(10.0, 80.0), "critical"),
        (pool(90.0), "emergency"),
        (pool(10.0, health="needs_check"), "emergency"),
        ({**pool(10.0), "warnings": [{"code": "engine_silent", "text": "x"}]}, "critical"),
        ({**pool(10.0), "warnings": [{"code": "pool_writes_failed", "text": "x"}]}, "critical"),
        ({**pool(10.0), "warnings": [{"code": "loop_lvm", "text": "x"}]}, "ok"),
        ({**pool(10.0), "forecast": {"seconds_to_data_full": 3600}}, "critical"),
        ({**pool(10.0), "forecast": {"seconds_to_metadata_full": 6 * 86400}}, "warning"),
        ({**pool(10.0), "forecast": {"seconds_to_data_full": 8 * 86400}}, "ok"),
        ({**pool(95.0), "forecast": {"seconds_to_data_full": 6 * 86400}}, "emergency"),
    ],
)
def test_the_worst_that_is_known_is_the_state(report, state):
    assert host(report=report).state == state


def test_who_does_not_answer_is_named_with_the_reason():
    hosts = fleet.merge(["a", "b"], {"a": {REPORT: pool(1.0)}}, "no answer within 5 s", ["c"])
    assert {one.name: (one.state, one.why) for one in hosts} == {
        "a": ("ok", None),
        "b": ("silent", "no answer within 5 s"),
        "c": ("silent", "the master knows no such minion"),
    }


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("'dockerstorage.report' is not available.", "the extension is not installed there"),
        ("'dockerstorage' __virtual__ returned False: dockerstorage needs the Python packages",
         "dockerstorage needs the Python packages"),
        ("ERROR: the engine is gone", "the report failed: ERROR: the engine is gone"),
        ("Traceback (most recent call last):\n  File x\nOSError: no room\n",
         "the report failed: OSError: no room"),
        ("Passed invalid arguments to dockerstorage.report: report() got x\n\n    Show what …",
         "the report failed: Passed invalid arguments to dockerstorage.report: report() got x"),
        ("", "the report failed: an empty answer"),
        (None, "the answer is no report: None"),
        (False, "the answer is no report: False"),
        ([], "the answer is no report: []"),
        ({}, "the answer is no report: {}"),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_report_says_why(answer, why):
    found = host(report=answer)
    assert found.state == "failed"
    assert why in found.why


def test_answers_of_jobs_with_several_functions():
    both = (REPORT, HISTORY)
    assert fleet_answers.parts({REPORT: 1, HISTORY: 2, "x": 3}, both) == {REPORT: 1, HISTORY: 2}
    assert fleet_answers.parts([1, 2], both) == {REPORT: 1, HISTORY: 2}
    assert fleet_answers.parts("failed", both) == {REPORT: "failed"}
    assert fleet_answers.parts({"engine": 1}, (REPORT,)) == {REPORT: {"engine": 1}}


def test_the_forecast_of_a_report_counts_else_that_of_the_history():
    history = {"pools": {"p": {"samples": [[1, 2.0, 3.0]], "seconds_to_data_full": 60}}}
    old = host(report=pool(1.0, name="p"), **{HISTORY: history})
    assert old.full_next == (60, "data")
    assert old.samples == (fleet_answers.Sample(1, 2.0, 3.0),)
    new = {**pool(1.0, name="p"), "forecast": {"seconds_to_metadata_full": 5}}
    assert host(report=new, **{HISTORY: history}).full_next == (5, "metadata")
    missing = "'dockerstorage.history' is not available."
    assert host(report=pool(1.0), **{HISTORY: missing}).full_next is None


def test_orders():
    hosts = [
        host("b", pool(50.0, 9.0)),
        host("a", pool(20.0, 80.0)),
        host("c", "x"),
        host("d", {**pool(60.0), "reclaimable_bytes": 5,
                   "forecast": {"seconds_to_data_full": 9999999}}),
    ]  # fmt: skip
    orders = {sort: "".join(one.name for one in fleet.ordered(hosts, sort)) for sort in fleet.SORTS}
    assert orders == {
        "state": "acdb",
        "host": "abcd",
        "data": "dbac",
        "metadata": "abdc",
        "full": "dabc",
        "reclaimable": "dabc",
    }
    with pytest.raises(BadInput, match="sort: 'size' is no order; write one of state, host"):
        fleet.read_sort("size")


def test_sums():
    hosts = [host("a", pool(95.0, kind="loop-lvm")), host("b", "x"), host("c", pool(1.0))]
    found = fleet.counts(hosts)
    assert (found["hosts"], found["at_risk"], found["loop_lvm"]) == (3, 1, 1)
    assert found["reclaimable_bytes"] is None
    assert found["states"]["failed"] == 1


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                "engine pool data metadata percent used_bytes warnings text code unseen what "
                "forecast seconds_to_data_full pools p samples name health driver version kind "
                "running reclaimable_bytes".split()
            )
            | st.text(max_size=3),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), JUNK, JUNK, st.integers(20, 200))
def test_no_answer_breaks_anything(name, report, history, width):
    answers = {name: fleet_answers.parts({REPORT: report, HISTORY: history}, (REPORT, HISTORY))}
    hosts = fleet.merge([], answers, "")
    for line in fleet_table.table(hosts, Look(width)):
        assert not ACTS.search(line)
        assert columns_of(line) <= max(width, fleet_table.NARROWEST)
    json.dumps([fleet.as_dict(one) for one in hosts], allow_nan=False)
    page = fleet_page.page(hosts, 0)
    assert not ACTS.search(page.replace("\n", ""))


def test_a_table_of_80_columns():
    hosts = fleet.merge(
        ["gone"],
        {
            "db1": {
                REPORT: {
                    **pool(83.2, 21.0),
                    "forecast": {"seconds_to_data_full": 9 * 86400},
                    "warnings": [
                        {"code": "a", "text": "The pool's data is at 83.2 %.", "remedy": "Prune."},
                        {"code": "b", "text": "LVM does not extend the pool.", "remedy": "Do."},
                    ],
                }
            },
            "ci": {REPORT: {**pool(20.0, 60.0, kind="loop-lvm"),
                            "forecast": {"seconds_to_metadata_full": 5 * 86400}}},
            "web": {REPORT: {"engine": {"driver": "overlay2", "running": True}, "pool": None}},
        },
        "no answer within 30 s",
    )  # fmt: skip
    assert fleet_table.table(hosts, Look(80)) == [
        "4 hosts: 1 critical !!  1 warning !  1 silent ?  1 ok",
        "",
        "    HOST  DRIVER    POOL        DATA               METADATA           FULL IN",
        " !! db1   –         direct-lvm  ██████████░░  83%  ██▌░░░░░░░░░  21%  9 d",
        "      The pool's data is at 83.2 %. (+1 more)",
        "  ! ci    –         loop-lvm *  ██▍░░░░░░░░░  20%  ███████▎░░░░  60%  5 d (m)",
        "  ? gone  silent: no answer within 30 s",
        "    web   overlay2  –           –                  –",
        "",
        "* loop-lvm: the pool lives in sparse files. Move to overlay2 or direct-lvm",
        "(m) the metadata is full before the data",
    ]
    wide = fleet_table.table(hosts, Look(160))
    assert wide[3].endswith("9 d      The pool's data is at 83.2 %. (+1 more)")
    ascii_only = fleet_table.table(hosts, Look(80, blocks=False))
    assert "#########" in ascii_only[3]
    assert ascii_only[3].isascii()


def test_colours_are_for_terminals_that_show_them():
    hosts = [host("a", pool(95.0))]
    lines = fleet_table.table(hosts, Look(80, colours=True))
    assert "\033[1;31m!!!\033[0m" in lines[3]
    assert re.sub(r"\033\[[\d;]+m", "", "\n".join(lines)).split() == (
        "\n".join(fleet_table.table(hosts, Look(80))).split()
    )


def test_long_names_are_cut_and_wide_letters_counted():
    hosts = [host("漢" * 60, pool(10.0)), host("x" * 200, pool(10.0))]
    for width in (80, 120, 160):
        for line in fleet_table.table(hosts, Look(width)):
            assert columns_of(line) <= width


@pytest.mark.parametrize(
    ("percent", "bar"),
    [(0, "░░░░"), (0.1, "▏░░░"), (50, "██░░"), (53, "██▏░"), (99.9, "████"), (100, "████")],
)
def test_bars(percent, bar):
    assert fleet_table.bar(percent, 4) == bar


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"),
        (59, "now"),
        (1500, "25 min"),
        (5399, "90 min"),
        (5400, "2 h"),
        (14 * 3600, "14 h"),
        (9 * 86400, "9 d"),
        (90 * 86400, "3 months"),
        (1e12, "> 2 years"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\ufffd[31mred\ufffd[0m"),
        ("two\nlines\t and\r\x0b\x85 more", "two lines and more"),
        ("\u202egnp.exe\u200f", "\ufffdgnp.exe\ufffd"),
        ("e\u0301" + "\u0301" * 50, "é"),
        ("a\u2028b\x00c\ud800", "a b\ufffdc\ufffd"),
        ("<b>&amp;", "<b>&amp;"),
        ("grün 漢字", "grün 漢字"),
    ],
)
def test_texts_of_minions_are_made_harmless(text, shown):
    assert plain(text) == shown


def test_columns():
    assert columns_of("漢a") == 3
    assert clip("漢字漢字", 5) == "漢字…"
    assert clip("abc", 3) == "abc"
    assert pad("漢", 3) == "漢 "
    assert len(plain("x" * 9999)) == 300
