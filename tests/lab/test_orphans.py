"""Orphans of every class, made on purpose: told, removed, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab import migrated, prepared, richhost, world
from tests.lab.hosts import Host
from tests.lab.salthost import FRONT, SaltFailed, salt_call

ORPHANS = "dockerstorage.orphans"
PYTHON = "/opt/salt/3008/bin/python"
MOUNTS = "/var/lib/docker/devicemapper/mnt"
REMOVER = [*FRONT, "/src/tests/lab/orphanremover.py"]
CACHE = "docker system df -v --format '{{json .BuildCache}}'"
#: Containers come and go while the daemon is killed. So far no orphan came of it: see the output.
BUSY = """
for n in $(seq 40); do docker create --name k$n lab/base:1 true || break; done >/dev/null 2>&1 &
for n in $(seq 40); do docker rm k$n; done >/dev/null 2>&1 &
sleep {seconds}
systemctl kill -s KILL docker; systemctl stop docker.socket docker
wait
"""


@dataclass
class Whole:
    """A host, and what of it must stay as it is."""

    host: Host
    content: dict[str, Any]


@pytest.fixture(scope="module", params=["direct", "loop"])
def whole(request: pytest.FixtureRequest) -> Iterator[Whole]:
    opened = prepared.open_host(request.param, f"orphans-{request.param}")
    with opened.guest:
        yield Whole(opened, content(opened))


@pytest.fixture
def host(whole: Whole) -> Host:
    return whole.host


def content(host: Host) -> dict[str, Any]:
    """What must be as it was: documents, every file of containers and images, BuildKit's cache."""
    script = (migrated.CONTAINERS + migrated.IMAGES).format(contents=richhost.CONTENTS)
    text = host.guest.run(script, timeout=120).stdout
    return {
        "names": world.names(host),
        "digests": dict(line.partition(" ")[::2] for line in text.splitlines()),
        "cache": host.guest.run(CACHE).stdout.count('"ID"'),
    }


def make(host: Host) -> dict[str, list[str]]:
    """Orphans of every class; dockerd is stopped then."""
    found: dict[str, list[str]] = json.loads(
        host.guest.run([PYTHON, "/src/tests/lab/orphanmaker.py"], timeout=120).stdout
    )
    return found


def by_class(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in rows:
        found.setdefault(one["class"], []).append(one["name"])
    return {kind: sorted(names) for kind, names in found.items()}


def assert_told(made: dict[str, list[str]], rows: list[dict[str, Any]]) -> set[str]:
    """They are there, and nothing else but deferred deletes, which are given back.

    An engine that runs comes to delete those by itself, every half minute.
    """
    found = by_class(rows)
    deferred = set(found.pop("deferred_delete", ()))
    assert not {one for one in deferred - set(made["deferred_delete"]) if one in str(made)}
    assert found == {kind: names for kind, names in made.items() if kind != "deferred_delete"}
    return deferred


def remove(host: Host, *words: str) -> dict[str, Any]:
    """A removal in a process of its own: its result, or KILLED."""
    done = host.guest.run([*REMOVER, *words], timeout=150, check=False)
    if not done.stdout:
        assert done.status in (-9, 137), done.stderr
        return migrated.KILLED
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def assert_kept(host: Host, removed: list[dict[str, Any]], record: str) -> None:
    """Each file that is gone is in the record, and the pool's metadata is whole there."""
    for path in (path for one in removed for path in one["paths"]):
        script = f"test -e {record}/{path} && ! test -e /var/lib/docker/{path}"
        assert host.guest.run(script, check=False).status == 0, path
    host.guest.run(f"thin_check {record}/metadata")


def assert_none_is_left(host: Host, done: dict[str, Any]) -> None:
    """An engine that ends may leave devices to delete later: once up again it deletes them."""
    assert set(by_class(done["new"])) <= {"deferred_delete"}
    if done["new"]:
        time.sleep(40)
    assert salt_call(host.guest, ORPHANS)["orphans"] == []


def test_every_class_is_told_and_removed(host: Host, whole: Whole) -> None:
    made = make(host)
    listed = salt_call(host.guest, ORPHANS)  # the engine is stopped
    assert assert_told(made, listed["orphans"]) >= set(made["deferred_delete"])
    assert (listed["kept"], listed["doubts"]) == ([], [])
    host.start_docker()
    with pytest.raises(SaltFailed, match="say stop_docker=True"):
        salt_call(host.guest, ORPHANS, remove=True)
    done = salt_call(host.guest, ORPHANS, remove=True, stop_docker=True)
    print("\n".join(done["summary"]))
    # An engine that ends in order removes these itself.
    assert made["removing"] == by_class(done["gone"])["removing"]
    assert_told(made, [*done["removed"], *done["gone"]])
    assert (done["kept"], done["not_running"]) == ([], [])
    foretold = sum(one["bytes"] for one in done["removed"])
    assert done["bytes_freed"] == done["bytes_predicted"] == foretold
    assert_kept(host, done["removed"], done["record"])
    assert content(host) == whole.content
    assert_none_is_left(host, done)


def test_killed_before_any_act_it_goes_on(host: Host, whole: Whole) -> None:
    host.start_docker()
    make(host)
    runs = 0
    while (done := remove(host, "act=6")) == migrated.KILLED:
        runs += 1
        if runs in (2, 5):
            # Whoever starts the engine, it serves.
            host.start_docker()
            host.guest.run("docker run --rm --net none lab/base:1 true")
        assert runs < 40
    assert "error" not in done, done
    assert runs >= 4
    assert host.docker("info", "-f", "{{.Driver}}") == "devicemapper"
    assert remove(host)["orphans"] == []
    assert world.names(host) == whole.content["names"]
    assert migrated.left_behind(host) == []


@pytest.mark.parametrize("whole", ["loop"], indirect=True)
def test_power_is_cut_before_acts(host: Host, whole: Whole) -> None:
    host.start_docker()
    make(host)
    for act in (4, 9, 12):
        process = host.guest.start([*REMOVER, f"act={act}", "how=stop"])
        host.guest.run("until pgrep -r T -f orphanremover.py; do sleep 0.1; done", timeout=60)
        del process
        host.guest.cut_power()
        host.guest.boot()
        host.start_docker()
    done = remove(host)
    assert "error" not in done, done
    assert done["bytes_freed"] == done["bytes_predicted"]
    assert remove(host)["orphans"] == []
    assert world.names(host) == whole.content["names"]


@pytest.mark.parametrize("whole", ["direct"], indirect=True)
def test_an_engine_killed_at_work(host: Host, whole: Whole) -> None:
    """Whatever comes of it is removed; what the engine undoes by itself is not touched."""
    host.start_docker()
    seen: set[str] = set()
    for seconds in (2.5, 4.1):
        host.guest.run(BUSY.format(seconds=seconds), timeout=120)
        done = remove(host)
        assert "error" not in done, done
        seen |= {one["class"] for one in (*done["removed"], *done["kept"])}
        assert done["bytes_freed"] == done["bytes_predicted"]
        host.start_docker()
        host.guest.run("docker rm -f $(docker ps -aq -f name=k[0-9])", check=False)
    print("classes:", sorted(seen))
    # A mount that a killed engine left is the operator's to take away: it might be somebody's.
    for one in remove(host)["kept"]:
        assert one["kept"].startswith(f"it is mounted at {MOUNTS}/{one['name']}: ")
        host.guest.run(["umount", f"{MOUNTS}/{one['name']}"])
    done = remove(host)
    assert done["kept"] == []
    assert_none_is_left(host, done)
    assert world.names(host) == whole.content["names"]


@pytest.mark.parametrize("whole", ["direct"], indirect=True)
def test_refusals(host: Host) -> None:
    host.start_docker()
    make(host)
    image = "$(ls /var/lib/docker/image/devicemapper/imagedb/content/sha256/* | head -1)"
    host.guest.run(f"cp {image} /run/image; echo '{{' > {image}")
    listed = salt_call(host.guest, ORPHANS)
    assert len(listed["doubts"]) == 1
    with pytest.raises(SaltFailed, match="it is not what its name says"):
        salt_call(host.guest, ORPHANS, remove=True)
    host.guest.run(f"cat /run/image > {image}")
    transaction = "/var/lib/docker/devicemapper/metadata/transaction-metadata"
    host.guest.run(f"""cp {transaction} /run/t
        sed -i 's/"open_transaction_id":[0-9]*/"open_transaction_id":1/' {transaction}""")
    with pytest.raises(SaltFailed, match="they are not of one another"):
        salt_call(host.guest, ORPHANS)
    host.guest.run(f"cat /run/t > {transaction}")
    assert salt_call(host.guest, ORPHANS)["orphans"]
    assert "error" not in remove(host)


@pytest.mark.parametrize("whole", ["direct"], indirect=True)
def test_killed_before_the_start_a_repeat_starts_the_engine(host: Host, whole: Whole) -> None:
    host.start_docker()
    make(host)
    host.start_docker()  # or there is nothing that must be started again
    assert remove(host, "act=1", "at=start") == migrated.KILLED
    assert not migrated.is_up(host)
    done = remove(host)
    assert (done["orphans"], done["not_running"]) == ([], [])
    assert migrated.is_up(host)
    assert world.names(host) == whole.content["names"]
