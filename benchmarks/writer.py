"""A container that fills Docker's pool at a steady rate; the host must keep ahead of it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab import prepared
from tests.lab.fill import fill_to
from tests.lab.filledhost import begin, mib_kept, watched, written
from tests.lab.hosts import Host

INTERVAL_SECONDS = 10
#: Of a pool of 4 GiB: what is written then would be more than it has. No more, for a container's
#: file system has 1 GiB.
START_PERCENT = 79
WRITE_MIB = 880
FULLEST = """
while sleep 0.3; do dmsetup status --noflush docker-thinpool | cut -d' ' -f6; done > /run/fill
"""


@dataclass(frozen=True)
class Writing:
    """What became of the writer."""

    errors: int
    mib_per_second: float
    #: The highest fill of the pool's data on the way.
    fullest_percent: float
    #: What it wrote is there, to the last byte.
    intact: bool


def steady_writer() -> Writing:
    """Let it write, one seed a second, while beacon and reactor watch and may extend."""
    host = prepared.open_host("direct", "bench-writer")
    with host.guest as guest:
        fill_to(host, START_PERCENT)
        # By extension alone: what a prune frees would be no fill for the writer to outrun.
        with watched(host, {"order": ["extend", "spare"]}, INTERVAL_SECONDS):
            sampler = guest.start(FULLEST)
            begun = _now(host)
            begin(host, "writer", WRITE_MIB, protected=True, pause=0.8)
            said = written(host, "writer", timeout=300)
            seconds = _now(host) - begun
            sampler.kill()
            fills = guest.run("cat /run/fill").stdout.split()
        return Writing(
            errors=said.count("failed"),
            mib_per_second=WRITE_MIB / seconds,
            fullest_percent=max(100 * used / total for used, total in map(_pair, fills)),
            intact=mib_kept(host, "writer") == WRITE_MIB,
        )


def _now(host: Host) -> float:
    return float(host.guest.run("date +%s.%N").stdout)


def _pair(words: str) -> tuple[int, int]:
    used, _, total = words.partition("/")
    return int(used), int(total)
