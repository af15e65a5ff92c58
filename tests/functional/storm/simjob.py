"""A minion's process for a job, in a process that can be any simulated host, one after the other.

Real: ``dockerstorage.remediate`` with all of the library below it, its lock and its record of the
last remedy, which are files of the host. Simulated: the host's programs, see simhost.py, and an
engine that does not answer.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError, SaltInvocationError

from dockerstorage_lib import lock
from dockerstorage_lib.adapters import engine, shell
from dockerstorage_lib.errors import EngineUnreachable
from tests.functional import installs
from tests.functional.storm.simhost import Host

#: Longer than any storm lasts.
COOLDOWN = "1h"
NEW_NAMESPACE, PRIVATE_BELOW = 0x00020000, 0x00040000 | 0x4000


def load(path: Path) -> Any:
    """One of Salt's loader files as a module; the caller gives it what the loader would."""
    name = f"storm{path.parent.name}_{path.stem}"
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


_door: Any = load(installs.ROOT / "_modules/dockerstorage.py")
_door.__pillar__ = {"dockerstorage": {"remediate": {"cooldown": COOLDOWN}}}


def enter() -> None:
    """Give this process a /run of its own, so that nothing of this machine's is touched.

    Needs root, as mount namespaces do.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for done in (
        libc.unshare(NEW_NAMESPACE),
        libc.mount(b"none", b"/", None, PRIVATE_BELOW, None),
        libc.mount(b"tmpfs", b"/run", b"tmpfs", 0, None),
    ):
        if done != 0:
            raise OSError(ctypes.get_errno(), "no mount namespace for a simulated host")


def entered() -> int:
    """For a first call, which returns when the processes are there."""
    return os.getpid()


def execute(folder: str, minion: str, jid: str, arguments: Sequence[Any]) -> dict[str, Any]:
    """What a job of ``dockerstorage.remediate`` comes to on a host.

    Returns ``return`` and ``success`` as the minion sends them, and ``events`` as (tag, data).
    """
    host = Host(Path(folder))
    lock.FOLDER.unlink(missing_ok=True)
    lock.FOLDER.symlink_to(host.run)
    events: list[tuple[str, dict[str, Any]]] = []
    shell.run = lambda argv, *_, **__: _completed(argv, host.output(argv))
    engine.Engine = _silent
    _door.__opts__ = {"id": minion, "file_client": "remote"}
    _door.__salt__ = {"event.send": lambda tag, data: events.append((tag, data))}
    named = {k: v for one in arguments for k, v in one.items() if k != "__kwarg__"}
    try:
        found, success = _door.remediate(**named, __pub_jid=jid), True
    except (CommandExecutionError, SaltInvocationError) as error:
        found, success = f"ERROR: {error}", False
    return {"return": found, "success": success, "events": events}


def _completed(argv: Sequence[str], text: str) -> shell.Completed:
    return shell.Completed(tuple(argv), 0, text, "")


def _silent(*_: Any) -> engine.Engine:
    raise EngineUnreachable("simulated: no engine answers")
