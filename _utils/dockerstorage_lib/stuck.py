"""See a host that may be stuck on its thin pool, without waiting for its daemon."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from . import devmapper, extend, poolview, report
from .adapters import dmsetup, lvm, processes, services, store, thintools
from .adapters.engine import Engine
from .adapters.processes import Process
from .devmapper import METADATA_BLOCK_BYTES, Table, ThinPoolStatus, ThinTable
from .errors import EngineUnreachable, Refused
from .lvm import ThinPoolVolume
from .recovery import ANSWERS, HANGS, INACTIVE, STOPPED, Deferred, Node, Situation

#: A thin device of Docker's, by its name: docker-MAJOR:MINOR-INODE-HASH.
DOCKERS = re.compile(r"docker-\d+:\d+-\d+-")
SICK = ("needs_check", "failed")


@dataclass
class Host:
    """Where to look, and what is remembered from one look to the next."""

    root: str
    pool: str
    #: ``vg/pool``; None for loop-lvm.
    volume: str | None
    connect: Callable[[], Engine]
    spare_devices: tuple[str, ...] = ()
    #: Daemons that were killed. They run no code any more, even if they wait in the kernel.
    killed: set[Process] = field(default_factory=set)
    repair_begun: bool = False
    used_metadata_bytes: int = 0
    metadata_error: str | None = None
    _read: bool = False

    def look(self) -> Situation:
        """The host as it is now."""
        status = next(iter(dmsetup.status("thin-pool").get(self.pool, ())), None)
        alive = status if isinstance(status, ThinPoolStatus) else None
        if alive is not None and not self.repair_begun:
            self.used_metadata_bytes = alive.used_metadata_blocks * METADATA_BLOCK_BYTES
        nodes = tuple(self._nodes()) if status is not None else ()
        # What more than mounts holds: a container, or somebody who has it open.
        busy = {
            node.device_id
            for node in nodes
            if node.container_pids or (node.open_count and not node.mounts)
        }
        volume = extend.find_volume(self.volume) if self.volume else None
        return Situation(
            pool=self.pool,
            volume=self.volume,
            health=self._inactive() if status is None else status.health,
            data_percent=alive.data_percent if alive else 0.0,
            metadata_percent=alive.metadata_percent if alive else 0.0,
            daemon=self.daemon(),
            vg_free_bytes=volume.vg_free_bytes if volume else 0,
            vg_missing_devices=volume.vg_missing_devices if volume else 0,
            spares=tuple(extend.untaken(self.spare_devices)) if volume else (),
            snapshot_held=alive is not None and alive.held_metadata_root is not None,
            snapshot_readers=self._readers() if alive and alive.held_metadata_root else (),
            nodes=nodes,
            deferred=tuple(one for one in self._deferred(alive) if one.device_id not in busy),
            used_metadata_bytes=self.used_metadata_bytes,
            metadata_bytes=volume.metadata_bytes if volume else 0,
            repair_spare_bytes=extend.spare_bytes(volume.vg) if volume else 0,
            metadata_error=self._metadata_error(status.health if status else INACTIVE),
            repair_begun=self.repair_begun,
        )

    def daemon(self) -> str:
        """Whether the engine's daemon answers, hangs or does not run."""
        process = services.daemon()
        # Not asked if it does not run: its socket would start it.
        if process is None or process in self.killed:
            return STOPPED
        try:
            self.connect().info()
        except EngineUnreachable:
            return HANGS
        return ANSWERS

    def _inactive(self) -> str:
        # Docker would wait in vain for such a pool of loop-lvm when it starts; LVM checks its own.
        marked = self.volume is None and store.loop_metadata_needs_check(self.root)
        return "needs_check" if marked else INACTIVE

    def _nodes(self) -> Iterator[Node]:
        known = dmsetup.devices()
        pool = known[self.pool].number
        ours = {
            name: rows[0]
            for name, rows in dmsetup.tables("thin").items()
            if name in known and rows and _lies_in(pool, name, rows[0])
        }
        uses = processes.uses({known[name].number for name in ours})
        for name, table in ours.items():
            info = known[name]
            use = uses.get(info.number, processes.Use())
            yield Node(
                name,
                info.number,
                table.device_id if isinstance(table, ThinTable) else None,
                info.open_count,
                DOCKERS.match(name) is not None,
                use.mounts,
                use.pids,
                use.container,
            )

    def _readers(self) -> tuple[int, ...]:
        return processes.readers(dmsetup.pool_table(self.pool).metadata_device)

    def _deferred(self, status: ThinPoolStatus | None) -> Iterator[Deferred]:
        opened = store.open_transaction_id(self.root)
        # Files of another pool name others: the count of transactions must be this pool's.
        if status is None or opened is None or opened - status.transaction_id not in (0, 1):
            return
        for record in store.device_records(self.root).values():
            if record.deleted:
                yield Deferred(record.hash, record.device_id)

    def _metadata_error(self, health: str) -> str | None:
        if health in SICK and not self._read and self.volume is not None:
            number = dmsetup.pool_table(self.pool).metadata_device
            self.metadata_error, self._read = thintools.why_unreadable(number), True
        return self.metadata_error


def find(
    pool: str | None,
    data_root: str | None,
    connect: Callable[[], Engine],
    spare_devices: tuple[str, ...],
) -> Host:
    """Docker's host, its engine not asked; pool: a name to look for first.

    Raises Refused if Docker is not on devicemapper here, or its pool cannot be found.
    """
    site = report.site_without_engine(data_root, [])
    if site.driver != store.DRIVER and pool is None:
        raise Refused(
            f"Docker's storage driver is {site.driver or 'not known'}, by its configuration and by "
            f"what lies in {site.root}: it has no thin pool to recover"
        )
    known = [*poolview.pool_names(data_root), *_pools_below_docker()]
    volumes = sorted(lvm.thin_pools(), key=lambda one: not one.active)
    found = _first(volumes, known)
    if pool is not None:
        given = _first(volumes, [pool])
        if found is not None and given != found:
            # The steps end Docker's daemon, which is no remedy for another's pool.
            raise Refused(f"pool: {pool} is not Docker's pool, which is {found.full_name}")
        found = given
    if found is not None:
        name = dmsetup.active_pool(found.dm_name) or found.dm_name
        return Host(site.root, name, found.full_name, connect, spare_devices)
    loop = next((name for name in known if DOCKERS.match(name)), None)
    if loop is not None and pool in (None, loop) and poolview.loop_files(site.root):
        return Host(site.root, loop, None, connect, spare_devices)
    raise Refused(
        f"no thin pool of Docker is found (looked for: {pool or ', '.join(known) or 'nothing'}); "
        "give its name: pool=<vg>/<pool>"
    )


def _lies_in(pool_number: str, name: str, table: Table) -> bool:
    """Whether a thin device is one of that pool."""
    if isinstance(table, ThinTable):
        return table.pool_device == pool_number
    return pool_number in dmsetup.dependencies(name)


def _first(volumes: list[ThinPoolVolume], names: list[str]) -> ThinPoolVolume | None:
    """The first pool of LVM that goes by one of those names."""
    wanted = {devmapper.lvm_name(name) for name in names}
    return next((one for one in volumes if {one.dm_name, one.full_name} & wanted), None)


def _pools_below_docker() -> list[str]:
    """Pools that active devices of Docker lie in, however it is configured."""
    names = {info.number: name for name, info in dmsetup.devices().items()}
    below = {
        number
        for name in dmsetup.tables("thin")
        if DOCKERS.match(name)
        for number in dmsetup.dependencies(name)
    }
    return sorted(names[number] for number in below if number in names)
