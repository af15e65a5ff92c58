"""The fleet as one HTML page that needs nothing else. Pure functions.

A strict policy in the page itself lets a browser run and style it by what is hashed here, load
nothing and send nothing. Data stands in it as JSON that no text can leave.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import jinja2
import markupsafe

from . import fleet
from .fleet import Fill, Host
from .fleet_answers import Sample
from .fleet_script import SCRIPT
from .fleet_style import STYLE
from .fleet_text import duration
from .levels import level
from .summary import human_bytes

#: Points of a plot; fewer where many hosts share a page.
MOST_POINTS = 120
FEWEST_POINTS = 30
_POINTS_A_PAGE = 60_000
#: Rows for browsers that run no scripts.
PLAIN_ROWS = 300

_TEMPLATE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src '{{ style_hash }}'; script-src '{{ script_hash }}'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Docker storage: {{ counts.hosts }} hosts, {{ counts.at_risk }} at risk</title>
<style>{{ style }}</style>
</head>
<body>
<header>
<h1>Docker storage of the fleet</h1>
<p>As of <time datetime="{{ iso }}">{{ made }}</time>{{ ", from the mine" if mine }}</p>
</header>
{% macro row(host) %}
<tr><td><span class="pill {{ host.state }}">{{ host.state }}</span></td><td>{{ host.name }}</td>
<td>{{ host.driver or "–" }} {{ host.kind }}</td>
<td>{{ host.data.percent ~ " %" if host.data else "–" }}</td>
<td>{{ host.metadata.percent ~ " %" if host.metadata else "–" }}</td>
<td>{{ host.full.text ~ " (" ~ host.full.what ~ ")" if host.full else "–" }}</td>
<td>{{ host.why or host.warnings and host.warnings[0][0] or "" }}</td></tr>
{% endmacro %}
<noscript>
<p>{{ counts.hosts }} hosts, {{ counts.at_risk }} at risk, {{ counts.states.silent }} silent, \
{{ counts.states.failed }} without a report.
{% if rows|length > plain_rows %}The {{ plain_rows }} that are worst off; with JavaScript all are \
shown.{% endif %}</p>
<table>
<thead><tr>{% for head in heads %}<th scope="col">{{ head }}</th>{% endfor %}</tr></thead>
<tbody>
{% for host in rows[:plain_rows] %}
{{ row(host) }}
{% endfor %}
</tbody>
</table>
</noscript>
<main id="app" hidden>
<div class="tiles">
{% for tile in tiles %}
<button type="button" class="tile {{ tile.kind }}{{ ' some' if tile.count }}" \
value="{{ tile.state }}" aria-pressed="false"><b>{{ tile.count }}</b>\
<span>{{ tile.label }}</span></button>
{% endfor %}
{% if counts.reclaimable_bytes is not none %}
<div class="tile"><b>{{ prunable }}</b><span>prunable</span></div>
{% endif %}
</div>
<div class="tools" role="search">
<label>Filter <input id="text" type="search" autocomplete="off" spellcheck="false" \
placeholder="host, driver, pool, warning"></label>
<label>State <select id="state"><option value="">all</option>\
<option value="at risk">at risk</option>\
{% for state in counts.states %}<option value="{{ state }}">{{ state }}</option>{% endfor %}\
<option value="loop-lvm">on loop-lvm</option></select></label>
<span id="told" role="status"></span>
</div>
<table id="table" role="table" aria-label="Docker hosts">
<thead role="rowgroup"><tr id="heads" role="row"></tr></thead>
<tbody id="rows" role="rowgroup"></tbody>
</table>
<p id="empty" class="empty" hidden>No host matches.</p>
<button type="button" id="more" hidden>Show more</button>
</main>
<script type="application/json" id="fleet">{{ data }}</script>
<script>{{ script }}</script>
</body>
</html>
"""
)
_HEADS = ("State", "Host", "Driver", "Data", "Metadata", "Full in", "Warnings")


def page(hosts: Collection[Host], now: float, source: str = "live") -> str:
    """The page of these hosts, as they were seen at a moment (seconds since the epoch)."""
    points = min(MOST_POINTS, max(FEWEST_POINTS, _POINTS_A_PAGE // max(len(hosts), 1)))
    rows = [row(host, points) for host in fleet.ordered(hosts)]
    counts = fleet.counts(hosts)
    made = datetime.fromtimestamp(now, timezone.utc)
    return _TEMPLATE.render(
        counts=counts,
        tiles=_tiles(counts),
        prunable=human_bytes(counts["reclaimable_bytes"]),
        rows=rows,
        plain_rows=PLAIN_ROWS,
        heads=_HEADS,
        made=_moment(now),
        iso=made.isoformat(timespec="seconds"),
        mine=source == "mine",
        data=_embedded({"states": list(fleet.STATES), "hosts": rows}),
        style=markupsafe.Markup(STYLE),
        script=markupsafe.Markup(SCRIPT),
        style_hash=_hash(STYLE),
        script_hash=_hash(SCRIPT),
    )


def _tiles(counts: Mapping[str, Any]) -> list[dict[str, Any]]:
    states = counts["states"]
    return [
        {"label": label, "count": count, "state": state, "kind": kind}
        for label, count, state, kind in (
            ("hosts", counts["hosts"], "", "all"),
            ("at risk", counts["at_risk"], "at risk", "risk"),
            ("silent", states["silent"], "silent", "silent"),
            ("without a report", states["failed"], "failed", "failed"),
            ("on loop-lvm", counts["loop_lvm"], "loop-lvm", "loop"),
        )
    ]


def row(host: Host, points: int) -> dict[str, Any]:
    """A host as the page's script reads it; what is not known is left out."""
    found: dict[str, Any] = {
        "name": host.name,
        "state": host.state,
        "why": host.why,
        "driver": host.driver,
        "engine": f"Docker {host.engine_version}" if host.engine_version else None,
        "pool": host.pool,
        "kind": host.pool_kind,
        "health": host.health,
        "loop": host.loop_lvm,
        "data": _fill(host.data),
        "metadata": _fill(host.metadata),
        "full": _full(host),
        "warnings": [[one.text, one.remedy] for one in host.warnings],
        "history": _history(host.samples, points),
    }
    if host.reclaimable_bytes is not None:
        size = host.reclaimable_bytes
        found["prunable"] = {"bytes": size, "text": human_bytes(size)}
    return {key: value for key, value in found.items() if value not in (None, "", [], False)}


def _fill(part: Fill | None) -> dict[str, Any] | None:
    if part is None:
        return None
    text = ""
    if part.used_bytes is not None and part.total_bytes is not None:
        text = f"{human_bytes(part.used_bytes)} of {human_bytes(part.total_bytes)}"
    return {"percent": round(part.percent, 1), "level": level(part.percent), "text": text}


def _full(host: Host) -> dict[str, Any] | None:
    if host.full_next is None:
        return None
    seconds, what = host.full_next
    urgent = next((state for limit, state in fleet.SOON if seconds < limit), "")
    return {"seconds": seconds, "text": duration(seconds), "what": what, "level": urgent}


def _history(samples: Sequence[Sample], points: int) -> dict[str, Any] | None:
    """At most so many points, in thousandths of the time; peaks stay."""
    if len(samples) < 2 or samples[-1].at == samples[0].at:
        return None
    first, last = samples[0].at, samples[-1].at
    size = -(-len(samples) // (points - 2))
    peaks = {
        max(samples[at : at + size], key=lambda one: one.data_percent)
        for at in range(0, len(samples), size)
    }
    kept = sorted({samples[0], *peaks, samples[-1]}, key=lambda one: one.at)
    return {
        "from": _moment(first),
        "to": _moment(last),
        "points": [
            [
                round((one.at - first) * 1000 / (last - first)),
                round(one.data_percent, 1),
                round(one.metadata_percent, 1),
            ]
            for one in kept
        ],
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _embedded(value: Any) -> markupsafe.Markup:
    """JSON for a script element: no text in it can end the element or open another."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return markupsafe.Markup(text)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
