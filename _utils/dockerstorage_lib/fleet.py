"""A fleet of Docker hosts: the answers of its minions put together, and who is at risk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from . import fleet_answers as answers_
from .errors import BadInput
from .fleet_answers import HISTORY, REPORT, Fill, Sample, Unusable, Warned
from .fleet_text import plain
from .levels import OK, level

#: The kind of pool whose data lives in sparse files.
LOOP_LVM = "loop-lvm"
_DAY = 86400
#: A pool that is full this soon is at risk, however full it is now.
SOON = ((_DAY, "critical"), (7 * _DAY, "warning"))
AT_RISK = ("emergency", "critical", "warning")
#: The worst first. A host that says nothing may be in any state, so it comes before those that are
#: well.
STATES = (*AT_RISK, "failed", "silent", OK, "no docker")
#: Of what a report warns, what puts a host at risk that is not to be seen in its figures.
_RISKY_WARNINGS = {
    "engine_silent": "critical",
    "hidden_store": "critical",
    "pool_writes_failed": "critical",
    "vg_devices_missing": "critical",
    "migration_open": "warning",
}


@dataclass(frozen=True)
class Host:
    """One minion of the fleet; all texts are harmless."""

    name: str
    state: str
    #: Of a host whose storage is not known: the reason.
    why: str | None = None
    driver: str | None = None
    engine_version: str | None = None
    pool: str | None = None
    pool_kind: str | None = None
    health: str | None = None
    data: Fill | None = None
    metadata: Fill | None = None
    seconds_to_data_full: int | None = None
    seconds_to_metadata_full: int | None = None
    warnings: tuple[Warned, ...] = ()
    reclaimable_bytes: int | None = None
    samples: tuple[Sample, ...] = ()

    @property
    def loop_lvm(self) -> bool:
        """Whether its pool lives in sparse files."""
        return self.pool_kind == LOOP_LVM

    @property
    def full_next(self) -> tuple[int, str] | None:
        """In how many seconds something is full, and which; None if nothing fills."""
        known = [
            (seconds, what)
            for seconds, what in (
                (self.seconds_to_data_full, "data"),
                (self.seconds_to_metadata_full, "metadata"),
            )
            if seconds is not None
        ]
        return min(known, default=None)


def merge(
    expected: Collection[str],
    answers: Mapping[str, Mapping[str, Any]],
    silence: str,
    missing: Collection[str] = (),
) -> list[Host]:
    """Every minion that should have answered or did, with what is known of it.

    answers are what each function returned, by minion;
    silence is the reason that is given for those without an answer; missing are those that were
    asked for by name and that the master does not know.
    """
    hosts = [read_host(name, answer) for name, answer in answers.items()]
    hosts += [Host(plain(name), "silent", silence) for name in expected if name not in answers]
    unknown = set(missing) - set(answers) - set(expected)
    hosts += [Host(plain(name), "silent", "the master knows no such minion") for name in unknown]
    return hosts


def read_host(name: str, parts: Mapping[str, Any]) -> Host:
    """A host from what each function returned on it."""
    report = answers_.report_of(parts.get(REPORT))
    name = plain(name)
    if isinstance(report, Unusable):
        return Host(name, "failed", report.why)
    engine, pool = answers_.mapping(report, "engine"), answers_.mapping(report, "pool")
    pool_name = answers_.text(pool, "name")
    history = answers_.history_of(parts.get(HISTORY), pool.get("name"))
    # A report of an older release has no forecast.
    forecast = answers_.mapping(report, "forecast") or history
    known: dict[str, Any] = {
        "driver": answers_.text(engine, "driver"),
        "engine_version": answers_.text(engine, "version"),
        "pool": pool_name,
        "pool_kind": answers_.text(pool, "kind"),
        "health": answers_.text(pool, "health"),
        "data": answers_.fill(pool, "data"),
        "metadata": answers_.fill(pool, "metadata"),
        "seconds_to_data_full": answers_.whole(forecast.get("seconds_to_data_full")),
        "seconds_to_metadata_full": answers_.whole(forecast.get("seconds_to_metadata_full")),
        "reclaimable_bytes": answers_.whole(report.get("reclaimable_bytes")),
        "samples": answers_.samples(history),
    }
    if engine.get("running") is not True and "data root" in answers_.unseen(report):
        return Host(name, "no docker", "there is no Docker on it", **known)
    host = Host(name, OK, warnings=answers_.warnings(report), **known)
    return replace(host, state=_state(host))


def _state(host: Host) -> str:
    """The worst that is known of a host."""
    found = [_RISKY_WARNINGS.get(one.code, OK) for one in host.warnings]
    found += [level(part.percent) for part in (host.data, host.metadata) if part is not None]
    if host.health not in (None, "ok"):
        found.append("emergency")
    if host.full_next is not None:
        found += [state for seconds, state in SOON if host.full_next[0] < seconds]
    return min(found, key=STATES.index, default=OK)


_LAST = float("inf")


def _by_fill(part: Fill | None) -> float:
    return _LAST if part is None else -part.percent


SORTS: dict[str, Callable[[Host], Any]] = {
    "state": lambda host: (
        STATES.index(host.state),
        min(_by_fill(host.data), _by_fill(host.metadata)),
    ),
    "host": lambda host: 0,
    "data": lambda host: _by_fill(host.data),
    "metadata": lambda host: _by_fill(host.metadata),
    "full": lambda host: host.full_next[0] if host.full_next else _LAST,
    "reclaimable": lambda host: -(host.reclaimable_bytes or 0),
}


def read_sort(sort: Any) -> str:
    """The name of an order; raises BadInput."""
    if sort not in SORTS:
        raise BadInput(f"sort: {sort!r} is no order; write one of {', '.join(SORTS)}")
    return str(sort)


def ordered(hosts: Iterable[Host], sort: str = "state") -> list[Host]:
    """The hosts in an order, the worst first; equal ones by name."""
    return sorted(hosts, key=lambda host: (SORTS[sort](host), host.name))


def counts(hosts: Collection[Host]) -> dict[str, Any]:
    """How many hosts there are in each state, and the sums over all."""
    reclaimable = [host.reclaimable_bytes for host in hosts if host.reclaimable_bytes is not None]
    return {
        "hosts": len(hosts),
        "at_risk": sum(host.state in AT_RISK for host in hosts),
        "states": {state: sum(host.state == state for host in hosts) for state in STATES},
        "loop_lvm": sum(host.loop_lvm for host in hosts),
        "reclaimable_bytes": sum(reclaimable) if reclaimable else None,
    }


def as_dict(host: Host) -> dict[str, Any]:
    """A host as plain values; its history is the page's."""
    found = asdict(host)
    del found["samples"]
    return {**found, "warnings": list(found["warnings"]), "loop_lvm": host.loop_lvm}
