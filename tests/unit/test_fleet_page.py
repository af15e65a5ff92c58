"""The fleet's page as text, and its file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import stat

import pytest

from dockerstorage_lib import fleet, fleet_page
from dockerstorage_lib.adapters import pagefile
from dockerstorage_lib.errors import BadInput, Refused
from dockerstorage_lib.fleet_answers import HISTORY, REPORT
from tests.browser import fleets


def embedded(page):
    """The data in a page, as its script reads it."""
    (text,) = re.findall(r'<script type="application/json" id="fleet">(.*?)</script>', page, re.S)
    return json.loads(text)


def test_the_policy_allows_what_stands_in_the_page_and_nothing_else():
    page = fleet_page.page(fleets.small(), fleets.NOW)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    for element, name in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(f"<{element}>(.*?)</{element}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert not re.search(r'(?:src|href)="(?!data:)|@import|url\(|https?:(?!//www.w3)', page)


def test_no_text_leaves_the_data():
    page = fleet_page.page(fleets.hostile(), fleets.NOW)
    assert page.count("<script") == page.count("</script>") == 2
    assert "<img" not in page
    names = {host["name"] for host in embedded(page)["hosts"]}
    assert "<script>window.owned = 1</script>" in names


def test_rows_hold_what_the_page_shows():
    data = embedded(fleet_page.page(fleets.small(), fleets.NOW))
    row = next(one for one in data["hosts"] if one["name"] == "db1")
    assert row["data"] == {"percent": 83.2, "level": "critical", "text": "83.2 GiB of 100.0 GiB"}
    assert row["full"] == {"seconds": 777600, "text": "9 d", "what": "data", "level": ""}
    history = row["history"]
    assert (history["from"], history["to"]) == ("2025-11-16 08:00 UTC", "2025-11-24 16:00 UTC")
    assert history["points"][0][0] == 0
    assert history["points"][-1] == [1000, 83.2, 21.4]
    assert len(history["points"]) <= fleet_page.MOST_POINTS


def test_a_peak_of_the_history_stays_in_the_plot():
    samples = [[at * 60, 90.0 if at == 777 else 10.0, 5.0] for at in range(2000)]
    parts = {REPORT: fleets.report(10.0), HISTORY: {"pools": {"p": {"samples": samples}}}}
    row = fleet_page.row(fleet.read_host("h", parts), 50)
    assert max(point[1] for point in row["history"]["points"]) == 90.0
    assert len(row["history"]["points"]) <= 50


@pytest.mark.parametrize("samples", [[], [[1, 2, 3]], [[5, 1, 1], [5, 2, 2]], "x", [None, [1], {}]])
def test_without_two_moments_there_is_no_plot(samples):
    parts = {REPORT: fleets.report(10.0), HISTORY: {"pools": {"p": {"samples": samples}}}}
    assert "history" not in fleet_page.row(fleet.read_host("h", parts), 50)


@pytest.mark.parametrize(
    ("given", "mode"),
    [("0600", 0o600), ("0640", 0o640), (0o640, 0o640), (640, 0o640), ("664", 0o664)],
)
def test_modes_as_the_command_line_gives_them(given, mode):
    assert pagefile.read_mode(given) == mode


@pytest.mark.parametrize("given", ["0666", "rw", None, True, 0, -1, 0o777, "1777", []])
def test_other_modes_are_refused(given):
    with pytest.raises(BadInput, match="is no mode for a page; write one of 0600, 0640"):
        pagefile.read_mode(given)


def test_paths(tmp_path):
    assert pagefile.read_path(f"{tmp_path}/fleet.html") == tmp_path / "fleet.html"
    for given, says in (
        ("fleet.html", "is no absolute path"),
        (5, "is no absolute path"),
        (str(tmp_path), "is a directory"),
        (f"{tmp_path}/", "is a directory"),
        (f"{tmp_path}/no/x.html", "there is no directory"),
    ):
        with pytest.raises(BadInput, match=says):
            pagefile.read_path(given)


def test_a_page_replaces_what_was_there_and_never_follows_a_link(tmp_path):
    other = tmp_path / "other"
    other.write_text("precious")
    path = tmp_path / "fleet.html"
    path.symlink_to(other)
    assert pagefile.write(path, "ü", 0o640) == 2
    assert path.read_text() == "ü"
    assert not path.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert other.read_text() == "precious"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["fleet.html", "other"]


def test_a_page_that_cannot_be_put_in_place_leaves_nothing(tmp_path):
    path = tmp_path / "fleet.html"
    path.mkdir()
    with pytest.raises(Refused, match="it is as it was"):
        pagefile.write(path, "x", 0o600)
    assert [one.name for one in tmp_path.iterdir()] == ["fleet.html"]
