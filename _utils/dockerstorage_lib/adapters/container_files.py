"""Containers on disk, ``<root>/containers/<id>/config.v2.json``, while their engine is stopped."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Unparsable
from . import processes
from .durable import write_file

NAME = "config.v2.json"
#: The engine's own default, ``docker stop``.
STOP_SECONDS = 10


@dataclass(frozen=True)
class ContainerFile:
    """What the engine wrote of a container."""

    id: str
    name: str
    driver: str
    #: Of its first process; 0 if it does not run.
    pid: int
    stop_signal: signal.Signals
    stop_seconds: int
    labels: Mapping[str, str]
    image_id: str
    storage_opt: Mapping[str, str]
    #: Whether the engine removes it as soon as it ends (--rm).
    auto_remove: bool


def read_all(root: str) -> list[ContainerFile]:
    """All containers; raises Unparsable."""
    return [_read(path) for path in sorted(Path(root, "containers").glob(f"*/{NAME}"))]


def _read(path: Path) -> ContainerFile:
    text = path.read_text()
    try:
        found = json.loads(text)
        state, config = found.get("State") or {}, found.get("Config") or {}
        host = _host_config(path.with_name("hostconfig.json"))
        seconds = config.get("StopTimeout")
        return ContainerFile(
            found["ID"],
            str(found.get("Name") or "").lstrip("/"),
            found["Driver"],
            int(state.get("Pid") or 0) if state.get("Running") else 0,
            _signal(str(config.get("StopSignal") or "TERM")),
            STOP_SECONDS if seconds is None else int(seconds),
            config.get("Labels") or {},
            str(found.get("Image") or ""),
            host.get("StorageOpt") or {},
            bool(host.get("AutoRemove")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unparsable(str(path), text[:200]) from None


def _host_config(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return found


def _signal(text: str) -> signal.Signals:
    if text.isdigit():
        return signal.Signals(int(text))
    return signal.Signals["SIG" + text.upper().removeprefix("SIG")]


def set_driver(root: str, container_id: str, driver: str) -> None:
    """Change a container's storage driver and nothing else of its file; raises Unparsable.

    The engine passes over containers of another driver than its own.
    """
    path = Path(root, "containers", container_id, NAME)
    text = path.read_text()
    try:
        wanted = {**json.loads(text), "Driver": driver}
        old = json.loads(text)["Driver"]
    except (ValueError, KeyError, TypeError):
        raise Unparsable(str(path), text[:200]) from None
    if old == driver:
        return
    new = _replaced(text, wanted, old)
    write_file(path, new.encode(), path.stat().st_mode & 0o777)


def _replaced(text: str, wanted: dict[str, Any], old: str) -> str:
    """The text with another driver: as the engine wrote it, if there is only one such place."""
    pair = '"Driver":{}'
    new = text.replace(pair.format(json.dumps(old)), pair.format(json.dumps(wanted["Driver"])), 1)
    return new if json.loads(new) == wanted else json.dumps(wanted)


def end_survivors(root: str) -> list[str]:
    """End containers that outlived their daemon (live-restore), as it would; their names.

    Each by its own signal, and killed when its time is over.
    """
    left = [(one, found) for one in read_all(root) if (found := _process(one)) is not None]
    for one, found in left:
        processes.end([found], one.stop_signal, 0)
    for one, found in left:
        if processes.wait([found], one.stop_seconds):
            processes.end([found], signal.SIGKILL, STOP_SECONDS)
    return [one.name for one, _ in left]


def _process(one: ContainerFile) -> processes.Process | None:
    """The first process of a container, if that number is still its own."""
    if not one.pid:
        return None
    try:
        groups = (processes.PROC / str(one.pid) / "cgroup").read_text()
    except OSError:
        return None
    return processes.find(one.pid) if one.id in groups else None
