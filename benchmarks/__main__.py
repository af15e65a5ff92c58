"""Run every benchmark and print one table. Figures are ratios; peers run on the same machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from benchmarks.beacon import ROUNDS, reaction_seconds, ticks
from benchmarks.bundle import bundled
from benchmarks.fleet import HOSTS, pages
from benchmarks.lab import race
from benchmarks.migration import TIMES, moved
from benchmarks.planning import LAYERS_AN_IMAGE, seconds_to_plan
from benchmarks.rescue import rescued
from benchmarks.storm import MINIONS, stormed
from benchmarks.writer import steady_writer
from dockerstorage_lib.summary import columns, human_bytes
from tests.lab import prepared, salthost
from tests.lab.beaconhost import INTERVAL_SECONDS

Row = tuple[str, str, str, str]


def main() -> int:
    rows: list[Row] = [("benchmark", "figure", "goal", "met")]
    rows += _planning_rows()
    rows += _beacon_rows()
    rows.append(_writer_row())
    for kind in ("loop", "direct"):
        rows += _race_rows(kind)
    for kind in ("direct", "overlay"):
        rows += _bundle_rows(kind)
    rows += _migration_rows()
    rows += _rescue_rows()
    rows += _storm_rows()
    rows += _fleet_rows()
    print("\n".join(columns(rows)))
    return 0


def _planning_rows() -> list[Row]:
    images = 10_000
    half, whole, double = (seconds_to_plan(n) for n in (images // 2, images, images * 2))
    layers = images * LAYERS_AN_IMAGE
    # Linear: twice the host takes twice as long, give or take what caches cost.
    growth = (double / whole + whole / half) / 2
    return [
        _row(f"plan {images} images, {layers} layers", f"{whole:.2f} s", "< 2 s", whole < 2),
        _row("time for twice the host", f"{growth:.2f} ×", "< 2.6 ×", growth < 2.6),
    ]


def _beacon_rows() -> list[Row]:
    host = prepared.open_host("direct", "bench-salt")
    with host.guest:
        seen = ticks(host)
        salthost.start(host.guest)
        slowest = max(reaction_seconds(host))
    ratio = seen.beacon_seconds / seen.dmsetup_seconds
    started = seen.started_dmsetup_seconds / seen.dmsetup_seconds
    times = f"{seen.beacon_seconds * 1000:.1f} ms / {seen.dmsetup_seconds * 1000:.1f} ms"
    goal = INTERVAL_SECONDS + 2
    return [
        _row("CPU of a beacon's tick / bare dmsetup status", f"{ratio:.2f} × ({times})", "≤ 1.5 ×",
             ratio <= 1.5),
        ("the same with dmsetup started through sh", f"{started:.2f} ×", "-", "-"),
        _row(f"level crossed to remedy published, slowest of {ROUNDS}", f"{slowest:.1f} s",
             f"≤ interval + 2 s = {goal} s", slowest <= goal),
    ]  # fmt: skip


def _writer_row() -> Row:
    seen = steady_writer()
    name = f"write errors of a container that fills the pool at {seen.mib_per_second:.0f} MiB/s"
    figure = f"{seen.errors} (fullest {seen.fullest_percent:.0f} %)"
    return _row(name, figure, "0, data intact", seen.errors == 0 and seen.intact)


def _race_rows(kind: str) -> list[Row]:
    seen = race(kind)
    ratio = seen.our_seconds / seen.engine_seconds
    call = seen.our_call_seconds / seen.engine_seconds
    name = f"{kind}: prune of {seen.our_removed} objects / docker system prune"
    times = f"{seen.our_seconds:.1f} s / {seen.engine_seconds:.1f} s"
    equal = seen.bytes_freed == seen.bytes_predicted
    freed = f"{human_bytes(seen.bytes_freed)} / {human_bytes(seen.bytes_predicted)}"
    left = f"{seen.objects_left_by_us} / {seen.objects_left_by_engine}"
    return [
        _row(name, f"{ratio:.2f} × ({times})", "≤ 1.0 ×", ratio <= 1.0),
        (f"{kind}: the same with salt-call's start", f"{call:.2f} ×", "-", "-"),
        _row(f"{kind}: bytes freed / predicted", freed, "equal", equal),
        (f"{kind}: objects left, ours / engine's", left, "-", "-"),
    ]


def _bundle_rows(kind: str) -> list[Row]:
    seen = bundled(kind)
    wall = seen.our_seconds / seen.peer_seconds
    process = seen.our_process_seconds / seen.peer_seconds
    size = seen.our_bytes / seen.peer_bytes
    times = f"{seen.our_seconds:.1f} s / {seen.peer_seconds:.1f} s"
    sizes = f"{human_bytes(seen.our_bytes)} / {human_bytes(seen.peer_bytes)}"
    peer = "docker save, export | gzip"
    return [
        _row(f"{kind}: export / {peer}: wall", f"{wall:.2f} × ({times})", "≤ 0.5 ×", wall <= 0.5),
        (f"{kind}: the same with the start of a process", f"{process:.2f} ×", "-", "-"),
        _row(f"{kind}: the same: bytes", f"{size:.2f} × ({sizes})", "≤ 0.7 ×", size <= 0.7),
        _row(f"{kind}: peak memory", f"{seen.peak_mib:.0f} MiB", "< 200 MiB", seen.peak_mib < 200),
    ]


def _migration_rows() -> list[Row]:
    seen = moved()
    ours, hand, larger = seen.ours, seen.by_hand, seen.larger
    down = ours.downtime_seconds / hand.downtime_seconds
    # Whoever saves the images while containers run saves no more than this.
    online = ours.downtime_seconds / (hand.downtime_seconds - hand.seconds["saved"])
    restart = ours.downtime_seconds / ours.restart_seconds
    growth = larger.downtime_seconds / ours.downtime_seconds
    stage = ours.seconds["stage"]
    speed = seen.save_and_load_seconds / stage
    speeds = " / ".join(
        f"{seen.layer_bytes / seconds / 1e6:.0f} MB/s"
        for seconds in (stage, seen.save_and_load_seconds)
    )
    total = ours.total_seconds / hand.downtime_seconds
    disk = ours.extra_bytes / hand.extra_bytes
    return [
        _row("migration: downtime / the six steps by hand",
             f"{down:.3f} × ({ours.downtime_seconds:.1f} s / {hand.downtime_seconds:.1f} s)",
             "≤ 0.05 ×", down <= 0.05),
        ("the same without their time to save images", f"{online:.3f} ×", "-", "-"),
        ("migration: downtime / a mere restart of engine and containers",
         f"{restart:.2f} × ({ours.downtime_seconds:.1f} s / {ours.restart_seconds:.1f} s)",
         "-", "-"),
        _row(f"migration: downtime with {TIMES} × the image bytes",
             f"{growth:.2f} × ({larger.downtime_seconds:.1f} s / {ours.downtime_seconds:.1f} s)",
             "≤ 1.2 ×", growth <= 1.2),
        _row("migration: layers staged / docker save | docker load",
             f"{speed:.1f} × ({speeds})", "≥ 5 ×", speed >= 5),
        ("migration: whole time / the six steps by hand",
         f"{total:.2f} × ({ours.total_seconds:.0f} s / {hand.downtime_seconds:.0f} s)", "-", "-"),
        ("migration: extra disk / the six steps by hand",
         f"{disk:.2f} × ({human_bytes(ours.extra_bytes)} / {human_bytes(hand.extra_bytes)})",
         "-", "-"),
        ("migration: seconds of the steps", _seconds(ours.seconds), "-", "-"),
        (f"the same with {TIMES} × the image bytes", _seconds(larger.seconds), "-", "-"),
        ("by hand: seconds of the parts", _seconds(hand.seconds), "-", "-"),
    ]  # fmt: skip


def _rescue_rows() -> list[Row]:
    seen = rescued()
    speed = seen.save_seconds / seen.our_seconds
    read = seen.our_seconds / seen.read_seconds
    speeds = " / ".join(
        f"{seen.layer_bytes / seconds / 1e6:.0f} MB/s"
        for seconds in (seen.our_seconds, seen.save_seconds)
    )
    times = f"{seen.our_seconds:.1f} s / {seen.read_seconds:.1f} s"
    return [
        _row("rescue of images / docker save of the same", f"{speed:.1f} × ({speeds})", "≥ 5 ×",
             speed >= 5),
        ("rescue of images / dd of the pool's data", f"{read:.1f} × ({times})", "-", "-"),
    ]  # fmt: skip


def _storm_rows() -> list[Row]:
    seen = stormed()
    storm, by_salt, plain = seen.by_path, seen.by_salt, seen.plain
    once = seen.remedied[1]
    twice = MINIONS - once - seen.remedied[0]
    waited = [max(one.pings) for one in (storm, plain)]
    grown_mib = (storm.after.memory_bytes - storm.before.memory_bytes) / 2**20
    ours = storm.seconds / plain.seconds
    rates = " / ".join(f"{one.jobs / one.seconds:.0f} jobs/s" for one in (storm, plain))
    cpu = " / ".join(f"{one.cpu_seconds / one.jobs * 1000:.0f} ms" for one in (storm, plain))
    return [
        _row(f"storm of {MINIONS} minions, each with cause for two remedies: remedied once / twice",
             f"{once} / {twice} ({MINIONS / storm.seconds:.0f} remedies/s)", f"{MINIONS} / 0",
             (once, twice) == (MINIONS, 0)),
        _row("the same: memory that the master's processes gained", f"{grown_mib:.0f} MiB",
             "< 200 MiB", grown_mib < 200),
        _row("the same: our sls by its path / a plain YAML reaction", f"{ours:.2f} × ({rates})",
             "≤ 1.5 ×", ours <= 1.5),
        # Most of it is the master's intake of the events, which nobody need react to.
        _row("the same: slowest test.ping meanwhile / with a plain YAML reaction",
             f"{waited[0]:.1f} s / {waited[1]:.1f} s", "≤ 1.5 ×", waited[0] <= 1.5 * waited[1]),
        ("the same: the master's CPU for an event, its job and its answer", cpu, "-", "-"),
        ("the same: our sls by salt:// / a plain YAML reaction",
         f"{by_salt.seconds / plain.seconds:.2f} ×", "-", "-"),
    ]  # fmt: skip


def _fleet_rows() -> list[Row]:
    seen = pages()
    rows = []
    for what, ours, plain, most in (
        ("loaded", seen.ours.load_ms, seen.plain.load_ms, 1.0),
        ("filtered", seen.ours.filter_ms, seen.plain.filter_ms, 2.0),
        ("sorted", seen.ours.sort_ms, seen.plain.sort_ms, 1.0),
    ):
        name = f"page of {HOSTS} hosts: {what} / a plain table of the same"
        figure = f"{ours / plain:.2f} × ({ours:.0f} ms / {plain:.0f} ms)"
        rows.append(_row(name, figure, f"≤ {most:g} ×", ours <= most * plain))
    size = f"{human_bytes(seen.ours.page_bytes)}, {seen.write_seconds:.1f} s to make"
    return [*rows, ("the same: size", size, "-", "-")]


def _seconds(parts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in parts.items())


def _row(name: str, figure: str, goal: str, met: bool) -> Row:
    return name, figure, goal, "yes" if met else "NO"


if __name__ == "__main__":
    sys.exit(main())
