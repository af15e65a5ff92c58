"""LVM, through its own commands."""

from __future__ import annotations

from .. import lvm
from . import shell

TIMEOUT_SECONDS = 60


def thin_pools() -> tuple[lvm.ThinPoolVolume, ...]:
    """Every thin pool that LVM knows on this host."""
    # --nolocking: an LVM command that hangs elsewhere does not hang this one. Not --readonly: it
    # takes no lock either, but it does not see monitoring and health.
    argv = ["lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "-o", lvm.COLUMNS]
    argv += ["--nolocking", "-S", "segtype=thin-pool"]
    return lvm.parse_pools(shell.output(argv, TIMEOUT_SECONDS))


def autoextend_threshold(profile: str) -> int:
    """Percent at which dmeventd extends pools of a profile ("" for none); 100 means never."""
    argv = ["lvmconfig", "--type", "full"]
    if profile:
        argv += ["--metadataprofile", profile]
    argv.append("activation/thin_pool_autoextend_threshold")
    return lvm.parse_setting(shell.output(argv, TIMEOUT_SECONDS))
