"""A simulated Docker host, as far as a remedy can see one: its programs, and what they change.

Its pool is 85 % full, and whatever is added to it a writer fills as far again: so only the lock and
the cool-down keep a second remedy away.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

POOL = "vg-thin"
USED_PERCENT = 85
#: The lock is held for so long that two jobs for a host can meet.
LVEXTEND_SECONDS = 0.05

EXTENT_BYTES = 4 << 20
BLOCKS_AN_EXTENT = 16
EXTENTS_AT_FIRST = 128
EXTENTS_OF_GROUP = 1000


class Host:
    """A host in a folder that is there."""

    def __init__(self, folder: Path) -> None:
        #: What it finds as /run/dockerstorage.
        self.run = folder / "run"
        self._extents = folder / "extents"
        self._remedies = folder / "remedies"

    def remedied_at(self) -> list[float]:
        """When its pool was extended, seconds since the epoch."""
        found = self._remedies.read_text().split() if self._remedies.exists() else []
        return [float(one) for one in found]

    def output(self, argv: Sequence[str]) -> str:
        """What one of its programs prints, after it has done its work."""
        if argv[0] == "lvextend":
            self._extend(int(argv[argv.index("--size") + 1].strip("+b")))
            return ""
        program = argv[0] + ("-a" if "-a" in argv else "")
        return self._answers()[argv[1] if program == "dmsetup" else program]

    def _extend(self, grow_bytes: int) -> None:
        time.sleep(LVEXTEND_SECONDS)
        self._extents.write_text(str(self._size_extents() + grow_bytes // EXTENT_BYTES))
        with self._remedies.open("a") as file:
            file.write(f"{time.time()}\n")

    def _size_extents(self) -> int:
        return int(self._extents.read_text()) if self._extents.exists() else EXTENTS_AT_FIRST

    def _answers(self) -> dict[str, str]:
        extents = self._size_extents()
        size_bytes, blocks = extents * EXTENT_BYTES, extents * BLOCKS_AN_EXTENT
        sectors, used = size_bytes // 512, blocks * USED_PERCENT // 100
        names = {"vg_name": "vg", "lv_name": "thin", "lv_size": str(size_bytes)}
        pool = {
            **names, "lv_dm_path": f"/dev/mapper/{POOL}", "lv_metadata_size": str(EXTENT_BYTES),
            "chunk_size": "262144", "lv_when_full": "queue", "lv_health_status": "",
            "lv_check_needed": "", "seg_monitor": "monitored", "lv_profile": "",
            "transaction_id": "5", "discards": "passdown", "zero": "", "lv_active": "active",
            "vg_free": str((EXTENTS_OF_GROUP - extents) * EXTENT_BYTES),
            "vg_extent_size": str(EXTENT_BYTES), "vg_missing_pv_count": "0",
        }  # fmt: skip
        return {
            "info": f"{POOL}|254|2|0|0|LVM-pool-tpool|Active|Writeable|Live \n",
            "table": f"0 {sectors} thin-pool 254:0 254:1 512 0 1 skip_block_zeroing \n",
            "status": f"0 {sectors} thin-pool 5 118/1024 {used}/{blocks} - rw "
            "no_discard_passdown queue_if_no_space - 256 \n",
            "lvs": _report("lv", pool),
            "lvs-a": _report("lv", {**names, "segtype": "thin-pool", "lv_role": "private"}),
            "pvs": _report("pv"),
        }


def _report(kind: str, *rows: dict[str, str]) -> str:
    return json.dumps({"report": [{kind: list(rows)}]})
