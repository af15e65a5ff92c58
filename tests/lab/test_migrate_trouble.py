"""What a migration refuses, and what it does when something fails that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import migrated, prepared, richhost
from tests.lab.hosts import Host
from tests.lab.migrated import migrate
from tests.lab.salthost import salt_calls

MIGRATE = "dockerstorage.migrate"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    host = prepared.open_host("direct", "trouble")
    with host.guest:
        richhost.enrich(host)
        yield host


@pytest.fixture
def before(host: Host) -> Iterator[dict[str, Any]]:
    """What the engine knows before a test; it must be the same after it, and nothing left."""
    found, config = migrated.documents(host), migrated.daemon_config(host)
    yield found
    assert migrated.driver(host) == "devicemapper"
    assert migrated.daemon_config(host) == config
    now = migrated.documents(host)
    for kind in ("images", "containers", "volumes"):
        assert set(now[kind]) == set(found[kind])
    for id_, old in found["containers"].items():
        assert now["containers"][id_]["State"]["Status"] == old["State"]["Status"], old["Name"]
    assert migrated.left_behind(host) == []


def test_bad_input_and_obstacles_are_named_and_nothing_is_changed(
    host: Host, before: dict[str, Any]
) -> None:
    host.guest.run(
        """docker run -d --rm --name passing --stop-signal KILL lab/base:1 sleep 1000000
        mkdir -p /var/lib/docker/image/overlay2/imagedb/content/sha256
        touch /var/lib/docker/image/overlay2/imagedb/content/sha256/0123"""
    )
    errors = [
        one["error"]
        for one in salt_calls(
            host.guest,
            (MIGRATE, [], {}),
            (MIGRATE, ["overlay3"], {}),
            (MIGRATE, ["overlay2"], {"options": ["overlay2.sise=1G"]}),
            (MIGRATE, ["overlay2"], {"method": "copy"}),
            (MIGRATE, ["vfs"], {"method": "graft"}),
            (MIGRATE, ["overlay2"], {"tset": True}),
            (MIGRATE, ["overlay2"], {"resume": True}),
            (MIGRATE, [], {"resume": True}),
            (MIGRATE, [], {"rollback": True}),
            ("dockerstorage.commit", [], {}),
            (MIGRATE, ["overlay2"], {}),
            (MIGRATE, ["devicemapper"], {}),
        )
    ]
    for error, word in zip(
        errors,
        (
            "say one of driver",
            "overlay3",
            "overlay2.size",
            "graft or bundle",
            "from devicemapper to vfs",
            "tset",
            "say one of driver",
            "no migration that could go on",
            "no migration that could be rolled back",
            "no migration that could be committed",
            "passing",
            "the pool of the old one",
        ),
        strict=True,
    ):
        assert word in error
    assert "/var/lib/docker/image/overlay2 are a second store" in errors[10]
    plan = salt_calls(host.guest, (MIGRATE, ["overlay2"], {"test": True}))[0]
    assert not plan["possible"]
    assert len(plan["obstacles"]) == 2
    host.guest.run("docker rm -f passing; rm -r /var/lib/docker/image/overlay2")


def test_a_disk_that_fills_midway_takes_nothing_along(host: Host, before: dict[str, Any]) -> None:
    fill = """cd /var/lib/docker; dd if=/dev/zero of=fill bs=1M 2>/dev/null; sync
        truncate -s -{left} fill; sync"""
    # While the engine serves, and while it is stopped.
    for moment, left in (("before=stage", 4 << 20), ("before=graft", 1 << 16)):
        running = migrated.begin(host, "run", moment, "how=stop")
        migrated.wait_until_stopped(host)
        host.guest.run(fill.format(left=left))
        host.guest.run("pkill -CONT -f migrator.py")
        done = running.wait(120).stdout
        host.guest.run("rm /var/lib/docker/fill")
        assert "No space left on device" in done, done
        assert "rolled back" in done
        assert migrate(host, "status") is None


def test_an_engine_that_does_not_start_gets_its_old_store_back(
    host: Host, before: dict[str, Any]
) -> None:
    # What an engine on overlay2 leaves that never had anything.
    host.guest.run("mkdir -p /var/lib/docker/overlay2/l")
    # ext4 has no project quotas here: dockerd takes the option, and refuses to start with it.
    done = migrate(host, "run", options=["overlay2.size=1G"])
    assert "start: the engine: expected started" in done["error"]
    assert "overlay2.size" in done["error"] or "pquota" in done["error"]
    host.guest.run("rmdir /var/lib/docker/overlay2/l /var/lib/docker/overlay2")


def test_containers_that_outlive_their_daemon_come_along(
    host: Host, before: dict[str, Any]
) -> None:
    config = migrated.daemon_config(host)
    host.configure({**config, "live-restore": True})
    host.guest.run("systemctl reload docker")
    files = richhost.container(host, "rich")
    try:
        assert migrate(host, "run")["outcome"] == "switched"
        assert richhost.container(host, "rich") == files
        assert migrate(host, "rollback", force=True)["outcome"] == "abandoned"
        assert richhost.container(host, "rich") == files
    finally:
        migrate(host, "commit")
        host.configure(config)
        host.guest.run("systemctl reload docker")


def test_remapped_users_keep_their_files() -> None:
    host = prepared.open_host("loop", "remapped")
    with host.guest:
        host.stop_docker()
        host.guest.run(
            """useradd -r dockremap
            echo dockremap:231072:65536 | tee -a /etc/subuid /etc/subgid"""
        )
        host.configure({**migrated.daemon_config(host), "userns-remap": "default"})
        host.start_docker()
        host.guest.run(
            """set -e
            mkdir -p /tmp/root/bin; cp /bin/busybox /tmp/root/bin/; ln -f /tmp/root/bin/busybox \
                /tmp/root/bin/sh
            tar -C /tmp/root -c . | docker import - lab/base:1
            docker run -d --name mapped --restart always --stop-signal KILL lab/base:1 \
                sh -c 'echo x > /file; busybox chown 5:6 /file; busybox sleep 1000000'"""
        )
        assert migrate(host, "run")["outcome"] == "switched"
        assert migrated.driver(host) == "overlay2"
        listed = host.docker("exec", "mapped", "busybox", "stat", "-c", "%u:%g", "/file")
        assert listed == "5:6"
        outside = "stat -c %u:%g /proc/$(docker inspect -f '{{.State.Pid}}' mapped)/root/file"
        assert host.guest.run(outside).stdout.strip() == "231077:231078"
        migrate(host, "commit")
