"""Docker hosts of the kinds tests ask for, set up in a new guest.

    with Guest() as guest:
        host = loop_host(guest)
        host.docker("info")

`loop_host`, `direct_host` and `overlay_host` run Docker 20.10; `newer_host` Docker 26. Each takes a
new guest (adds its disks, boots it) and returns a `Host` with dockerd running and nothing in it;
`population.populate` fills it. An edit here makes the prepared hosts anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.lab.guest import Guest
from tests.lab.hosts import DATA_ROOT, POOL, POOL_DEVICE, VG, Host

GIB = 1 << 30

# Without its rules dockerd starts a second sooner, and networks work all the same.
COMMON = {"iptables": False}
LOOP_SETTINGS = {
    **COMMON,
    "storage-driver": "devicemapper",
    "storage-opts": ["dm.loopdatasize=4G", "dm.loopmetadatasize=128M", "dm.basesize=1G"],
}
DIRECT_SETTINGS = {
    **COMMON,
    "storage-driver": "devicemapper",
    "storage-opts": [
        f"dm.thinpooldev={POOL_DEVICE}",
        "dm.basesize=1G",
        "dm.use_deferred_removal=true",
        "dm.use_deferred_deletion=true",
    ],
}
PROFILE = """activation {
    thin_pool_autoextend_threshold=80
    thin_pool_autoextend_percent=20
}
"""
OVERLAY_SETTINGS = {**COMMON, "storage-driver": "overlay2"}


def loop_host(guest: Guest) -> Host:
    """devicemapper on loop-lvm: two sparse files in the data root, on a disk of its own."""
    return _make(guest, "loop", LOOP_SETTINGS, data_bytes=12 * GIB)


def direct_host(guest: Guest, auto_extend: bool = False, settings: Mapping[str, Any] | None = None
                ) -> Host:  # fmt: skip
    """devicemapper on an LVM thin pool of 4 GiB in a VG of 8, with a spare disk of 4.

    `auto_extend`: dmeventd extends the pool above 80 % by 20 %, as Docker's manual sets it up.
    """
    guest.add_disk(2 * GIB)
    pool_disk = guest.add_disk(8 * GIB)
    spare = guest.add_disk(4 * GIB)
    host = Host(guest, "direct", spare)
    _boot_with_data_disk(guest)
    profile = ""
    if auto_extend:
        guest.push(f"/etc/lvm/profile/{VG}-{POOL}.profile", PROFILE)
        profile = f"--metadataprofile {VG}-{POOL}"
    guest.run(
        f"""set -e
        vgcreate -q {VG} {pool_disk}
        lvcreate -q -y --type thin-pool -n {POOL} -L 4G --poolmetadatasize 64M -c 512K -Z n \
            {profile} {VG}""",
        timeout=60,
    )
    host.configure(settings or DIRECT_SETTINGS)
    host.start_docker()
    return host


def overlay_host(guest: Guest) -> Host:
    """overlay2, Docker 20.10."""
    return _make(guest, "overlay", OVERLAY_SETTINGS, data_bytes=8 * GIB)


def newer_host(guest: Guest) -> Host:
    """overlay2, Docker 26, which does not know devicemapper."""
    return _make(guest, "newer", OVERLAY_SETTINGS, data_bytes=8 * GIB, version="26")


KINDS: dict[str, Callable[[Guest], Host]] = {
    "loop": loop_host,
    "direct": direct_host,
    "overlay": overlay_host,
    "newer": newer_host,
}


def _make(
    guest: Guest, kind: str, settings: Mapping[str, Any], data_bytes: int, version: str = "20.10"
) -> Host:
    guest.add_disk(data_bytes)
    _boot_with_data_disk(guest)
    host = Host(guest, kind)
    host.configure(settings)
    host.start_docker(version)
    return host


def _boot_with_data_disk(guest: Guest) -> None:
    """Boot; the first disk becomes the data root, for good. It has a journal: power is cut."""
    if not guest.is_running():
        guest.boot()
    guest.run(
        f"""set -e
        mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1,nodiscard /dev/ubdc
        echo '/dev/ubdc {DATA_ROOT} ext4 defaults,nofail 0 0' >> /etc/fstab
        mkdir -p {DATA_ROOT}
        mount /dev/ubdc {DATA_ROOT}
        sync""",
    )
