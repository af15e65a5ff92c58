"""A store of another storage driver, made by a second engine beside the one that serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import prepared, richhost
from tests.lab.hosts import Host

STAGE = "/var/lib/docker/dockerstorage-stage"
SECOND = "docker -H unix:///run/dockerstorage/second/docker.sock"
PROGRAM = "PYTHONPATH=/src/_utils:/src /opt/salt/3008/bin/python /src/tests/lab/second.py"
LOOP = "devicemapper dm.loopdatasize=2G dm.loopmetadatasize=64M dm.basesize=1G"
#: Where it comes from and goes to.
WAYS = {"direct": "overlay2", "overlay": LOOP}
FIRST_ENGINE = """
ip -o link show docker0
docker ps -q --no-trunc | sort | xargs docker inspect -f '{{.Name}} {{.State.Pid}}'
docker ps -a --no-trunc --format '{{.ID}} {{.Names}} {{.State}}' | sort
docker images -a --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}' | sort
"""
#: Of a second engine: processes, mounts, devices, files.
TRACES = f"""
pgrep -x dockerd
grep {STAGE}/ /proc/self/mountinfo
dmsetup ls | grep -o '^docker.*-pool'
losetup -a
ls -d /run/dockerstorage/second
true
"""


@pytest.fixture(scope="module", params=WAYS)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """A host with all kinds of files and configuration, to be moved to another driver."""
    opened = prepared.open_host(request.param, f"second-{request.param}")
    with opened.guest:
        richhost.enrich(opened)
        yield opened


def run(host: Host, words: str) -> dict[str, Any]:
    """What the program in the guest says at its end."""
    done = host.guest.run(f"{PROGRAM} {words}", timeout=200, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def traces(host: Host) -> str:
    """What there is of second engines; the first one's process is in it."""
    return host.guest.run(TRACES).stdout


def test_an_engine_that_cannot_start_says_why_and_leaves_nothing(host: Host) -> None:
    before = traces(host)
    error = run(host, f"stage {WAYS[host.kind]} nonsense.option=1")["error"]
    assert "nknown option nonsense.option" in error
    assert "level=info" not in error
    assert "take another driver" in error
    assert traces(host) == before
    assert host.guest.run(f"ls -A {STAGE}").stdout == ""


def test_every_container_is_in_the_new_store_as_it_was(host: Host) -> None:
    target = WAYS[host.kind]
    driver = target.partition(" ")[0]
    before, first = traces(host), host.guest.run(FIRST_ENGINE).stdout

    # Each time the process kills itself and leaves the second engine running.
    staged = run(host, f"stage {target}")
    assert staged["loaded"] > 0
    assert staged["again"] == 0
    assert run(host, f"stage {target}") == {"loaded": 0, "again": 0}
    assert len(host.guest.run("pgrep -x dockerd").stdout.split()) == 2
    images = "images -aq --no-trunc | sort -u"
    assert host.guest.run(f"{SECOND} {images}").stdout == host.guest.run(f"docker {images}").stdout

    # The first engine has not noticed, and works.
    assert host.guest.run(FIRST_ENGINE).stdout == first
    host.docker("run", "--rm", "--net", "none", "lab/app:1", "true")
    host.stop_docker()
    host.start_docker()
    running = host.docker("ps", "--format", "{{.Names}}").split()
    assert set(running) >= {"rich", "web", "kept-web"}
    host.stop_docker()

    filled = run(host, f"fill {driver}")
    assert len(filled["digests"]) == 8
    for container_id, (read, written) in filled["digests"].items():
        assert read == written, container_id
        assert filled["differences"][container_id] == []
        assert filled["left_out"][container_id] == []

    done = run(host, f"finish {driver}")
    assert done == {"clean": True, "again": True, "layers": sorted(filled["digests"])}
    host.start_docker()
    left = traces(host).split()[1:]
    assert left == before.split()[1:]
