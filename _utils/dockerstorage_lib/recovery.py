"""What to do about a host that is stuck on its thin pool: pure functions.

The plan is made from what is seen, and made again from what is seen after each step: what has
become needless is not done, and what a step brought to light is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .devmapper import METADATA_BLOCK_BYTES
from .summary import human_bytes

#: Docker makes nothing new in a pool that is fuller (``dm.min_free_space``).
FULL_PERCENT = 90.0
#: thin_repair packs worse than the kernel: 1229 blocks became 1983 in the lab, 1674 became 3314.
REPAIR_GROWTH = 2
ANSWERS, HANGS, STOPPED = "answers", "hangs", "stopped"
#: States in which the pool takes messages: a snapshot can be released, a device deleted.
OBEDIENT = ("ok", "out_of_data_space")
#: States in which writers wait or fail.
EXHAUSTED = ("out_of_data_space", "read_only")
INACTIVE = "inactive"


@dataclass(frozen=True)
class Mount:
    """A mount of a thin device, in a mount namespace that a process lives in."""

    number: str
    point: str
    namespace: str
    #: A process, or a thread, that lives in it.
    pid: int


@dataclass(frozen=True)
class Node:
    """An active thin device of the pool."""

    name: str
    number: str
    #: None if the pool has failed: the kernel does not tell it then.
    device_id: int | None
    open_count: int
    #: Docker's own, by its name.
    is_dockers: bool
    mounts: tuple[Mount, ...] = ()
    #: Processes that have it as their root: a container that runs.
    container_pids: tuple[int, ...] = ()
    #: The container's id or name, as far as known.
    container: str = ""


@dataclass(frozen=True)
class Deferred:
    """A thin device that Docker has marked as deleted and not deleted yet."""

    hash: str
    device_id: int


@dataclass(frozen=True)
class Situation:
    """Docker's pool, its daemon and what holds the pool's devices, at one moment."""

    pool: str
    #: ``vg/pool``; None for loop-lvm.
    volume: str | None
    #: As of the kernel, or ``inactive``.
    health: str
    data_percent: float
    metadata_percent: float
    #: "answers", "hangs" or "stopped"
    daemon: str
    vg_free_bytes: int = 0
    vg_missing_devices: int = 0
    spares: tuple[str, ...] = ()
    snapshot_held: bool = False
    #: Processes that read the pool's metadata device.
    snapshot_readers: tuple[int, ...] = ()
    nodes: tuple[Node, ...] = ()
    deferred: tuple[Deferred, ...] = ()
    used_metadata_bytes: int = 0
    metadata_bytes: int = 0
    repair_spare_bytes: int = 0
    #: Why the metadata cannot be read; None if it can, or was not tried.
    metadata_error: str | None = None
    #: A repair has been begun: the pool was deactivated for it, or does not pass its check.
    repair_begun: bool = False


@dataclass(frozen=True)
class Step:
    """One thing to do, on what, and why."""

    name: str
    why: str
    what: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecoveryPlan:
    """Steps in order; or why none can be taken, and what the operator must do."""

    steps: tuple[Step, ...] = ()
    obstacle: str | None = None


def plan_recovery(seen: Situation) -> RecoveryPlan:
    """What is to be done now; no steps and no obstacle if the host is well."""
    obstacle = _obstacle(seen)
    if obstacle is not None:
        return RecoveryPlan(obstacle=obstacle)
    steps = [*_make_room(seen), *_clear(seen), *_repair(seen)]
    if seen.daemon == STOPPED or any(step.name == "end_daemon" for step in steps):
        steps.append(Step("start_daemon", "the host needs its Docker daemon"))
    if not steps and is_full(seen):
        return RecoveryPlan(obstacle=_no_room(seen))
    return RecoveryPlan(tuple(steps))


def needs_repair(seen: Situation) -> bool:
    """Whether the metadata must be checked and written anew, with the pool offline."""
    return seen.health in ("needs_check", "failed") or seen.repair_begun


def is_full(seen: Situation) -> bool:
    """Whether the pool's fill stops Docker, or writers."""
    percent = max(seen.data_percent, seen.metadata_percent)
    return seen.health in EXHAUSTED or percent >= FULL_PERCENT


def repair_bytes(seen: Situation) -> int:
    """Bytes of metadata that a repair may need."""
    return seen.used_metadata_bytes * REPAIR_GROWTH + 16 * METADATA_BLOCK_BYTES


def _obstacle(seen: Situation) -> str | None:
    if seen.vg_missing_devices:
        return (
            f"{seen.vg_missing_devices} disks of the volume group of {seen.volume} are missing: "
            "bring them back first (see 'pvs'), then call this again"
        )
    if needs_repair(seen):
        return _no_repair(seen)
    # A daemon that is started on a pool with hardly any room can at least prune.
    if seen.health in EXHAUSTED and not _extensible(seen) and not _may_free(seen):
        return _no_room(seen)
    return None


def _no_repair(seen: Situation) -> str | None:
    if seen.metadata_error is not None:
        return (
            f"the metadata of {seen.pool} cannot be read: {seen.metadata_error}. A repair would "
            "lose what lies there: mend or replace the disk below first (see 'dmesg' and "
            "'dmsetup deps'), copy what can be read of it, then call this again"
        )
    if seen.volume is None:
        return (
            f"{seen.pool} is a pool of loop-lvm that {_must_be_checked(seen)}, and there is no LVM "
            "to repair it. Stop docker.socket and docker.service, copy the file "
            "devicemapper/devicemapper/metadata of the data root, run thin_repair from the copy "
            "into a new file of the same size, and put that in its place"
        )
    strange = [node.name for node in seen.nodes if not node.is_dockers]
    if strange:
        return (
            f"{seen.pool} {_must_be_checked(seen)}, for which it must be deactivated, and "
            f"{', '.join(strange)} in it is not Docker's: end its use (umount, lvchange -an or "
            "dmsetup remove), then call this again"
        )
    return None


def _must_be_checked(seen: Situation) -> str:
    return "has failed" if seen.health == "failed" else "must be checked and repaired"


def _no_room(seen: Situation) -> str:
    part = "metadata" if seen.health == "read_only" else "data"
    if seen.volume is None:
        return (
            f"{seen.pool} is full, and lives in files (loop-lvm) that cannot be extended here. "
            f"{_prune(seen)}"
        )
    return (
        f"{seen.pool} is full, its volume group has nothing free, no spare disk is declared, and "
        f"nothing can be freed for certain. Give {seen.volume} a disk: "
        f"dockerstorage.extend {part} size=100%FREE device=/dev/... {_prune(seen)}"
    )


def _prune(seen: Situation) -> str:
    if seen.snapshot_held and seen.snapshot_readers:
        return (
            f"Its metadata snapshot is read by process {seen.snapshot_readers[0]}: until that has "
            "ended nothing that is deleted becomes free"
        )
    if seen.health == "read_only":
        return "A prune cannot help"
    if seen.daemon == ANSWERS:
        return "Or remove what nobody needs: dockerstorage.prune"
    return (
        "What waits for room (a daemon too) ends with an error after no_space_timeout (a minute, "
        "unless it was set to 0); then remove what nobody needs: dockerstorage.prune"
    )


def _extensible(seen: Situation) -> bool:
    return seen.volume is not None and (seen.vg_free_bytes > 0 or bool(seen.spares))


def _may_free(seen: Situation) -> bool:
    if seen.health not in OBEDIENT:
        return False
    return _releasable(seen) or bool(seen.deferred and seen.daemon != ANSWERS)


def _releasable(seen: Situation) -> bool:
    return seen.snapshot_held and not seen.snapshot_readers and seen.health in OBEDIENT


def _make_room(seen: Situation) -> Iterator[Step]:
    if is_full(seen) and not needs_repair(seen) and _extensible(seen):
        spares = f", and the spare disks {', '.join(seen.spares)}" if seen.spares else ""
        room = f"{human_bytes(seen.vg_free_bytes)} free in its volume group{spares}"
        why = f"the pool is {seen.health}, data {seen.data_percent:g} %, metadata "
        yield Step("extend", f"{why}{seen.metadata_percent:g} %", (f"{seen.volume}: {room}",))
    if _releasable(seen) and not needs_repair(seen):
        yield Step(
            "release_snapshot",
            "a metadata snapshot is held and nobody reads it: nothing that is deleted becomes free",
            (seen.pool,),
        )


def _clear(seen: Situation) -> Iterator[Step]:
    """End what stands in the way of a daemon that starts, or of a repair."""
    repair = needs_repair(seen)
    if seen.daemon == HANGS or (repair and seen.daemon == ANSWERS):
        hangs = "it does not answer (and is left alone if it does by then)"
        why = "the pool must be taken offline" if repair else hangs
        yield Step("end_daemon", why, ("docker.socket", "docker.service"))
    if seen.daemon == ANSWERS and not repair:
        return  # a daemon that works looks after its devices itself
    running = [node for node in seen.nodes if node.container_pids]
    if repair and running:
        what = tuple(f"{node.container}: pid {node.container_pids[0]}" for node in running)
        yield Step("end_containers", "they hold devices of a pool that must go offline", what)
    idle = [node for node in seen.nodes if node.is_dockers and (repair or _is_left(node))]
    points = tuple(f"{m.point} (pid {m.pid})" for node in idle for m in node.mounts)
    if points:
        yield Step("unmount", "what no container has as its root any more is mounted", points)
    if idle:
        names = tuple(node.name for node in idle)
        yield Step("remove_nodes", "device-mapper nodes that nobody uses; their data stays", names)
    if is_full(seen) and seen.deferred and seen.health in OBEDIENT and not _extensible(seen):
        what = tuple(f"{one.hash} (device {one.device_id})" for one in seen.deferred)
        yield Step("delete_deferred", "Docker has deleted them, and their blocks are in use", what)


def _is_left(node: Node) -> bool:
    """Whether nothing but mounts holds it; what else does, of the daemon's or not, is not known."""
    return not node.container_pids and (bool(node.mounts) or node.open_count == 0)


def _repair(seen: Situation) -> Iterator[Step]:
    if not needs_repair(seen):
        if seen.health == INACTIVE and seen.volume is not None:
            yield Step("activate", "the pool is not active", (seen.volume,))
        return
    volume = str(seen.volume)
    if seen.health != INACTIVE:
        yield Step("deactivate", "an active pool cannot be repaired", (volume,))
    wanted = repair_bytes(seen)
    if seen.used_metadata_bytes and seen.repair_spare_bytes < wanted:
        has = f"the spare for repairs has {human_bytes(seen.repair_spare_bytes)}"
        why = f"{has}, and {human_bytes(wanted)} may be needed"
        yield Step("grow_metadata", why, (volume,))
    yield Step("repair", f"the pool {_must_be_checked(seen)}; the old metadata is kept", (volume,))
    yield Step("activate", "a check clears its mark then", (volume,))
