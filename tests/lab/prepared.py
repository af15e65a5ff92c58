"""Populated hosts, made once for a recipe and kept in the cache; a copy of one boots in seconds.

    python -m tests.lab.prepared

makes those that are missing, two at a time. A change of how they are made makes them anew.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab import build, cache, hostkinds, hosts, population, salthost
from tests.lab.guest import Guest

MADE_BY = ("hostkinds.py", "population.py")
KINDS = tuple(hostkinds.KINDS)


def path(kind: str) -> Path:
    """The directory of the prepared host of that kind, made if it is not there yet."""
    images = build.ensure()
    texts = [*salthost.config_files().values(), *map(hosts.drop_in, hosts.DOCKERD)]
    digest = cache.digest([*(cache.LAB / name for name in MADE_BY), *texts])
    target = images.directory / f"host-{kind}-{digest}"
    if not target.exists():
        with cache.locked(images.directory / f"host-{kind}.lock"):
            if not target.exists():
                _make(kind, target)
                cache.hold(target).close()
                cache.remove_others(target, f"host-{kind}-*")
    return target


def _make(kind: str, target: Path) -> None:
    """Populate a host; Salt is configured, not started: that would cost more than it spares."""
    started = time.monotonic()
    print(f"lab: preparing the {kind} host", file=sys.stderr, flush=True)
    with Guest(kind) as guest:
        host = hostkinds.KINDS[kind](guest)
        population.populate(host)
        salthost.configure(guest)
        guest.poweroff()
        new = target.with_name(f"new-{kind}")
        guest.save(new)
        new.rename(target)
    seconds = time.monotonic() - started
    print(f"lab: {kind} host prepared in {seconds:.0f} s", file=sys.stderr, flush=True)


def make_all(kinds: Iterable[str] = KINDS) -> list[Path]:
    """All of them, side by side."""
    build.ensure()
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(path, kinds))


def open_host(kind: str, name: str | None = None) -> hosts.Host:
    """A new guest that is a copy of the prepared host, booted, dockerd running.

    End it with `host.guest.close()`.
    """
    guest = Guest(name or kind, source=path(kind))
    try:
        guest.boot()
        return hosts.resume(guest, kind)
    except BaseException:
        guest.close()
        raise


def renew(host: hosts.Host) -> None:
    """Make an opened host again what it was: its disks are dropped, it boots from a fresh copy."""
    host.guest.load(path(host.kind))
    host.guest.boot()
    host.start_docker(hosts.VERSIONS.get(host.kind, "20.10"))


if __name__ == "__main__":
    for made in make_all():
        print(made)
