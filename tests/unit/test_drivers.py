"""Which drivers a host can run, by the rules that dockerd has."""

from dataclasses import replace
from pathlib import Path

import pytest

from dockerstorage_lib.adapters import kernelfacts
from dockerstorage_lib.drivers import (
    KERNEL_PARTS,
    TOOLS,
    Facts,
    FileSystem,
    as_dict,
    distribution_of,
    file_system_of,
    judge,
    module_names,
)

ROOT = FileSystem("/var/lib/docker", "ext4", "/dev/sda1", True)
FACTS = Facts(
    "6.1.0-13-amd64", "debian", frozenset({"overlay", "dm_thin_pool", "fuse", "btrfs"}),
    frozenset({"lvcreate", "thin_check", "mkfs.xfs"}), True, ROOT, "20.10.24+dfsg1",
)  # fmt: skip


def verdicts(**more):
    found, _ = judge(replace(FACTS, **more))
    return {one.name: one for one in found}


def supported(**more):
    return {name for name, one in verdicts(**more).items() if one.supported}


def root(**more):
    return {"file_system": replace(ROOT, **more)}


def test_a_host_of_today():
    assert supported() == {"overlay2", "overlay", "devicemapper", "vfs"}
    assert judge(FACTS)[1] == "overlay2"


@pytest.mark.parametrize(
    ("version", "gone"),
    [
        ("23.0.1", set()),
        ("24.0.7", {"overlay"}),
        ("25.0.0", {"overlay", "devicemapper"}),
        (None, set()),
    ],
)
def test_what_newer_engines_lack(version, gone):
    assert supported() - supported(engine_version=version) == gone


@pytest.mark.parametrize(
    ("kernel", "can"),
    [
        ("4.0.0", {"overlay2", "overlay"}),
        ("3.19.0-80-generic", {"overlay"}),
        ("3.16.0-4-amd64", set()),
        ("3.10.0-514.el7.x86_64", {"overlay2", "overlay"}),
        ("3.10.0-1160.102.1.el7.x86_64", {"overlay2", "overlay"}),
        ("3.10.0-327.el7.x86_64", {"overlay"}),
        ("odd", set()),
    ],
)
def test_kernels(kernel, can):
    assert supported(kernel=kernel) - {"vfs", "devicemapper"} == can


@pytest.mark.parametrize(
    ("at", "can", "recommended"),
    [
        (root(type="xfs", d_type=False), {"devicemapper", "vfs"}, "devicemapper"),
        (root(type="xfs", d_type=None), {"overlay2", "overlay", "devicemapper", "vfs"}, "overlay2"),
        (root(type="overlay"), {"devicemapper", "vfs"}, "devicemapper"),
        (root(type="ecryptfs"), {"devicemapper", "vfs"}, "devicemapper"),
        (root(type="btrfs"), {"overlay2", "btrfs", "devicemapper", "vfs"}, "overlay2"),
        (root(type="zfs"), {"devicemapper", "vfs"}, "devicemapper"),
        ({**root(type="zfs"), "kernel_parts": frozenset({"zfs"}), "tools": frozenset({"zfs"})},
         {"zfs", "vfs"}, "zfs"),
        ({**root(type="btrfs"), "kernel": "4.4.0-21"}, {"btrfs", "devicemapper", "vfs"}, "btrfs"),
        ({"kernel_parts": frozenset()}, {"vfs"}, "vfs"),
        ({"udev_runs": False}, {"overlay2", "overlay", "vfs"}, "overlay2"),
    ],
)  # fmt: skip
def test_file_systems_and_parts(at, can, recommended):
    assert supported(**at) == can
    assert judge(replace(FACTS, **at))[1] == recommended


def test_reasons_name_the_way_out():
    xfs = verdicts(**root(type="xfs", d_type=False))["overlay2"]
    assert xfs.why_not == (
        "the xfs of /var/lib/docker does not tell the types of files (d_type), that is ftype=0: "
        "make it anew with 'mkfs.xfs -n ftype=1'",
    )
    aufs = verdicts(distribution="ubuntu", kernel="4.4.0-21-generic")["aufs"]
    assert "linux-image-extra-4.4.0-21-generic" in aufs.why_not[0]
    assert "aufs" in supported(kernel_parts=frozenset({"aufs"}))
    gone = verdicts(engine_version="26.1.5")["devicemapper"]
    assert gone.why_not == ("Docker has no devicemapper since 25, and this is 26.1.5",)


def test_fuse():
    tools = frozenset({"fuse-overlayfs"})
    assert "fuse-overlayfs" in supported(tools=tools)
    assert "fuse-overlayfs" not in supported(tools=tools, engine_version="19.03.5")
    assert "fuse-overlayfs" not in supported(tools=tools, kernel="4.4.0")


def test_as_plain_values():
    found = as_dict(FACTS, "devicemapper")
    assert (found["recommended"], found["current"]) == ("overlay2", "devicemapper")
    assert found["drivers"][0] == {
        "name": "overlay2",
        "supported": True,
        "why_not": [],
        "notes": ["sizes of containers cannot be limited on ext4, only on xfs with pquota"],
    }
    assert found["file_system"]["d_type"] is True


MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /var rw - tmpfs tmpfs rw
31 30 8:2 / /var/lib/docker rw shared:9 - ext4 /dev/sdb1 rw
32 30 8:3 / /var/lib/docker rw shared:9 - xfs /dev/my\040disk rw
33 22 8:4 / /var/lib/docker2 rw - btrfs /dev/sdd rw
odd line
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/lib/docker", ("xfs", "/dev/my disk")),
        ("/var/lib/docker/x", ("xfs", "/dev/my disk")),
        ("/var/lib", ("tmpfs", "tmpfs")),
        ("/", ("ext4", "/dev/sda1")),
        ("/srv", ("ext4", "/dev/sda1")),
    ],
)
def test_the_file_system_of_a_path(path, expected):
    assert file_system_of(MOUNTS, path) == expected
    assert file_system_of("", path) == ("unknown", "unknown")


def test_names_of_modules():
    builtin = "kernel/fs/ext4/ext4.ko\nkernel/drivers/md/dm-mod.ko\n"
    dep = "kernel/fs/overlayfs/overlay.ko.xz:\nkernel/drivers/md/dm-thin-pool.ko: kernel/a/b.ko\n"
    assert module_names(builtin, dep) == {"ext4", "dm_mod", "overlay", "dm_thin_pool"}


def test_distributions():
    assert distribution_of('NAME="X"\nID="rhel"\nVERSION_ID=7\n') == "rhel"
    assert distribution_of("ID=debian\n") == "debian"
    assert distribution_of("") == "unknown"


def test_this_machine(tmp_path):
    found = kernelfacts.facts(str(tmp_path / "not" / "there"), None)
    assert found.file_system.type != "unknown"
    assert found.file_system.d_type in (True, False)
    assert found.kernel_parts <= set(KERNEL_PARTS)
    assert found.tools <= set(TOOLS)
    assert list(tmp_path.iterdir()) == []
    judge(found)


def test_a_place_where_nothing_can_be_tried():
    assert kernelfacts._d_type(Path("/proc")) is None
