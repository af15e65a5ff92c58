"""Bring a declared thin pool about: look, plan, act, and look again until nothing is left to do."""

from __future__ import annotations

from typing import Any

from . import extend
from .adapters import blockdev, dmsetup, lvm
from .declaration import Declaration
from .devmapper import FailedTarget
from .errors import Incoherent, Refused
from .thinpool import Present, Step, plan_thinpool

#: The group's disks, then the pool itself; a third look must find nothing to do.
ROUNDS = 3


def look(declared: Declaration) -> Present:
    """What there is of a declared pool; raises Refused if a device must not be taken."""
    groups = {group.name: group for group in lvm.volume_groups()}
    pools = {pool.full_name: pool for pool in lvm.thin_pools()}
    volumes = [one for one in lvm.volumes() if one.vg == declared.vg]
    pool = pools.get(declared.full_name)
    active = pool is not None and pool.active
    if pool is not None and active:
        status = dmsetup.pool_status(pool.dm_name)
        if isinstance(status, FailedTarget) or status.needs_check:
            raise Refused(
                f"the pool {declared.full_name} is {status.health}: repair it first, see "
                "dockerstorage.recover"
            )
    new = extend.check_devices(declared.vg, declared.devices, declared.force_devices)
    return Present(
        group=groups.get(declared.vg),
        pool=pool,
        other_volumes=tuple(one.name for one in volumes if one.segment_type != "thin-pool"),
        new_devices={path: blockdev.look(path).size_bytes for path in new},
        autoextension=None if pool is None else lvm.autoextension(pool.profile),
        low_water_blocks=(
            dmsetup.pool_table(pool.dm_name).low_water_blocks if pool and active else None
        ),
        spare_bytes=max((one.size_bytes for one in volumes if one.is_pool_spare), default=0),
    )


def plan(declared: Declaration) -> tuple[Step, ...]:
    """What is to be done now; raises Refused if it cannot be."""
    return plan_thinpool(declared, look(declared))


def carry_out(declared: Declaration) -> list[Step]:
    """Do it, and return the steps that were done.

    Raises CommandFailed at the first that fails, Incoherent if the pool is not as declared then.
    """
    done: list[Step] = []
    for _ in range(ROUNDS):
        steps = plan(declared)
        if not steps:
            return done
        # With new disks in the group the sizes of the rest are known exactly: look again.
        group = [one for one in steps if one.key == "vg" or one.key.startswith("device ")]
        for step in group or steps:
            if step.profile is not None:
                lvm.write_profile(*step.profile)
            lvm.change(step.command)
            done.append(step)
    left = plan(declared)
    if left:
        raise Incoherent(f"the pool {declared.full_name}", "no more steps", as_list(left))
    return done


def as_list(steps: list[Step] | tuple[Step, ...]) -> list[dict[str, Any]]:
    """Steps as plain values."""
    return [
        {"what": one.key, "old": one.old, "new": one.new, "command": " ".join(one.command)}
        for one in steps
    ]
