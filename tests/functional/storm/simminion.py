"""One simulated minion, as its master sees it: id, key, connection, events and answers.

Real: the key that the master has accepted, authentication with it, a connection of its own through
Salt's channel and encryption, and the beacon's own code that makes and signs the events.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import salt.channel.client

from tests.functional import installs, reactions
from tests.functional.storm import simhost
from tests.functional.storm.simjob import load

#: A master that is slow is waited for. A request that is lost is not sent again.
PATIENCE_SECONDS = 900
#: Events of a forger.
FORGERIES = 6

Event = tuple[str, dict[str, Any]]

_beacon: Any = load(installs.ROOT / "_beacons/dockerstorage.py")


class Minion:
    """A minion that has met this master before."""

    def __init__(self, opts: Mapping[str, Any], folder: str) -> None:
        self.opts = dict(opts)
        self.id: str = opts["id"]
        #: Of its host, see simhost.py.
        self.folder = folder
        self._channel: Any = None

    async def connect(self) -> None:
        """Authenticate, and keep a connection."""
        self._channel = salt.channel.client.AsyncReqChannel.factory(self.opts)
        await self._channel.auth.authenticate()
        await self._channel.connect()

    async def fire(self, tag: str, data: Mapping[str, Any]) -> None:
        """Send an event as a minion sends those of its beacons; ends when the master has it."""
        events = [{"tag": tag, "data": data}]
        await self._send({"cmd": "_minion_event", "pretag": None, "events": events})

    async def answer(self, job: Mapping[str, Any], success: bool, result: Any) -> None:
        """Send the result of a job."""
        told = {"return": result, "success": success, "retcode": 0 if success else 1}
        named = {"jid": job["jid"], "fun": job["fun"], "fun_args": job["arg"]}
        await self._send({"cmd": "_return", **named, **told})

    async def _send(self, load: dict[str, Any]) -> None:
        load["id"] = self.id
        await self._channel.send(load, tries=1, timeout=PATIENCE_SECONDS)

    def event(self, beacon: str, state: str) -> Event:
        """What its beacon tells of a state, signed."""
        return self._tag(beacon), self._signed(state=state)

    def forgeries(self, beacon: str, victim: Minion) -> Iterator[Event]:
        """Events that nobody may believe, FORGERIES of them; victim has another key."""
        good = self._signed(state="emergency")
        own, theirs = self._tag(beacon), victim._tag(beacon)
        yield own, {key: value for key, value in good.items() if key != "signature"}
        yield own, {**good, "pool": "other"}
        yield own, self._signed(state="emergency", pool="$(reboot)")
        yield own, self._signed_at(time.time() - 3600)
        yield theirs, {**good, "id": victim.id}
        yield theirs, self._signed(victim.id, state="emergency")

    def _tag(self, beacon: str) -> str:
        return f"salt/beacon/{self.id}/{beacon}/storm"

    def _signed(self, name: str | None = None, **seen: Any) -> dict[str, Any]:
        _beacon.__opts__ = {"id": name or self.id, "pki_dir": self.opts["pki_dir"]}
        what = {**reactions.SEEN, "pool": simhost.POOL, **seen}
        _beacon.__salt__ = {"dockerstorage.watch": lambda **_: [what]}
        (event,) = _beacon.beacon([{"_beacon_name": "dockerstorage"}])
        del event["tag"]  # Salt moves it into the tag
        return event

    def _signed_at(self, seconds: float) -> dict[str, Any]:
        clock, _beacon.time = _beacon.time, SimpleNamespace(time=lambda: seconds)
        event = self._signed(state="emergency")
        _beacon.time = clock
        return event
