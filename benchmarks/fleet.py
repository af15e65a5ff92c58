"""How quick the fleet's page is in a browser, against a plain static table of the same hosts."""

from __future__ import annotations

import html
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from dockerstorage_lib import fleet_page, fleet_table
from dockerstorage_lib.fleet import Host
from tests.browser import chromium, fleets

HOSTS = 5000
ROUNDS = 3
#: Milliseconds from the start of loading until the rows are laid out.
_LOADED = "document.body.offsetHeight; return performance.now()"
#: Milliseconds of a keystroke, or a click, until what it changed is laid out.
_TIMED = """
const act = new Function(arguments[0]), start = performance.now();
act();
document.body.offsetHeight;
return performance.now() - start;
"""
_TYPE = """
const field = document.getElementById("text");
field.value = "host04";
field.dispatchEvent(new Event("input"));
"""
_SORT = "document.querySelectorAll('#heads button')[3].click()"
_PLAIN_FILTER = """
for (const row of document.querySelectorAll("tbody tr"))
  row.hidden = !row.textContent.includes("host04");
"""
_PLAIN_SORT = """
const body = document.querySelector("tbody");
body.append(...[...body.rows].sort((a, b) =>
  parseFloat(b.cells[3].textContent) - parseFloat(a.cells[3].textContent)));
"""


@dataclass(frozen=True)
class Quickness:
    """Milliseconds of one page, and its size."""

    load_ms: float
    filter_ms: float
    sort_ms: float
    page_bytes: int


@dataclass(frozen=True)
class Pages:
    """The fleet's page, the plain table, and what writing them took."""

    ours: Quickness
    plain: Quickness
    write_seconds: float
    table_seconds: float


def pages(count: int = HOSTS) -> Pages:
    """Measure both in the same browser."""
    hosts = fleets.large(count)
    started = time.perf_counter()
    page = fleet_page.page(hosts, fleets.NOW)
    written = time.perf_counter()
    fleet_table.table(hosts, fleet_table.Look(160))
    shown = time.perf_counter()
    ours = _measure(page, _TYPE, _SORT)
    plain = _measure(_plain(hosts), _PLAIN_FILTER, _PLAIN_SORT)
    return Pages(ours, plain, written - started, shown - written)


def _measure(page: str, typed: str, sort: str) -> Quickness:
    browser = chromium.start()
    seen: list[Sequence[float]] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "page.html"
            path.write_text(page)
            for _ in range(ROUNDS):
                browser.get(path.as_uri())
                loaded = browser.execute_script(_LOADED)
                steps = [browser.execute_script(_TIMED, step) for step in (typed, sort)]
                seen.append((loaded, *steps))
    finally:
        browser.quit()
    load_ms, filter_ms, sort_ms = map(median, zip(*seen, strict=True))
    return Quickness(load_ms, filter_ms, sort_ms, len(page.encode()))


def _plain(hosts: Sequence[Host]) -> str:
    """What one would write at first: every host a row, with what the fleet's page shows of it."""
    rows = []
    for host in hosts:
        one = fleet_page.row(host, fleet_page.FEWEST_POINTS)
        cells = [host.state, host.name, host.driver or "–"]
        cells += [f"{part['percent']} %" if (part := one.get(key)) else "–"
                  for key in ("data", "metadata")]  # fmt: skip
        cells += [host.why or "", *(text for text, _ in one.get("warnings", []))]
        rows.append("".join(f"<td>{html.escape(cell)}</td>" for cell in cells))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<!doctype html><meta charset=utf-8><table><tbody>{body}</tbody></table>"
