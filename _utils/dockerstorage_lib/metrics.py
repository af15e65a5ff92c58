"""A report as text for Prometheus, in the exposition format 0.0.4. Pure functions.

Base units, as Prometheus has them: bytes, seconds, ratios from 0 to 1. What is not known has no
series: a zero would be a lie, and an alert on its absence is possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = "dockerstorage_"
HEALTHS = ("ok", "out_of_data_space", "read_only", "needs_check", "failed")
MODES = ("rw", "ro", "out_of_data_space")

#: Labels and value of each series of a metric.
Series = list[tuple[Mapping[str, str], float]]


@dataclass(frozen=True)
class Metric:
    """A gauge, its meaning, and its series."""

    name: str
    meaning: str
    series: Series


def metrics(report: Mapping[str, Any], now: float) -> list[Metric]:
    """All that a report tells in figures; those without a series are left out."""
    found = [
        *_engine(report["engine"]),
        *_objects(report["counts"]),
        *_pool(report["pool"], report["forecast"]),
        *_findings(report),
        Metric("last_run_timestamp_seconds", "When this was looked at.", [({}, now)]),
    ]
    return [one for one in found if one.series]


def _engine(engine: Mapping[str, Any]) -> Iterator[Metric]:
    yield Metric("engine_up", "Whether the Docker engine answers.", [({}, engine["running"])])
    labels = {"version": engine["version"] or "", "driver": engine["driver"] or ""}
    meaning = "The engine's version and storage driver; empty if not known."
    yield Metric("engine_info", meaning, [(labels, 1)])


def _objects(counts: Mapping[str, int] | None) -> Iterator[Metric]:
    if counts is None:
        return
    running = counts["running"]
    others = counts["containers"] - running
    yield Metric(
        "containers",
        "Containers by whether they run.",
        [({"running": "true"}, running), ({"running": "false"}, others)],
    )
    for name in ("images", "volumes", "networks"):
        yield Metric(name, f"{name.capitalize()} of the engine.", [({}, counts[name])])


def _findings(report: Mapping[str, Any]) -> Iterator[Metric]:
    codes = sorted({one["code"] for one in report["warnings"]})
    meaning = "What is wrong, by the code that report gives it."
    yield Metric("warning", meaning, [({"code": code}, 1) for code in codes])
    meaning = "How many things of the host could not be looked at."
    yield Metric("unseen", meaning, [({}, len(report["unseen"]))])
    meaning = "What a prune with this host's policy would free."
    yield Metric("reclaimable_bytes", meaning, _known({}, report.get("reclaimable_bytes")))


def _pool(pool: Mapping[str, Any] | None, forecast: Mapping[str, Any] | None) -> Iterator[Metric]:
    if pool is None:
        return
    labels = {"pool": pool["name"]}
    for part in ("data", "metadata"):
        yield from _part(labels, part, pool[part] or {})
        yield Metric(
            f"pool_{part}_time_to_full_seconds",
            f"When the pool's {part} will be full, by its history; absent if it does not fill.",
            _known(labels, (forecast or {}).get(f"seconds_to_{part}_full")),
        )
    yield Metric(
        "pool_health", "1 for the pool's health.", _one_of(labels, "health", HEALTHS, pool)
    )
    yield Metric("pool_mode", "1 for the pool's mode.", _one_of(labels, "mode", MODES, pool))
    yield Metric(
        "pool_needs_check",
        "Whether the pool's metadata must be checked.",
        _known(labels, pool.get("needs_check")),
    )
    yield Metric(
        "pool_volume_group_free_bytes",
        "What is free in the pool's volume group.",
        _known(labels, (pool.get("vg") or {}).get("free_bytes")),
    )


def _part(labels: Mapping[str, str], part: str, share: Mapping[str, Any]) -> Iterator[Metric]:
    used, size = share.get("used_bytes"), share.get("total_bytes")
    yield Metric(f"pool_{part}_used_bytes", f"Used of the pool's {part}.", _known(labels, used))
    yield Metric(f"pool_{part}_size_bytes", f"Size of the pool's {part}.", _known(labels, size))
    ratio = used / size if size else None
    yield Metric(
        f"pool_{part}_used_ratio", f"Used part of the pool's {part}.", _known(labels, ratio)
    )


def _known(labels: Mapping[str, str], value: float | None) -> Series:
    return [] if value is None else [(labels, value)]


def _one_of(
    labels: Mapping[str, str], key: str, values: Iterable[str], pool: Mapping[str, Any]
) -> Series:
    """A series for each value that there is; nothing if it is not known which holds."""
    if pool.get(key) is None:
        return []
    return [({**labels, key: value}, value == pool[key]) for value in values]


def text(found: Iterable[Metric]) -> str:
    """As the node exporter's textfile collector reads it."""
    lines: list[str] = []
    for metric in found:
        name = PREFIX + metric.name
        lines += [f"# HELP {name} {metric.meaning}", f"# TYPE {name} gauge"]
        lines += [f"{name}{_labels(labels)} {_number(value)}" for labels, value in metric.series]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    # Of whole numbers every digit; true and false as 1 and 0.
    return repr(float(value)) if isinstance(value, float) else str(int(value))
