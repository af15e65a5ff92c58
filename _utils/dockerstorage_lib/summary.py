"""Results as lines for a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

#: Columns of a terminal that texts may fill.
WIDTH = 96
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SPANS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def human_bytes(count: float | None) -> str:
    """A size that reads well: ``1.5 GiB``; ``-`` if it is not known."""
    if count is None:
        return "-"
    for unit in _UNITS[:-1]:
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def human_duration(seconds: int) -> str:
    """A time that reads well: ``9 days``."""
    size, unit = next((one for one in _SPANS if seconds >= one[0]), _SPANS[-1])
    count = round(seconds / size)
    return f"{count} {unit}{'' if count == 1 else 's'}"


def columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Rows as lines, every column but the last padded to its widest cell."""
    table = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """The report of a host in a screen."""
    engine = report["engine"]
    state = f"Docker {engine['version']}" if engine["running"] else "Docker does not answer"
    lines = [f"{state}, {engine['driver'] or 'no driver known'}, {engine['data_root']}"]
    lines += _configured(report["configuration"])
    if report["counts"]:
        lines.append(", ".join(f"{count} {name}" for name, count in report["counts"].items()))
    lines += ["", *pool_lines(report["pool"]), *_forecast(report["forecast"])]
    if report.get("reclaimable_bytes") is not None:
        lines.append(f"a prune would free {human_bytes(report['reclaimable_bytes'])}")
    for warning in report["warnings"]:
        lines += ["", *_wrapped("! ", warning["text"]), *_wrapped("  way out: ", warning["remedy"])]
    if report["unseen"]:
        lines += ["", "not seen"]
        lines += [f"  {one['what']}: {one['why']}" for one in report["unseen"]]
    return lines


def _configured(configuration: Mapping[str, Any] | None) -> list[str]:
    """Which file says the storage driver."""
    if configuration is None or configuration["driver"] is None:
        return []
    place = f"{configuration['file']} ({configuration['says']})"
    return [f"configured: {configuration['driver']}, by {place}"]


def drivers_lines(found: Mapping[str, Any]) -> list[str]:
    """Which storage drivers a host can run."""
    at, engine = found["file_system"], found["engine_version"] or "is not installed"
    lines = [
        f"Docker {engine}, kernel {found['kernel']}, {at['path']} on {at['type']}",
        f"driver {found['current'] or 'not known'}; recommended: {found['recommended']}",
    ]
    for one in found["drivers"]:
        lines += ["", f"{'yes' if one['supported'] else 'no':<4}{one['name']}"]
        for text in (*one["why_not"], *(one["notes"] if one["supported"] else ())):
            lines += _wrapped("      ", text)
    return lines


def pool_lines(pool: Mapping[str, Any] | None) -> list[str]:
    """A pool's fill as bars."""
    if pool is None:
        return ["no thin pool"]
    full = {"queue": "; when full, writes wait for a minute", "error": "; when full, writes fail"}
    when_full = full.get(pool.get("when_full") or "", "")
    lines = [f"pool {pool['name']} ({pool['kind']}): {pool['health']}{when_full}"]
    for name in ("data", "metadata"):
        share = pool[name]
        if share:
            lines.append(
                f"  {name:<8}  {_bar(share['percent'])} {share['percent']:5.1f} %  "
                f"{human_bytes(share['used_bytes'])} of {human_bytes(share['total_bytes'])}"
            )
    files = [
        f"{name} {human_bytes(file['allocated_bytes'])} of {human_bytes(file['apparent_bytes'])}"
        for name, file in (pool.get("loop_files") or {}).items()
    ]
    if files:
        lines.append(f"  on disk   {', '.join(files)}")
    if "vg" in pool:
        lines.append(
            f"  group     {pool['vg']['name']}, {human_bytes(pool['vg']['free_bytes'])} free"
        )
    return lines


def _forecast(forecast: Mapping[str, Any] | None) -> list[str]:
    """When the pool will be full, by its history."""
    if forecast is None:
        return []
    return [
        f"  {name} full in about {human_duration(seconds)} at the rate of the last "
        f"{human_duration(forecast[f'observed_{name}_seconds'])}"
        for name in ("data", "metadata")
        if (seconds := forecast[f"seconds_to_{name}_full"])
    ]


def prune_lines(result: Mapping[str, Any]) -> list[str]:
    """What a prune did, or would do."""
    remove, keep = result["plan"]["remove"], result["plan"]["keep"]
    size = human_bytes(result["bytes_predicted"])
    if result["test"]:
        lines = [f"would remove {len(remove)} objects, {size} ({result['bytes_source']})"]
        lines += _removals(remove)
        lines += ["", f"would keep {len(keep)}"]
        lines += columns(("", one["kind"], _short(one["name"]), one["reason"]) for one in keep)
    else:
        done, freed = result["removed"], human_bytes(result["bytes_freed"])
        lines = [
            f"removed {len(done)} of {len(remove)} objects, {freed} freed, {size} predicted; "
            f"kept {len(keep)}"
        ]
        lines += _removals(done)
        lines += _changes(result["pool"])
    if result["skipped"]:
        lines += ["", f"left {len(result['skipped'])} of the plan"]
        lines += columns(
            ("", one["kind"], _short(one["name"]), one["why"]) for one in result["skipped"]
        )
    if result["stopped"]:
        lines += ["", f"stopped: {result['stopped']}"]
    return lines


def recover_lines(result: Mapping[str, Any]) -> list[str]:
    """What a recovery did, or would do."""
    before, after = result["before"], result["after"]
    lines = [f"pool {result['pool']}: {before['health']}"]
    for one in result["plan"] if result["test"] else result["done"]:
        lines.append(f"- {one['step']}: {one['why']}")
        lines += [f"    {what}" for what in one["what"]]
        if "error" in one:
            lines.append(f"    ! {one['error']}")
        elif "result" in one:
            lines.append(f"    = {one['result']}")
    if not result["test"]:
        lines.append(f"pool {result['pool']}: {after['health']}")
    if result["stopped"]:
        lines.append(f"stopped: {result['stopped']}")
    elif not result["plan"]:
        lines.append("the host is well: nothing is to be done")
    if result["advice"]:
        lines.append(f"left to you: {result['advice']}")
    if result["not_running"]:
        names = ", ".join(result["not_running"])
        lines.append(f"ran before, and do not run now: {names}")
    return lines


def _removals(items: Iterable[Mapping[str, Any]]) -> list[str]:
    return columns(
        ("", one["kind"], _short(one["name"]), f"{human_bytes(one['bytes']):>10}", one["reason"])
        for one in items
    )


def _changes(pool: Mapping[str, Any]) -> list[str]:
    """A pool's fill before and after."""
    before, after = pool["before"], pool["after"]
    if not (before and after and before["data"] and after["data"]):
        return []
    parts = (
        f"{part} {before[part]['percent']:.1f} % -> {after[part]['percent']:.1f} %"
        for part in ("data", "metadata")
    )
    return ["", f"pool {after['name']}: {', '.join(parts)}"]


def _short(name: str) -> str:
    """A name that the engine made of an id, as the engine itself shortens it."""
    return name[:12] if re.fullmatch("[0-9a-f]{64}", name) else name


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    )


def _bar(percent: float, width: int = 20) -> str:
    full = min(round(percent * width / 100), width)
    return "[" + "#" * full + "." * (width - full) + "]"


def export_lines(result: Mapping[str, Any]) -> list[str]:
    """What an export wrote, or would write."""
    counts = ", ".join(
        f"{len(result[kind])} {kind}" for kind in ("images", "containers", "volumes", "networks")
    )
    if result["test"]:
        size = human_bytes(result["estimated_bytes"])
        free = human_bytes(result["free_bytes"])
        lines = [f"would write {counts} to {result['bundle']}: up to {size}, {free} free"]
    else:
        lines = [
            f"wrote {counts} to {result['bundle']}: {human_bytes(result['bytes'])} for "
            f"{human_bytes(result['plain_bytes'])}"
        ]
        if result["reused"]:
            lines.append(f"{result['reused']} objects were there from an export that was cut")
        lines += [
            f"paused {name} for {seconds:g} s" for name, seconds in result["paused_seconds"].items()
        ]
    lines += [
        f"~ not taken: {one['kind']} {one['name']}: {one['why']}" for one in result["not_taken"]
    ]
    return lines


def rescue_lines(result: Mapping[str, Any]) -> list[str]:
    """What lies in a store that no engine serves, and what became of it."""
    counts = ", ".join(
        f"{len(result[kind])} {kind}" for kind in ("images", "containers", "volumes", "networks")
    )
    if result["test"]:
        size = human_bytes(result["estimated_bytes"])
        lines = [f"{result['source']} holds {counts}: up to {size}"]
        for one in result["images"]:
            names = ", ".join(one["tags"]) or one["id"].removeprefix("sha256:")[:12]
            lines.append(f"  image {names}: {human_bytes(one['bytes'])}")
        for one in result["containers"]:
            size = human_bytes(one["bytes"])
            lines.append(f"  container {one['name']} ({one['status']}): {size} of its own")
        lines += [f"  volume {one['name']}: {human_bytes(one['bytes'])}"
                  for one in result["volumes"]]  # fmt: skip
        lines += [f"  network {name}" for name in result["networks"]]
    else:
        sizes = f"{human_bytes(result['bytes'])} for {human_bytes(result['plain_bytes'])}"
        lines = [f"rescued {counts} from {result['source']} to {result['bundle']}: {sizes}"]
        if result["reused"]:
            lines.append(f"{result['reused']} objects were there from a rescue that was cut")
        if result["apart"]:
            lines.append(f"what is left of damaged objects is in {result['apart']}")
    lines += [f"! {one['kind']} {one['name'] or one['id']}: {one['why']}"
              for one in result["damaged"]]  # fmt: skip
    told = {(one["kind"], one["id"], one["why"]) for one in result["damaged"]}
    lines += [
        f"~ not taken: {one['kind']} {one['name']}: {one['why']}"
        for one in result["not_taken"]
        if (one["kind"], one["id"], one["why"]) not in told
    ]
    return lines


def reclaim_lines(result: Mapping[str, Any]) -> list[str]:
    """What a loop pool's data file gives back to its file system, or gave."""
    before, freed = map(human_bytes, (result["allocated_bytes_before"], result["freed_bytes"]))
    if result["test"]:
        after = human_bytes(result["allocated_bytes_predicted"])
        lines = [f"would give back {freed} of {result['data_file']}: {before}, then {after}"]
        if result["needs_stop"] and result["freed_bytes"]:
            lines.append("the engine and its containers must be stopped for it: stop_docker=True")
    else:
        after = human_bytes(result["allocated_bytes_after"])
        lines = [f"gave back {freed} of {result['data_file']}: {before}, now {after}"]
    for one in result["trimmed"]:
        size = f"{human_bytes(one['freed_bytes'])} came free by a trim"
        lines.append(f"  container {one['container']}: {one['why_not'] or size}")
    if result["stopped_seconds"] is not None:
        lines.append(f"the engine was stopped for {result['stopped_seconds']} s")
    lines += [f"! does not run any more: {one}" for one in result["not_running"]]
    return lines


def verify_lines(found: Mapping[str, Any]) -> list[str]:
    """What became of a bundle."""
    counts = ", ".join(f"{count} {kind}" for kind, count in found["counts"].items())
    word = "whole" if found["valid"] else "NOT whole"
    lines = [
        f"{found['bundle']} is {word}: {counts}; {human_bytes(found['bytes'])} for "
        f"{human_bytes(found['plain_bytes'])}"
    ]
    lines += [f"! {one['object']}: {one['file']}: {one['why']}" for one in found["damaged"]]
    lines += [f"! missing: {one}" for one in found["missing"]]
    lines += [
        f"~ not taken: {one['kind']} {one['name']}: {one['why']}" for one in found["not_taken"]
    ]
    return lines


def migration_plan_lines(found: Mapping[str, Any]) -> list[str]:
    """What a migration would do."""
    lines = [
        f"from {found['from']} to {found['to']} by {found['method']}: "
        f"{human_bytes(found['layer_bytes'])} of layers while the engine serves, "
        f"{human_bytes(found['container_bytes'])} of containers while it is stopped; "
        f"{human_bytes(found['free_bytes'])} free",
        f"about {found['estimated_seconds']} s, of which the engine is stopped for at most "
        f"{found['estimated_downtime_seconds']} s",
    ]
    lines += [f"  {one['step']:<10} {one['what']}" for one in found["steps"]]
    lines += [f"~ changes {path}" for path in found["files"]]
    lines += [line for one in found["notes"] for line in _wrapped("~ ", one)]
    lines += [line for one in found["obstacles"] for line in _wrapped("! ", one)]
    return lines


def migration_lines(found: Mapping[str, Any]) -> list[str]:
    """Where a migration stands."""
    state = found["outcome"] or ("is being rolled back" if found["rolling_back"] else "under way")
    lines = [f"from {found['from']} to {found['to']} by {found['method']}: {state}"]
    for one in found["steps"]:
        seconds = "" if one["seconds"] is None else f" ({one['seconds']:g} s)"
        lines.append(f"  {one['step']:<10} {one['state']}{seconds}")
    if found["downtime_seconds"] is not None:
        lines.append(f"the engine's containers were stopped for {found['downtime_seconds']:g} s")
    if found["failure"]:
        lines += _wrapped("! ", found["failure"])
    lines += [f"! not running: {one}" for one in found["not_running"]]
    lines += [f"> {one}" for one in found["next"]]
    return lines


def commit_lines(found: Mapping[str, Any]) -> list[str]:
    """What a commit removed, or would."""
    word = "would remove" if found["test"] else "removed"
    lines = [f"{word} {path}" for path in found["removed"]]
    if found["thin_devices"]:
        lines.append(f"{word} {found['thin_devices']} thin devices")
    lines.append(
        f"{human_bytes(found['bytes_freed'])} given back; the host is on {found['driver']}"
    )
    return lines


def orphan_lines(found: Mapping[str, Any]) -> list[str]:
    """The orphans of a store, and what became of them."""
    rows = [one for one in found["orphans"] if one["kept"] is None]
    if found["record"]:
        lines = [
            f"removed {len(found['removed'])} orphans, {human_bytes(found['bytes_freed'])} freed; "
            f"the engine was stopped for {found['stopped_seconds']:g} s",
            f"copies of what was removed are in {found['record']}",
        ]
        rows = found["removed"]
    else:
        lines = [f"{len(rows)} orphans in {found['data_root']}: {human_bytes(found['bytes'])}"]
    for mark, ones in (
        ("  ", rows),
        ("  gone by itself: ", found["gone"]),
        ("  new, not removed: ", found["new"]),
    ):
        lines += [
            f"{mark}{one['class']} {one['name'].removeprefix('sha256:')[:40]}: "
            f"{human_bytes(one['bytes'])}"
            for one in ones
        ]
    for one in found["kept"]:
        lines += _wrapped("~ ", f"kept: {one['class']} {one['name'][:40]}: {one['kept']}")
    lines += [line for one in found["doubts"] for line in _wrapped("! ", one)]
    return lines + [f"! not running: {one}" for one in found["not_running"]]
