"""Migrations of real hosts by bundle: to any driver, and to the same one again."""

from __future__ import annotations

from typing import Any

from tests.lab import migrated, prepared, richhost
from tests.lab.hosts import POOL_DEVICE, Host
from tests.lab.migrated import migrate

LOOP = ["dm.loopdatasize=3G", "dm.loopmetadatasize=128M", "dm.basesize=1G"]
DIRECT = [f"dm.thinpooldev={POOL_DEVICE}", "dm.basesize=1G"]


def moved(
    host: Host, before: dict[str, Any], driver: str, options: list[str], images: bool = False
) -> None:
    """Migrate by bundle; all is as it was, and the old store is given back."""
    done = migrate(host, "run", driver=driver, options=options, method="bundle", timeout=280)
    assert done.get("outcome") == "switched", done
    assert migrated.driver(host) == driver
    migrated.assert_same(before, host, images)
    assert migrate(host, "commit", "act=1") == migrated.KILLED
    assert "a commit has begun" in migrate(host, "rollback", force=True)["error"]
    gone = migrate(host, "commit")
    assert gone["bytes_freed"] > 30 << 20
    assert migrated.left_behind(host) == []


def test_devicemapper_to_overlay2_and_back_and_again() -> None:
    host = prepared.open_host("loop", "bundle-loop")
    with host.guest:
        richhost.enrich(host)
        before = migrated.content(host)
        moved(host, before, "overlay2", [])
        moved(host, before, "devicemapper", LOOP, images=True)
        # loop-lvm once more: what the sparse files had grown to is given back.
        moved(host, before, "devicemapper", LOOP)


def test_loop_lvm_to_direct_lvm_cut_on_the_way_and_on_to_overlay2() -> None:
    host = prepared.open_host("loop", "bundle-direct")
    with host.guest:
        disk = host.guest.add_disk(6 << 30)
        host.guest.run(
            f"""set -e
            vgcreate -q docker {disk}
            lvcreate -q -y --type thin-pool -n thinpool -L 4G --poolmetadatasize 64M -c 512K \
                -Z n docker""",
            timeout=60,
        )
        richhost.enrich(host)
        before = migrated.content(host)
        wanted: dict[str, Any] = {"driver": "devicemapper", "options": DIRECT}
        # Given up while the new pool is in use: it may be used again.
        assert migrate(host, "run", "after=stage", **wanted) == migrated.KILLED
        assert migrate(host, "rollback")["outcome"] == "rolled back"
        assert migrated.left_behind(host) == []
        assert migrate(host, "run", "act=1:stage", **wanted) == migrated.KILLED
        for moment in ("after=stage", "after=stop", "after=graft", "after=place", "after=start"):
            assert migrate(host, "resume", moment) == migrated.KILLED, moment
        assert migrate(host, "resume")["outcome"] == "switched"
        assert "docker-thinpool" in host.docker("info")
        migrated.assert_same(before, host)
        migrate(host, "commit")
        assert migrated.left_behind(host) == []
        assert host.guest.run("losetup -a").stdout == ""
        moved(host, before, "overlay2", [])
        # The pool is as new, for the next engine.
        status = host.guest.run("dmsetup status --noflush docker-thinpool").stdout.split()
        assert (status[3], status[5].partition("/")[0]) == ("0", "0")
