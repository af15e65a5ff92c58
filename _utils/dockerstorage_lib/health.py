"""Whether a host's Docker serves as it should: what a rolling change asks between two hosts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import jobs, migrate, poolview
from .adapters.engine_export import ExportEngine
from .errors import DockerstorageError
from .gather import read_site

#: Between two looks of one call that waits.
POLL_SECONDS = 1.0

# Kinds of problems.
ENGINE, CONTAINER, MIGRATION = "engine", "container", "migration"
POOL, POOL_FULL = "pool", "pool_full"


@dataclass(frozen=True)
class Problem:
    """Something that keeps a host from being healthy."""

    kind: str
    text: str


@dataclass(frozen=True)
class Sight:
    """A host at one moment."""

    #: Why the engine did not answer; None if it did.
    engine_error: str | None
    driver: str | None
    #: What the kernel tells of Docker's pool; None without one.
    pool: Mapping[str, Any] | None
    #: Why the pool could not be looked at.
    pool_error: str | None
    #: Inspect documents.
    containers: tuple[Mapping[str, Any], ...]
    #: As ``dockerstorage.migration`` tells it.
    migration: Mapping[str, Any] | None

    @property
    def running(self) -> list[str]:
        """Names of the containers that run."""
        return sorted(_name(one) for one in self.containers if one["State"].get("Running"))

    @property
    def starting(self) -> list[str]:
        """Names of those that run and whose health check has not passed yet."""
        return sorted(_name(one) for one in self.containers if _check_of(one) == "starting")


def problems(seen: Sight, expected: Sequence[str] = ()) -> list[Problem]:
    """Everything that is wrong; nothing if the host is healthy.

    expected: names of containers that must run.
    """
    found = [Problem(ENGINE, seen.engine_error)] if seen.engine_error else []
    found += _pool_problems(seen)
    if not seen.engine_error:
        found += [one for doc in seen.containers for one in _container_problems(doc, expected)]
        known = {_name(one) for one in seen.containers}
        found += [
            Problem(CONTAINER, f"the container {name} should run, and is not there")
            for name in expected
            if name not in known
        ]
    if seen.migration is not None and seen.migration["outcome"] is None:
        to = f"from {seen.migration['from']} to {seen.migration['to']}"
        ways = " or ".join(seen.migration["next"])
        found.append(Problem(MIGRATION, f"a migration {to} is half-way: {ways}"))
    return found


def _pool_problems(seen: Sight) -> list[Problem]:
    if seen.pool_error:
        return [Problem(POOL, seen.pool_error)]
    pool = seen.pool
    if pool is None:
        return []
    if pool["health"] != "ok":
        told = pool["health"].replace("_", " ")
        return [Problem(POOL, f"the pool {pool['name']}: {told}; see dockerstorage.recover")]
    if pool["mode"] != "rw":
        return [Problem(POOL, f"the pool {pool['name']} is in the mode {pool['mode']}")]
    if pool["level"] != "emergency":
        return []
    data, metadata = pool["data"]["percent"], pool["metadata"]["percent"]
    fill = f"data {data:.1f} %, metadata {metadata:.1f} %"
    return [Problem(POOL_FULL, f"the pool {pool['name']} is nearly full: {fill}")]


def _container_problems(document: Mapping[str, Any], expected: Sequence[str]) -> list[Problem]:
    state, name = document["State"], _name(document)
    why = f": {state['Error']}" if state.get("Error") else ""
    if state.get("Restarting") or state.get("Dead"):
        return [Problem(CONTAINER, f"the container {name} is {state['Status']}{why}")]
    if _check_of(document) == "unhealthy":
        return [Problem(CONTAINER, f"the container {name} runs, but its health check fails")]
    if state.get("Running"):
        return []
    if name in expected:
        return [Problem(CONTAINER, f"the container {name} should run, and is {_ended(state)}{why}")]
    policy = document["HostConfig"].get("RestartPolicy", {}).get("Name")
    # "unless-stopped" and "on-failure" may well be ended; one that never ran waits for its start.
    if policy == "always" and state["Status"] == "exited":
        told = f"its restart policy is 'always', and it is {_ended(state)}"
        return [Problem(CONTAINER, f"the container {name} does not run: {told}{why}")]
    return []


def _ended(state: Mapping[str, Any]) -> str:
    code = f" with status {state['ExitCode']}" if state["Status"] == "exited" else ""
    return f"{state['Status']}{code}"


def _check_of(document: Mapping[str, Any]) -> str | None:
    state = document["State"]
    return (state.get("Health") or {}).get("Status") if state.get("Running") else None


def _name(document: Mapping[str, Any]) -> str:
    return str(document["Name"]).lstrip("/")


def look(connect: Callable[[], ExportEngine], data_root: str | None) -> Sight:
    """See a host; an engine or a kernel that does not answer is a problem, not an error."""
    engine_error = driver = pool_name = pool = pool_error = None
    containers: list[Mapping[str, Any]] = []
    try:
        engine = connect()
        site = read_site(engine.info())
        driver, pool_name = site.driver, site.pool
        found = (engine.document("container", id_) for id_ in engine.container_ids())
        containers = [one for one in found if one is not None]
    except DockerstorageError as error:
        engine_error = str(error)
    try:
        if engine_error is not None:
            pool_name = poolview.find_pool_name(data_root)
        if pool_name is not None:
            pool = poolview.cheap_figures(pool_name)
    except DockerstorageError as error:
        pool_error = str(error)
    return Sight(engine_error, driver, pool, pool_error, tuple(containers), migrate.status())


def await_health(
    look_once: Callable[[], Sight], expected: Sequence[str], wait_seconds: float
) -> dict[str, Any]:
    """Look until the host is healthy and no health check is still starting, or time is over."""
    until = time.monotonic() + wait_seconds
    while True:
        seen = look_once()
        found = problems(seen, expected)
        if not found and not seen.starting:
            break
        if time.monotonic() >= until:
            break
        time.sleep(POLL_SECONDS)
    return as_dict(seen, found)


def as_dict(seen: Sight, found: Sequence[Problem]) -> dict[str, Any]:
    """A look as plain values."""
    return {
        "healthy": not found,
        "problems": [one.text for one in found],
        "kinds": sorted({one.kind for one in found}),
        "driver": seen.driver,
        "pool": None if seen.pool is None else dict(seen.pool),
        "running": seen.running,
        "starting": seen.starting,
        "migration": None if seen.migration is None else dict(seen.migration),
        "jobs": jobs.listed(),
    }
