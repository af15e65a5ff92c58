"""A report as Prometheus reads it; the report is one of a real host."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib.adapters import textfile
from dockerstorage_lib.errors import BadInput, Refused
from dockerstorage_lib.metrics import PREFIX, Metric, metrics, text

DATA = Path(__file__).parent / "data"
HANDBOOK = Path(__file__).parents[2] / "docs" / "history.md"
NOW = 1_700_000_000.5
FORECAST = {"seconds_to_data_full": 777_600, "seconds_to_metadata_full": None}
REPORT = json.loads((DATA / "report.json").read_text()) | {"forecast": FORECAST}
EXPECTED = (DATA / "metrics.prom").read_text()
SILENT = REPORT | {
    "engine": {"running": False, "version": None, "driver": None, "data_root": "/d"},
    "pool": None,
    "forecast": None,
    "counts": None,
    "reclaimable_bytes": None,
    "unseen": [{"what": "engine", "why": "silent"}],
}


def lines(report):
    return [line for line in text(metrics(report, NOW)).splitlines() if line[0] != "#"]


def test_every_figure_of_a_host():
    assert text(metrics(REPORT, NOW)) == EXPECTED


def test_the_handbook_lists_them_all():
    told = set(re.findall(r"^\| `(dockerstorage_\w+)`", HANDBOOK.read_text(), re.MULTILINE))
    full = REPORT | {"forecast": dict.fromkeys(FORECAST, 1)}
    assert told == {f"{PREFIX}{metric.name}" for metric in metrics(full, NOW)}


def test_what_is_not_known_has_no_series():
    assert lines(SILENT) == [
        "dockerstorage_engine_up 0",
        'dockerstorage_engine_info{version="",driver=""} 1',
        'dockerstorage_warning{code="no_autoextension"} 1',
        "dockerstorage_unseen 1",
        "dockerstorage_last_run_timestamp_seconds 1700000000.5",
    ]


def test_a_failed_pool_has_its_health_alone():
    failed = {"name": "p", "health": "failed", "level": "emergency", "data": None, "metadata": None}
    found = [line for line in lines(REPORT | {"pool": failed, "forecast": None}) if "pool" in line]
    assert [line.split("=")[-1] for line in found] == [
        '"ok"} 0', '"out_of_data_space"} 0', '"read_only"} 0', '"needs_check"} 0', '"failed"} 1',
    ]  # fmt: skip


def test_the_parser_of_prometheus_reads_it():
    parser = pytest.importorskip("prometheus_client.parser")
    found = {one.name: one for one in parser.text_string_to_metric_families(EXPECTED)}
    assert all(one.type == "gauge" and one.documentation for one in found.values())
    assert found["dockerstorage_pool_data_used_bytes"].samples[0].value == 220200960
    assert sum(len(one.samples) for one in found.values()) == len(lines(REPORT))


@given(st.text(), st.floats(allow_nan=False) | st.integers(-(2**53), 2**53) | st.booleans())
def test_no_label_breaks_out(label, value):
    parser = pytest.importorskip("prometheus_client.parser")
    # The parser splits lines at any kind of line break, Prometheus itself at newlines alone.
    label = "".join(label.split("\r")).replace("\0", "")
    written = text([Metric("x", "An x.", [({"pool": label}, value)])])
    assert written.count("\n") == 3
    if len(written.splitlines()) == 3:
        (family,) = parser.text_string_to_metric_families(written)
        (sample,) = family.samples
        assert (sample.labels, sample.value) == ({"pool": label}, float(value))


def test_it_is_written_where_the_node_exporter_looks(tmp_path):
    folders = (tmp_path / "debian", tmp_path / "other")
    with pytest.raises(Refused, match="path="):
        textfile.place(None, folders)
    folders[1].mkdir()
    assert textfile.place(None, folders) == folders[1] / textfile.NAME
    folders[0].mkdir()
    file = textfile.place(None, folders)
    assert file == folders[0] / textfile.NAME
    for _ in range(2):
        textfile.write(file, EXPECTED)
    assert file.read_text() == EXPECTED
    assert [one.name for one in folders[0].iterdir()] == [file.name]
    for wrong in ("x.prom", "/x.txt", 5, "", f"{tmp_path}/absent/x.prom"):
        with pytest.raises(BadInput, match="path: "):
            textfile.place(wrong, folders)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "x.prom").mkdir()
    with pytest.raises(Refused, match="Is a directory"):
        textfile.write(tmp_path / "x.prom", "")
    assert [one.name for one in tmp_path.iterdir()] == ["x.prom"]
