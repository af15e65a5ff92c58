"""The reactor's sls, as the master's reactor renders it and in parts; and events for it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from typing import Any

import salt.loader
import salt.payload
import salt.utils.reactor

from tests.functional import installs

SLS = installs.ROOT / "salt/formulas/dockerstorage/reactor/remediate.sls"

SEEN = {
    "pool": "docker-8:1-5-pool",
    "state": "critical",
    "previous_state": "warning",
    "level": "critical",
    "data_percent": 83.21,
    "needs_check": False,
    "vg_free_bytes": 4156555264,
    "seconds_to_data_full": None,
    "text": "docker-8:1-5-pool is nearly full; data 83.2 %",
}


def signed(opts: dict[str, Any], **seen: Any) -> dict[str, Any]:
    """The event that a minion's beacon makes of what was seen, as it arrives.

    The beacon's own code; only ``dockerstorage.watch`` is a stand-in.
    """
    opts = {**opts, "beacons_dirs": [str(installs.ROOT / "_beacons")]}
    beacons = salt.loader.beacons(opts, {"dockerstorage.watch": lambda **_: [{**SEEN, **seen}]})
    (event,) = beacons["dockerstorage.beacon"]([{"_beacon_name": "dockerstorage"}])
    assert event.pop("tag") == {**SEEN, **seen}["state"]  # Salt moves it into the tag
    return salt.payload.loads(salt.payload.dumps(event))


def objection(opts: dict[str, Any], event: Any) -> str | None:
    """Why the sls does not believe an event."""
    loader = importlib.machinery.SourceFileLoader("remediate", str(SLS))
    spec = importlib.util.spec_from_file_location("remediate", SLS, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    module.__opts__ = opts
    return module.objection(event)


class Reactor:
    """Salt's own reactor, up to where it would publish a job."""

    def __init__(self, opts: dict[str, Any]) -> None:
        self._reactor = salt.utils.reactor.Reactor(opts)

    def jobs(self, tag: str, event: Any) -> list[dict[str, Any]]:
        """The reactions to an event, as they go to the local client."""
        return self._reactor.reactions(tag, event, [str(SLS)])
