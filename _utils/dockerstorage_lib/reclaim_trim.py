"""Have the file systems of running containers tell the pool which of their blocks are free."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .adapters import dmioctl, store
from .adapters.trims import trim_root
from .devmapper import ThinPoolStatus
from .engine_restart import Connect
from .errors import Refused
from .jobs import Job
from .reclaim_place import Place


@dataclass(frozen=True)
class Trimmed:
    """What became of one container's file system."""

    container: str
    #: What is free in it, and is not in the pool any more.
    free_bytes: int | None
    #: What came free in the pool with it; other containers may write meanwhile.
    freed_bytes: int | None
    #: Why it was left alone; None if it was not.
    why_not: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """It as plain values."""
        return asdict(self)


def trim_all(place: Place, connect: Connect, job: Job) -> list[Trimmed]:
    """Trim each running container's file system; raises Refused for a pool that is not well.

    A trim writes to the pool's metadata, so a full or a damaged one is left alone.
    """
    if not place.is_active or not place.is_served:
        return []
    status = dmioctl.pool_status(place.pool)
    if not isinstance(status, ThinPoolStatus) or status.health != "ok":
        raise Refused(
            f"the pool {place.pool} is not well ({status.health}): nothing is trimmed in it; see "
            "'dockerstorage.recover'"
        )
    engine = connect()
    found = []
    for one in engine.containers():
        document = engine.document("container", one.id)
        if document is not None and document["State"]["Running"]:
            job.turn_to(f"container {one.name}")
            found.append(_trim(place, one.id, one.name, int(document["State"]["Pid"])))
    return found


def _trim(place: Place, id_: str, name: str, pid: int) -> Trimmed:
    hashes = store.container_hashes(place.root, id_)
    if not hashes:
        return Trimmed(name, None, None, "the store does not name its device")
    before = place.allocated_bytes()
    try:
        free = trim_root(pid, f"{place.pool.removesuffix('pool')}{hashes[0]}")
    except Refused as error:
        return Trimmed(name, None, None, str(error))
    return Trimmed(name, free, max(before - place.allocated_bytes(), 0))
