"""Migrations of hosts in the lab: run, killed and cut; and all of a host's content, to compare."""

from __future__ import annotations

import json
from typing import Any

from dockerstorage_lib import migration_compare
from tests.lab import richhost, salthost, world
from tests.lab.commands import Background
from tests.lab.hosts import Host

ARGV = [*salthost.FRONT, "/src/tests/lab/migrator.py"]
KILLED = {"killed": True}
STEPS = ("stage", "stop", "graft", "place", "mark", "configure", "start", "verify")
CONTAINERS = """
for id in $(docker ps -aq --no-trunc); do
    echo $id $(docker export $id | {contents} archive)
done
"""
IMAGES = """
echo images $(docker save $(docker image ls -aq --no-trunc | sort -u) | {contents} images)
"""


def migrate(host: Host, what: str, *words: str, timeout: float = 150, **arguments: Any) -> Any:
    """A migration in a process of its own: its result, or KILLED."""
    argv = [*ARGV, what, json.dumps(arguments), *words]
    done = host.guest.run(argv, timeout=timeout, check=False)
    if not done.stdout:
        # Anything else that kills it (a guest out of memory) is another story.
        assert done.stderr.endswith("dies as it was told\n"), (done.status, done.stderr)
        return KILLED
    return json.loads(done.stdout)


def begin(host: Host, what: str, *words: str, **arguments: Any) -> Background:
    """The same without waiting."""
    return host.guest.start([*ARGV, what, json.dumps(arguments), *words])


def content(host: Host, images: bool = True) -> dict[str, Any]:
    """All that a migration promises to keep, seen without it: every object's document, every file
    of every container and image as the engine gives it, and all that one running container and one
    volume hold, extended attributes and nanoseconds included."""
    script = CONTAINERS + (IMAGES if images else "")
    digests = host.guest.run(script.format(contents=richhost.CONTENTS), timeout=240).stdout
    return {
        "objects": documents(host),
        "digests": dict(line.partition(" ")[::2] for line in digests.splitlines()),
        "rich": {
            path: {key: value for key, value in facts.items() if key != "same_as"}
            for path, facts in richhost.container(host, "rich").items()
        },
        "volume": richhost.volume(host, "vol-rich"),
    }


def documents(host: Host) -> dict[str, dict[str, Any]]:
    """Every object's document by id."""
    seen = world.state(host)
    return {
        kind: {one["Name" if kind == "volumes" else "Id"]: one for one in rows}
        for kind, rows in seen.items()
    }


def assert_same(before: dict[str, Any], host: Host, images: bool = True) -> None:
    """Nothing is lost, nothing is other; containers that ran run.

    images: whether those are read again, too, which takes some time.
    """
    after = content(host, images)
    assert migration_compare.differences(before["objects"], after["objects"], {}) == []
    for kind in ("images", "containers", "volumes", "networks"):
        assert len(after["objects"][kind]) == len(before["objects"][kind])
    for id_, old in before["objects"]["containers"].items():
        now = after["objects"]["containers"][id_]
        assert now["State"]["Status"] == old["State"]["Status"], old["Name"]
    assert after["digests"] == {
        id_: one for id_, one in before["digests"].items() if images or id_ != "images"
    }
    assert after["rich"] == before["rich"]
    assert after["volume"] == before["volume"]


def driver(host: Host) -> str:
    """The storage driver that the engine runs on."""
    return host.docker("info", "-f", "{{.Driver}}")


def daemon_config(host: Host) -> Any:
    return json.loads(host.guest.run("cat /etc/docker/daemon.json").stdout)


def left_behind(host: Host) -> list[str]:
    """What a migration that is over must not leave: devices, loops, mounts, drop-ins, engines."""
    return host.guest.run(
        "dmsetup ls | grep dockerstorage; losetup -a | grep deleted;"
        "grep dockerstorage /proc/self/mountinfo;"
        "ls -d /etc/systemd/system/docker.*.d/dockerstorage*;"
        "ls -d /var/lib/docker/.dockerstorage*; pgrep -a unshare",
        check=False,
    ).stdout.splitlines()


def old_store(host: Host) -> str:
    """Digests of all that devicemapper keeps on loop-lvm, and of the engine's records of it."""
    return host.guest.run(
        f"""cd /var/lib/docker
        for file in data metadata; do {richhost.CONTENTS} data devicemapper/devicemapper/$file; done
        find devicemapper/metadata image/devicemapper -type f | sort | xargs sha256sum""",
        timeout=120,
    ).stdout


def wait_until_stopped(host: Host) -> None:
    """Wait until a migration has stopped itself (``how=stop``)."""
    host.guest.run("until pgrep -r T -f migrator.py; do sleep 0.1; done", timeout=120)


def cut_power(host: Host) -> None:
    """Cut the power and boot, with an engine that starts then if it may."""
    host.guest.cut_power()
    host.guest.boot()
    host.start_docker()


def is_up(host: Host) -> bool:
    return host.guest.run("systemctl is-active docker", check=False).stdout.strip() == "active"
