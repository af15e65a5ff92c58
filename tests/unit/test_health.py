"""What keeps a host from being healthy."""

from __future__ import annotations

import pytest

from dockerstorage_lib import health
from dockerstorage_lib.health import CONTAINER, ENGINE, MIGRATION, POOL, POOL_FULL, Sight

RW = {
    "name": "docker-thinpool",
    "health": "ok",
    "mode": "rw",
    "level": "critical",
    "data": {"percent": 85.0},
    "metadata": {"percent": 3.0},
}


def container(name="web", status="running", policy="no", code=0, error="", check=None, **flags):
    state = {
        "Status": status,
        "Running": status in ("running", "paused", "restarting"),
        "Restarting": status == "restarting",
        "Dead": status == "dead",
        "ExitCode": code,
        "Error": error,
    }
    if check:
        state["Health"] = {"Status": check}
    host = {"RestartPolicy": {"Name": policy}}
    return {"Name": f"/{name}", "State": state, "HostConfig": host}


def sight(*containers, pool=RW, **others):
    given = {"engine_error": None, "driver": "devicemapper", "pool_error": None, "migration": None}
    return Sight(**{**given, "pool": pool, "containers": containers, **others})


def kinds(seen, expected=()):
    return [one.kind for one in health.problems(seen, expected)]


@pytest.mark.parametrize(
    "seen",
    [
        sight(),
        sight(pool=None),
        sight(container(check="healthy"), container("b", check="starting")),
        sight(container("job", "exited"), container("new", "created", "always")),
        sight(container("stopped", "exited", "unless-stopped", 137)),
        sight(container("paused", "paused", "always")),
        sight(migration={"outcome": "switched"}),
    ],
)
def test_a_healthy_host(seen):
    assert health.problems(seen) == []


@pytest.mark.parametrize(
    ("seen", "kind", "told"),
    [
        (sight(engine_error="it is away"), ENGINE, "it is away"),
        (sight(pool_error="dmsetup hangs"), POOL, "dmsetup hangs"),
        (sight(pool={**RW, "health": "needs_check"}), POOL, "needs check"),
        (sight(pool={**RW, "health": "failed", "mode": None}), POOL, "failed"),
        (sight(pool={**RW, "mode": "ro"}), POOL, "mode ro"),
        (sight(pool={**RW, "level": "emergency"}), POOL_FULL, "data 85.0 %"),
        (sight(container(status="restarting")), CONTAINER, "is restarting"),
        (sight(container(status="dead")), CONTAINER, "is dead"),
        (sight(container(check="unhealthy")), CONTAINER, "its health check fails"),
        (sight(container("a", "exited", "always", 1, "no such file")), CONTAINER, "no such file"),
        (
            sight(migration={"outcome": None, "from": "a", "to": "b", "next": ["x", "y"]}),
            MIGRATION,
            "from a to b is half-way: x or y",
        ),
    ],
)
def test_a_problem(seen, kind, told):
    (found,) = health.problems(seen)
    assert found.kind == kind
    assert told in found.text


def test_what_is_expected_must_run():
    seen = sight(container("web"), container("db", "exited", code=3))
    assert kinds(seen, ["web"]) == []
    found = health.problems(seen, ["web", "db", "gone"])
    assert [one.text for one in found] == [
        "the container db should run, and is exited with status 3",
        "the container gone should run, and is not there",
    ]


def test_an_engine_that_is_away_is_one_problem_not_one_for_each_container():
    assert kinds(sight(engine_error="away"), ["web", "db"]) == [ENGINE]


def test_it_waits_until_health_checks_have_passed(monkeypatch):
    monkeypatch.setattr(health, "POLL_SECONDS", 0.0)
    looks = [sight(engine_error="x"), sight(container(check="starting")), sight(container())]
    found = health.await_health(lambda: looks.pop(0), [], 60)
    assert (found["healthy"], found["starting"], looks) == (True, [], [])
    late = health.await_health(lambda: sight(container(check="starting")), [], 0)
    assert (late["healthy"], late["starting"]) == (True, ["web"])
