"""The steps of a recovery, each looked at again right before it acts, and checked after."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from . import extend, lock
from .adapters import dmsetup, lvm, processes, services, store
from .adapters.engine import Engine
from .adapters.processes import Process
from .adapters.records import Record
from .errors import CommandFailed, EngineUnreachable, Incoherent, Refused
from .growth import plan_growth
from .recovery import ANSWERS, FULL_PERCENT, HANGS, Situation, Step, repair_bytes
from .remediate import Work
from .remedy import Remedy, RemedyPolicy
from .stuck import DOCKERS, Host

#: LVM runs thin_check before it activates a pool; with this a pool that passes is good again.
#: thin_repair of thin-provisioning-tools 0.9 leaves the mark in what it writes.
CLEARING = 'global{thin_check_options=["-q","--clear-needs-check-flag"]}'
#: A killed process that does not wait in the kernel ends at once.
KILL_SECONDS = 5.0
#: As of docker stop; less if the caller has less patience.
CONTAINER_SECONDS = 10.0
#: A daemon with many containers takes its time to start.
START_SECONDS = 120.0


class Steps:
    """Takes the steps of one run."""

    def __init__(
        self,
        host: Host,
        policy: RemedyPolicy,
        patience_seconds: float,
        record: Record,
        kept: list[str],
    ) -> None:
        self._host, self._policy, self._patience = host, policy, patience_seconds
        self._record, self._kept = record, kept
        self._repaired = False

    def take(self, step: Step, seen: Situation) -> str:
        """Do it and say what was done; raises the core's errors."""
        do: Callable[[Situation], str] = getattr(self, f"_{step.name}")
        return do(seen)

    def _extend(self, seen: Situation) -> str:
        trigger = min(self._policy.trigger_percent, FULL_PERCENT)
        policy = replace(self._policy, trigger_percent=trigger, order=("extend", "spare"))
        policy = replace(policy, target_percent=min(policy.target_percent, trigger - 1))
        work = Work(seen.pool, policy, _no_engine, _no_prune)
        remedy = work.next()
        left = work.act(remedy) if isinstance(remedy, Remedy) else remedy
        results = [one["result"] for one in work.done if "result" in one]
        errors = [one["error"] for one in work.done if "error" in one]
        if not results:
            raise Refused("; ".join(errors) or left)
        self._await_daemon()
        return "; ".join(results + errors)

    def _release_snapshot(self, seen: Situation) -> str:
        readers = processes.readers(dmsetup.pool_table(seen.pool).metadata_device)
        if readers:
            raise Refused(f"process {readers[0]} reads the metadata of {seen.pool} by now")
        dmsetup.message(seen.pool, 0, "release_metadata_snap")
        return "released"

    def _end_daemon(self, seen: Situation) -> str:
        process = services.daemon()
        if process is None:
            return "it had ended"
        if seen.daemon == HANGS and self._host.daemon() == ANSWERS:
            return "it answers by now, and was left alone"
        services.stop()
        if not processes.wait([process], self._patience):
            return f"ended (pid {process.pid})"
        self._host.killed.add(process)
        left = processes.end([process], signal.SIGKILL, KILL_SECONDS)
        return f"killed (pid {process.pid}): it did not end within {self._patience:g} s" + (
            "; it waits in the kernel for the disk and is gone as soon as that answers"
            if left
            else ""
        )

    def _end_containers(self, seen: Situation) -> str:
        nodes = [node for node in seen.nodes if node.container_pids]
        found = (processes.find(pid) for node in nodes for pid in node.container_pids)
        wanted = {one for one in found if one is not None}
        left = processes.end(wanted, signal.SIGTERM, min(self._patience, CONTAINER_SECONDS))
        left = processes.end(left, signal.SIGKILL, KILL_SECONDS) if left else left
        if left:
            raise Refused(f"{_pids(left)} did not end: {_where(left)}")
        return f"ended the processes of {len(nodes)} containers"

    def _unmount(self, seen: Situation) -> str:
        count = 0
        for node in seen.nodes:
            for mount in node.mounts if node.is_dockers else ():
                try:
                    processes.unmount(mount)
                except CommandFailed as error:
                    users = ", ".join(map(str, processes.users(mount.number)[:5]))
                    raise Refused(f"{error}; used by pid {users or 'unknown'}") from None
                count += 1
        return f"{count} mounts ended"

    def _remove_nodes(self, seen: Situation) -> str:
        count = 0
        for node in seen.nodes:
            info = dmsetup.devices().get(node.name)
            # The same device still, Docker's, and the kernel itself refuses one that is open.
            if info is None or info.number != node.number or not DOCKERS.match(node.name):
                continue
            if node.container_pids or info.open_count:
                continue
            dmsetup.remove(node.name)
            count += 1
        return f"{count} removed; the thin devices behind them are as they were"

    def _delete_deferred(self, seen: Situation) -> str:
        count, now = 0, self._host.look()
        active = {node.device_id for node in now.nodes}
        for one in now.deferred:
            record = store.device_record(self._host.root, one.hash)
            if record is None or not record.deleted or record.device_id != one.device_id:
                continue
            if one.device_id in active:
                continue
            file = Path(self._host.root, store.DRIVER, "metadata", one.hash)
            self._kept.append(str(self._record.keep(file)))
            dmsetup.message(seen.pool, 0, f"delete {one.device_id}")
            file.unlink()
            count += 1
        if not count:
            raise Refused("none of them can be deleted: they are in use")
        return f"{count} of {len(seen.deferred)} deleted; copies of their metadata files are kept"

    def _deactivate(self, seen: Situation) -> str:
        with lock.held("pool"):
            lvm.change(["lvchange", "-q", "-an", str(seen.volume)])
        self._host.repair_begun = True
        if seen.pool in dmsetup.devices():
            raise Incoherent(f"the pool {seen.pool}", "inactive", "active")
        return "inactive"

    def _grow_metadata(self, seen: Situation) -> str:
        wanted = repair_bytes(seen)
        with lock.held("pool"):
            volume = extend.find_volume(str(seen.volume))
            # By one extent at least: with it LVM makes the spare as large as the metadata.
            more = max(wanted - volume.metadata_bytes, volume.vg_extent_bytes)
            taken = self._spare_disks(volume.vg, 2 * more - volume.vg_free_bytes)
            volume = extend.find_volume(str(seen.volume))
            spare = extend.spare_bytes(volume.vg)
            growth = plan_growth(volume, "metadata", more, volume.vg_free_bytes, spare)
            lvm.change(growth.command)
        self._host.used_metadata_bytes = 0  # whatever came of it, the repair is tried next
        return f"by {growth.grow_bytes} bytes, and its spare with it{taken}"

    def _spare_disks(self, vg: str, missing_bytes: int) -> str:
        """Give the group a declared spare disk if it needs one."""
        if missing_bytes <= 0 or not self._host.spare_devices:
            return ""
        devices = extend.untaken(self._host.spare_devices)[:1]
        for device in extend.check_devices(vg, devices, ()):
            lvm.change(extend.take_device(vg, device))
        return f", with {devices[0]}" if devices else ""

    def _repair(self, seen: Situation) -> str:
        before = {(one.vg, one.name) for one in lvm.volumes()}
        with lock.held("pool"):
            argv = ["lvconvert", "-q", "-y", "--repair", str(seen.volume)]
            lvm.change(argv, lvm.REPAIR_TIMEOUT_SECONDS)
        self._host.repair_begun, self._repaired = False, True
        new = [one for one in lvm.volumes() if (one.vg, one.name) not in before]
        old = [f"{one.vg}/{one.name}" for one in new if not one.is_pool_spare]
        self._kept += old
        return f"repaired; the old metadata is {', '.join(old)} (lvremove it when all is well)"

    def _activate(self, seen: Situation) -> str:
        volume = str(seen.volume)
        with lock.held("pool"):
            argv = ["lvchange", "-q", "-ay", "--config", CLEARING, volume]
            try:
                lvm.change(argv, lvm.REPAIR_TIMEOUT_SECONDS)
            except CommandFailed as error:
                if self._repaired or "repair" not in error.stderr:
                    raise
                self._host.repair_begun = True
                return f"it did not pass its check, and is repaired next: {error.stderr}"
        status = dmsetup.pool_status(seen.pool)
        if status.health in ("needs_check", "failed"):
            raise Incoherent(f"the pool {volume}", "ok", status.health)
        return f"active, {status.health}"

    def _start_daemon(self, seen: Situation) -> str:
        left = processes.wait(self._host.killed, KILL_SECONDS)
        if left:
            raise Refused(f"{_pids(left)} of the killed daemon is still there: {_where(left)}")
        self._host.killed.clear()
        services.start()
        deadline = time.monotonic() + START_SECONDS
        while self._host.daemon() != ANSWERS:
            if time.monotonic() > deadline:
                raise Refused(f"it does not answer within {START_SECONDS:g} s")
            time.sleep(0.5)
        return "it answers"

    def _await_daemon(self) -> None:
        """With room again a daemon that waited for it goes on by itself."""
        deadline = time.monotonic() + self._patience
        while self._host.daemon() == HANGS and time.monotonic() < deadline:
            time.sleep(0.5)


def _pids(left: set[Process]) -> str:
    return ", ".join(f"process {one.pid}" for one in left)


def _where(left: set[Process]) -> str:
    if any(processes.is_waiting(one.pid) for one in left):
        return "it waits in the kernel for the disk, and no signal reaches it before that answers"
    return "it takes no signal"


def _no_engine() -> Engine:
    raise EngineUnreachable("not asked: it may hang")


def _no_prune() -> NoReturn:
    raise Refused("a recovery prunes nothing")
