"""LVM, through its own commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .. import lvm
from . import shell

TIMEOUT_SECONDS = 60
#: An extension of a pool that is full waits for its writers' queue.
CHANGE_TIMEOUT_SECONDS = 300
#: A repair, and a check at activation, read all metadata, 16 GiB at most.
REPAIR_TIMEOUT_SECONDS = 3600
PROFILES = Path("/etc/lvm/profile")


def thin_pools(timeout_seconds: float = TIMEOUT_SECONDS) -> tuple[lvm.ThinPoolVolume, ...]:
    """Every thin pool that LVM knows on this host."""
    more = ("-S", "segtype=thin-pool")
    return lvm.parse_pools(_report("lvs", lvm.COLUMNS, *more, timeout_seconds=timeout_seconds))


def volumes() -> tuple[lvm.Volume, ...]:
    """Every logical volume, hidden ones too."""
    return lvm.parse_volumes(_report("lvs", lvm.LV_COLUMNS, "-a"))


def volume_groups() -> tuple[lvm.VolumeGroup, ...]:
    """Every volume group."""
    return lvm.parse_groups(_report("vgs", lvm.VG_COLUMNS))


def physical_volumes() -> tuple[lvm.PhysicalVolume, ...]:
    """Every physical volume, those in no group too."""
    return lvm.parse_devices(_report("pvs", lvm.PV_COLUMNS))


def autoextension(profile: str) -> lvm.Autoextension:
    """When and by how much dmeventd extends pools of a profile ("" for none)."""
    argv = ["lvmconfig", "--type", "full"]
    if profile:
        argv += ["--metadataprofile", profile]
    argv += [f"activation/thin_pool_autoextend_{key}" for key in ("threshold", "percent")]
    return lvm.Autoextension(*lvm.parse_settings(shell.output(argv, TIMEOUT_SECONDS)))


def write_profile(name: str, text: str) -> None:
    """Write a metadata profile, lvm.conf(5)."""
    PROFILES.mkdir(parents=True, exist_ok=True)
    (PROFILES / f"{name}.profile").write_text(text)


def change(argv: Sequence[str], timeout_seconds: float = CHANGE_TIMEOUT_SECONDS) -> None:
    """Run an LVM command that changes something; raises CommandFailed."""
    shell.output(argv, timeout_seconds)


@contextmanager
def parts(pool: lvm.ThinPoolVolume) -> Iterator[tuple[Path, Path]]:
    """Data and metadata of an inactive thin pool as read-only devices, while the context lasts.

    See lvmthin(7), "Component activation" (LVM 2.02.178 and later). Raises CommandFailed.
    """
    kinds = ("tdata", "tmeta")
    names = [f"{pool.full_name}_{kind}" for kind in kinds]
    try:
        for name in names:  # more than one at a time is refused
            change(["lvchange", "--yes", "--activate", "y", name])
        data, metadata = (Path("/dev/mapper", f"{pool.dm_name}_{kind}") for kind in kinds)
        yield data, metadata
    finally:
        for name in names:
            change(["lvchange", "--activate", "n", name])


def _report(
    command: str, columns: str, *more: str, timeout_seconds: float = TIMEOUT_SECONDS
) -> str:
    # --nolocking: an LVM command that hangs elsewhere does not hang this one. Not --readonly: it
    # takes no lock either, but it does not see monitoring and health.
    argv = [command, "--reportformat", "json", "--units", "b", "--nosuffix", "-o", columns]
    return shell.output([*argv, "--nolocking", *more], timeout_seconds)
