"""What LVM reports of thin pools; the samples are of LVM 2.03.16."""

import json
from pathlib import Path

import pytest

from dockerstorage_lib.errors import Unparsable
from dockerstorage_lib.lvm import COLUMNS, ThinPoolVolume, parse_pools, parse_settings

DATA = Path(__file__).parent / "data"
FULL = (DATA / "lvs-full.json").read_text()


def changed(**values):
    report = json.loads(FULL)
    report["report"][0]["lv"][0] |= values
    return json.dumps(report)


def test_a_full_pool():
    docker, _ = parse_pools(FULL)
    assert docker == ThinPoolVolume(
        vg="my-vg",
        name="docker",
        dm_name="my--vg-docker",
        size_bytes=104857600,
        metadata_bytes=4194304,
        chunk_bytes=65536,
        when_full="queue",
        health="out_of_data",
        check_needed=False,
        monitored=True,
        profile="",
        discards="passdown",
        zero=True,
        active=True,
        vg_free_bytes=1816133632,
        vg_extent_bytes=4194304,
        vg_missing_devices=0,
    )


def test_an_inactive_pool_is_neither_monitored_nor_known_to_be_broken():
    inactive, active = parse_pools((DATA / "lvs-inactive.json").read_text())
    assert (inactive.monitored, inactive.check_needed, inactive.health) == (False, False, "")
    assert active.monitored


def test_a_pool_that_needs_a_check():
    assert parse_pools(changed(lv_check_needed="check needed"))[0].check_needed


def test_a_host_without_pools():
    assert parse_pools('{"report": [{"lv": []}]}') == ()


def test_every_column_that_is_read_is_asked_for():
    asked = set(COLUMNS.split(","))
    assert {key for row in json.loads(FULL)["report"][0]["lv"] for key in row} == asked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "{}",
        '{"report": []}',
        '{"report": [{"vg": []}]}',
        '{"report": [{"lv": [{}]}]}',
        changed(lv_size="100.00m"),
        changed(vg_free=None),
    ],
)
def test_what_is_no_report_is_refused(text):
    with pytest.raises(Unparsable, match="lvs report"):
        parse_pools(text)


def test_a_setting():
    text = "thin_pool_autoextend_threshold=100\nthin_pool_autoextend_percent=20\n"
    assert parse_settings(text) == (100, 20)


@pytest.mark.parametrize("text", ["thin_pool_autoextend_threshold=", "100", "x=-1", 'x="70"'])
def test_what_is_no_setting_is_refused(text):
    with pytest.raises(Unparsable):
        parse_settings(text)
