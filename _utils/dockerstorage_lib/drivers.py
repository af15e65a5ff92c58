"""Which storage drivers a host can run, and why not: facts in, verdicts out. Pure.

The rules are those that the drivers of dockerd check themselves when they start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class FileSystem:
    """What the data root lies on."""

    path: str
    type: str
    source: str
    #: Whether directories tell the types of their entries; None if it could not be tried.
    d_type: bool | None


@dataclass(frozen=True)
class Facts:
    """What a host offers, as far as storage drivers ask for it."""

    kernel: str
    #: Of os-release: "debian", "ubuntu", "rhel".
    distribution: str
    #: What the kernel has, or can load: names of file systems and modules.
    kernel_parts: frozenset[str]
    #: Programs that are installed.
    tools: frozenset[str]
    udev_runs: bool
    file_system: FileSystem
    #: The release of Docker that the answer holds for; None if there is none.
    engine_version: str | None


@dataclass(frozen=True)
class Verdict:
    """Whether a driver can run."""

    name: str
    why_not: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def supported(self) -> bool:
        return not self.why_not


#: Names that the adapter must look for.
KERNEL_PARTS = ("overlay", "aufs", "btrfs", "zfs", "dm_thin_pool", "fuse")
TOOLS = ("mkfs.xfs", "mkfs.ext4", "zfs", "btrfs", "fuse-overlayfs", "lvcreate", "thin_check")
#: Those that dockerd refuses below an overlay.
_NOT_BELOW_OVERLAY = ("aufs", "ecryptfs", "nfs", "nfs4", "overlay", "zfs")
_NOT_BELOW_AUFS = ("aufs", "btrfs", "ecryptfs")
#: The first release of Docker without a driver.
_GONE_IN = {"aufs": 24, "overlay": 24, "devicemapper": 25}
_RHEL_7 = re.compile(r"3\.10\.0-(\d+)\..*el7")
#: With it, Red Hat's 3.10 can do what overlay2 needs.
_RHEL_7_BUILD = 514
#: What to take where several can run, the best first.
_BEST_FIRST = (
    "overlay2",
    "btrfs",
    "zfs",
    "devicemapper",
    "overlay",
    "fuse-overlayfs",
    "aufs",
    "vfs",
)


def judge(facts: Facts) -> tuple[list[Verdict], str]:
    """A verdict on every driver, the best first, and the name of the one to use."""
    verdicts = [_JUDGES[name](facts) for name in _BEST_FIRST]
    # vfs always can.
    return verdicts, next(one.name for one in verdicts if one.supported)


def as_dict(facts: Facts, current: str | None) -> dict[str, Any]:
    """What ``dockerstorage.drivers`` returns, but for the lines to read."""
    verdicts, recommended = judge(facts)
    rows = [
        {
            "name": one.name,
            "supported": one.supported,
            "why_not": list(one.why_not),
            "notes": list(one.notes),
        }
        for one in verdicts
    ]
    return {
        "drivers": rows,
        "recommended": recommended,
        "current": current,
        "engine_version": facts.engine_version,
        "kernel": facts.kernel,
        "file_system": asdict(facts.file_system),
    }


def kernel_number(release: str) -> tuple[int, int]:
    """The first two numbers of a kernel's release; zeros if it has none."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _major(facts: Facts) -> int | None:
    found = re.match(r"\d+", facts.engine_version or "")
    return int(found[0]) if found else None


def _gone(name: str, facts: Facts) -> list[str]:
    major = _major(facts)
    if major is None or major < _GONE_IN[name]:
        return []
    return [f"Docker has no {name} since {_GONE_IN[name]}, and this is {facts.engine_version}"]


def _missing(part: str, facts: Facts) -> list[str]:
    if part in facts.kernel_parts:
        return []
    return [f"kernel {facts.kernel} has no {part}, and no module of it is installed"]


def _not_over(name: str, below: Collection[str], facts: Facts) -> list[str]:
    at = facts.file_system
    return (
        [f"{name} does not work over {at.type}, which {at.path} is on"] if at.type in below else []
    )


def _overlay2(facts: Facts) -> Verdict:
    number, at = kernel_number(facts.kernel), facts.file_system
    why_not = _missing("overlay", facts) + _not_over("overlay2", _NOT_BELOW_OVERLAY, facts)
    rhel = _RHEL_7.match(facts.kernel)
    if number < (4, 0) and not (rhel and int(rhel[1]) >= _RHEL_7_BUILD):
        why_not.append(
            f"kernel {facts.kernel} is older than 4.0, or 3.10.0-{_RHEL_7_BUILD} of Red Hat"
        )
    if at.type == "btrfs" and number < (4, 7):
        why_not.append(f"over btrfs it needs kernel 4.7, and this is {facts.kernel}")
    return Verdict("overlay2", (*why_not, *_without_d_type(at)), tuple(_quota_note(at)))


def _without_d_type(at: FileSystem) -> list[str]:
    if at.d_type is not False:
        return []
    way_out = "make it anew with 'mkfs.xfs -n ftype=1'" if at.type == "xfs" else "use another one"
    how = ", that is ftype=0" if at.type == "xfs" else ""
    return [f"the {at.type} of {at.path} does not tell the types of files (d_type){how}: {way_out}"]


def _quota_note(at: FileSystem) -> list[str]:
    notes = []
    if at.d_type is None:
        notes.append(f"whether {at.path} tells the types of files (d_type) could not be tried")
    if at.type == "xfs":
        notes.append("sizes of containers can be limited (overlay2.size) if it is mounted pquota")
    else:
        notes.append(f"sizes of containers cannot be limited on {at.type}, only on xfs with pquota")
    return notes


def _overlay(facts: Facts) -> Verdict:
    why_not = _gone("overlay", facts) + _missing("overlay", facts)
    why_not += _not_over("overlay", (*_NOT_BELOW_OVERLAY, "btrfs"), facts)
    if kernel_number(facts.kernel) < (3, 18) and not _RHEL_7.match(facts.kernel):
        why_not.append(f"kernel {facts.kernel} is older than 3.18")
    why_not += _without_d_type(facts.file_system)
    return Verdict("overlay", tuple(why_not), ("it needs very many inodes: prefer overlay2",))


def _aufs(facts: Facts) -> Verdict:
    why_not = _gone("aufs", facts) + _not_over("aufs", _NOT_BELOW_AUFS, facts)
    missing = _missing("aufs", facts)
    if missing:
        package = {
            "ubuntu": f"; linux-image-extra-{facts.kernel} (or linux-modules-extra-{facts.kernel}) "
            f"brings it, as long as Ubuntu had it",
            "debian": "; aufs-dkms brings it, as long as Debian had it",
        }.get(facts.distribution, "")
        missing = [missing[0] + package]
    return Verdict("aufs", (*why_not, *missing), ("nobody maintains it: prefer overlay2",))


def _btrfs(facts: Facts) -> Verdict:
    at = facts.file_system
    why_not = _missing("btrfs", facts)
    if at.type != "btrfs":
        why_not.append(f"{at.path} is on {at.type}, and must be on btrfs")
    return Verdict("btrfs", tuple(why_not), ())


def _zfs(facts: Facts) -> Verdict:
    at = facts.file_system
    why_not = _missing("zfs", facts)
    if "zfs" not in facts.tools:
        why_not.append("the program zfs is not installed (zfsutils-linux)")
    if at.type != "zfs":
        why_not.append(f"{at.path} is on {at.type}, and must be on zfs, or zfs.fsname must be set")
    return Verdict("zfs", tuple(why_not), ())


def _vfs(facts: Facts) -> Verdict:
    return Verdict("vfs", (), ("it copies each layer as a whole: slow, and large",))


def _fuse_overlayfs(facts: Facts) -> Verdict:
    why_not = _missing("fuse", facts)
    if (_major(facts) or 20) < 20:
        why_not.append(f"Docker has it since 20.10, and this is {facts.engine_version}")
    if "fuse-overlayfs" not in facts.tools:
        why_not.append("the program fuse-overlayfs is not installed")
    if kernel_number(facts.kernel) < (4, 18):
        why_not.append(f"kernel {facts.kernel} is older than 4.18")
    return Verdict("fuse-overlayfs", tuple(why_not), ("made for rootless engines; slow",))


def _devicemapper(facts: Facts) -> Verdict:
    why_not = _gone("devicemapper", facts) + _missing("dm_thin_pool", facts)
    if not facts.udev_runs:
        why_not.append("udev does not run, and dockerd waits for it to make devices (udev sync)")
    notes = [
        "without a thin pool (dockerstorage.thinpool, dm.thinpooldev) it makes loop files: slow",
        "set dm.use_deferred_removal and dm.use_deferred_deletion to true",
    ]
    if "lvcreate" not in facts.tools:
        notes.append("LVM is not installed, which makes the thin pool (lvm2)")
    if "thin_check" not in facts.tools:
        notes.append("thin-provisioning-tools are not installed: LVM cannot activate a thin pool")
    if _major(facts) in (23, 24):
        notes.append("this release uses it only if it is configured by name")
    notes.append("Docker 25 has it no more")
    return Verdict("devicemapper", tuple(why_not), tuple(notes))


_JUDGES: dict[str, Callable[[Facts], Verdict]] = {
    "overlay2": _overlay2,
    "overlay": _overlay,
    "aufs": _aufs,
    "btrfs": _btrfs,
    "zfs": _zfs,
    "vfs": _vfs,
    "devicemapper": _devicemapper,
    "fuse-overlayfs": _fuse_overlayfs,
}


def file_system_of(mountinfo: str, path: str) -> tuple[str, str]:
    """Type and source of the file system that a path is on, by mountinfo, proc(5)."""
    best, found = -1, ("unknown", "unknown")
    for line in mountinfo.splitlines():
        front, _, back = line.partition(" - ")
        fields, rest = front.split(), back.split()
        if len(fields) < 5 or len(rest) < 2:
            continue
        point = unescape(fields[4]).rstrip("/")
        # Of those that are mounted over each other, the last one is seen.
        if (path == point or path.startswith(f"{point}/")) and len(point) >= best:
            best, found = len(point), (rest[0], unescape(rest[1]))
    return found


def unescape(text: str) -> str:
    """Blanks and backslashes in mountinfo stand as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def module_names(*lists: str) -> set[str]:
    """Names of modules from modules.builtin and modules.dep, as the kernel writes them."""
    lines = (line.partition(":")[0] for text in lists for line in text.splitlines())
    names = (line.rpartition("/")[2].partition(".ko")[0] for line in lines)
    return {name.replace("-", "_") for name in names if name}


def distribution_of(os_release: str) -> str:
    """The ID of os-release(5)."""
    found = re.search(r"^ID=[\"']?([^\"'\s]+)", os_release, re.MULTILINE)
    return found[1] if found else "unknown"
