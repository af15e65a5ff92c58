"""Fleets for pages: small ones of every kind of host, hostile ones, and as large as one likes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from dockerstorage_lib import fleet
from dockerstorage_lib.fleet import Host
from dockerstorage_lib.fleet_answers import HISTORY, REPORT

NOW = 1_764_000_000
GIB = 1 << 30
LOOP_WARNING = {
    "code": "loop_lvm",
    "text": "The pool lives in sparse loop files.",
    "remedy": "Move to overlay2, or to an LVM thin pool (direct-lvm).",
}
#: What a minion that is taken over might call itself, its driver or its troubles.
HOSTILE = (
    "<script>window.owned = 1</script>",
    '"><img src=x onerror="window.owned=1">',
    "</script><script>window.owned = 1</script>",
    "<!--<script>",
    "' onmouseover='window.owned=1",
    "{{ 7 * 7 }}{% for x in y %}",
    "\x1b]0;owned\x07\x1b[2J",
    "two\nlines\r\tand\x85more\u2028still\u2029",
    "\u202egnp.exe\u2066\u200f\u061c",
    "javascript:window.owned=1",
    "e" + "\u0301" * 200,
    "x" * 5000,
    "\ud800 lone",
)


def report(
    percent: float, metadata: float = 10.0, kind: str = "direct-lvm", **more: Any
) -> dict[str, Any]:
    """What ``dockerstorage.report`` returns for a host on devicemapper."""
    total = 100 * GIB
    return {
        "engine": {"running": True, "version": "20.10.24", "driver": "devicemapper"},
        "pool": {
            "name": "docker-thinpool",
            "kind": kind,
            "health": "ok",
            "data": {
                "used_bytes": int(total * percent / 100),
                "total_bytes": total,
                "percent": percent,
            },
            "metadata": {
                "used_bytes": int(GIB * metadata / 100),
                "total_bytes": GIB,
                "percent": metadata,
            },
        },
        "warnings": [],
        "unseen": [],
        **more,
    }


def history(percent: float, metadata: float = 10.0, samples: int = 200) -> dict[str, Any]:
    """A pool that filled to where it is, in waves."""
    points = [
        [
            NOW - (samples - at) * 3600,
            percent * (0.5 + 0.5 * at / samples) + 3 * math.sin(at / 7) * (1 - at / samples),
            metadata,
        ]
        for at in range(samples + 1)
    ]
    return {"pools": {"docker-thinpool": {"samples": points}}, "unseen": []}


def small() -> list[Host]:
    """One host of each kind, and a silent one."""
    forecast = {"seconds_to_data_full": 9 * 86400, "seconds_to_metadata_full": None}
    critical = {"code": "pool_data_critical", "text": "The pool's data is at 83.2 %.",
                "remedy": "Prune (dockerstorage.prune) or extend the pool."}  # fmt: skip
    reports: dict[str, Any] = {
        "ok1": report(12.5, reclaimable_bytes=5 * GIB),
        "db1": report(83.2, 21.4, forecast=forecast, warnings=[critical, LOOP_WARNING]),
        "full1": report(97.0, 40.0, "loop-lvm", warnings=[LOOP_WARNING]),
        "old1": "'dockerstorage.report' is not available.",
        "web1": {**report(1.0), "pool": None, "engine": {"running": True, "driver": "overlay2"}},
    }
    answers: dict[str, dict[str, Any]] = {name: {REPORT: one} for name, one in reports.items()}
    answers["db1"][HISTORY] = history(83.2, 21.4)
    return fleet.merge(["silent1"], answers, "no answer within 30 s")


def hostile() -> list[Host]:
    """Hosts that put something harmful wherever they may put a text."""
    answers: dict[str, dict[str, Any]] = {}
    for text in HOSTILE:
        warning = {"code": text, "text": text, "remedy": text}
        one = report(50.0, kind=text, warnings=[warning], health=text)
        one["engine"] |= {"driver": text, "version": text}
        one["pool"] |= {"name": text, "health": text}
        pools = {text: history(50.0)["pools"]["docker-thinpool"]}
        answers[text] = {REPORT: one, HISTORY: {"pools": pools}}
        answers[f"failed {text}"] = {REPORT: text}
    return fleet.merge([], answers, "")


def large(count: int, samples: int = 60) -> list[Host]:
    """So many hosts, of all kinds in turn, with a history."""
    answers: dict[str, Mapping[str, Any]] = {}
    for number in range(count):
        percent = (number * 37) % 100 + 0.3
        one = report(percent, kind=("direct-lvm", "loop-lvm")[number % 2])
        one["warnings"] = [LOOP_WARNING] * (number % 2)
        name = f"host{number:05d}.example.com"
        answers[name] = {REPORT: one, HISTORY: history(percent, samples=samples)}
    return fleet.merge(_every_tenth(answers), answers, "no answer within 30 s")


def _every_tenth(names: Iterable[str]) -> list[str]:
    return [f"silent-{name}" for at, name in enumerate(names) if at % 10 == 0]
