"""A process that holds simulated minions: their keys, connections, events and answers.

    python -m tests.functional.storm.fleet <plan.json>

Real for each minion: its id and accepted key, its authentication, a connection of its own to the
master's request port with Salt's own channel and encryption, the beacon's own code that makes and
signs its events, and the remedy's decision (simjob.py). Simulated: the process, the kernel and the
disks of a minion. One connection to the publish port serves all: it hands each job to the minion
that is named as its target. Some key pairs serve many minions, since one takes a tenth of a second
to make; and a private key is not checked each time it is read, which takes as long.

Commands come as lines of JSON on standard input, one at a time; counts go to standard output.
"""

from __future__ import annotations

import functools
import itertools
import json
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import salt.channel.client
import salt.config
from cryptography.hazmat.primitives import serialization

try:
    from salt.ext.tornado import concurrent, gen, ioloop, locks
except ImportError:
    from tornado import concurrent, gen, ioloop, locks

from tests.functional import installs, reactions
from tests.functional.storm import simhost, simjob

#: Minions that authenticate at the same time.
AUTHENTICATING = 50
HOST_PROCESSES = 8
#: A master that is slow is waited for; one that loses a request is not asked again.
PATIENCE_SECONDS = 900
#: Events of a forger.
FORGERIES = 6

_beacon: Any = simjob.load(installs.ROOT / "_beacons/dockerstorage.py")


def event_of(minion: str, pki: str, **seen: Any) -> dict[str, Any]:
    """What the beacon's own code makes of what was seen, and signs with a key."""
    _beacon.__opts__ = {"id": minion, "pki_dir": pki}
    what = {**reactions.SEEN, "pool": simhost.POOL, **seen}
    _beacon.__salt__ = {"dockerstorage.watch": lambda **_: [what]}
    (event,) = _beacon.beacon([{"_beacon_name": "dockerstorage"}])
    return event


class Minion:
    """One simulated minion."""

    def __init__(self, opts: dict[str, Any], folder: Path) -> None:
        self.opts = opts
        self.id: str = opts["id"]
        self.folder = str(folder)
        self.channel: Any = None

    async def connect(self) -> None:
        """Authenticate, and keep the connection."""
        self.channel = salt.channel.client.AsyncReqChannel.factory(self.opts)
        # A first event makes the connection that the storm goes through.
        await self.fire([("dockerstorage/storm/hello", {})])

    async def fire(self, events: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Send events as a minion sends those of its beacons."""
        listed = [{"tag": tag, "data": data} for tag, data in events]
        await self._send({"cmd": "_minion_event", "pretag": None, "events": listed})

    async def answer(self, job: dict[str, Any], found: dict[str, Any]) -> None:
        """Send the result of a job."""
        await self._send(
            {
                "cmd": "_return", "jid": job["jid"], "fun": job["fun"], "fun_args": job["arg"],
                "retcode": 0 if found["success"] else 1, "success": found["success"],
                "return": found["return"],
            }
        )  # fmt: skip

    async def _send(self, load: dict[str, Any]) -> None:
        load["id"] = self.id
        await self.channel.send(load, tries=1, timeout=PATIENCE_SECONDS)

    def event(self, beacon: str, state: str, **seen: Any) -> tuple[str, dict[str, Any]]:
        """A signed event with its tag."""
        data = event_of(self.id, self.opts["pki_dir"], state=state, **seen)
        return f"salt/beacon/{self.id}/{beacon}/{data.pop('tag')}", data

    def forged(self, beacon: str, victim: Minion) -> Iterator[tuple[str, dict[str, Any]]]:
        """Events that nobody may believe: FORGERIES of them; victim has another key.

        Unsigned, changed, in the victim's name, so and signed, old, and with an odd pool.
        """
        tag, good = self.event(beacon, "emergency")
        _, odd = self.event(beacon, "emergency", pool="$(reboot)")
        theirs = f"salt/beacon/{victim.id}/{beacon}/emergency"
        foreign = event_of(victim.id, self.opts["pki_dir"], state="emergency")
        clock, _beacon.time = _beacon.time, SimpleNamespace(time=lambda: time.time() - 3600)
        old = event_of(self.id, self.opts["pki_dir"], state="emergency")
        _beacon.time = clock
        yield tag, {key: value for key, value in good.items() if key != "signature"}
        yield tag, {**good, "pool": "other"}
        yield theirs, {**good, "id": victim.id}
        yield theirs, {key: value for key, value in foreign.items() if key != "tag"}
        yield tag, {key: value for key, value in old.items() if key != "tag"}
        yield tag, odd


class Fleet:
    """All simulated minions, their one subscription, and what happens to them."""

    def __init__(self, plan: dict[str, Any], hosts: ProcessPoolExecutor) -> None:
        base = salt.config.apply_minion_config(plan["minion"])
        self.counts: Counter[str] = Counter()
        self.times = {"fired": 0.0, "answered": 0.0}
        self._hosts = hosts
        self._base = base
        self._minions = {
            one["id"]: Minion(
                {**base, "id": one["id"], "pki_dir": one["pki_dir"]}, Path(one["folder"])
            )
            for one in plan["minions"]
        }

    async def connect(self) -> None:
        """Authenticate all, some at a time, and subscribe."""
        first = next(iter(self._minions.values()))
        self._channel = salt.channel.client.AsyncPubChannel.factory(first.opts)
        await self._channel.connect()
        self._channel.on_recv(self._published)
        room = locks.Semaphore(AUTHENTICATING)

        async def one(minion: Minion) -> None:
            async with room:
                await minion.connect()
                self.counts["connected"] += 1

        await gen.multi([one(minion) for minion in self._minions.values()])

    async def fire(
        self, beacon: str, volleys: list[list[str]], forgers: int = 0, minions: int | None = None
    ) -> None:
        """The events of all minions, or of the first ones, at once; the forgers' among them.

        volleys: states that a minion tells of; the minions take turns at them. A state twice is
        the same event twice. Each event is a request of its own. Ends when the master has all.
        """
        firing = list(self._minions.values())[:minions]
        sent = []
        for number, minion in enumerate(firing):
            states = volleys[number % len(volleys)]
            signed = {state: minion.event(beacon, state) for state in set(states)}
            events = [signed[state] for state in states]
            if number < forgers:
                events += minion.forged(beacon, victim=firing[(number + 1) % len(firing)])
            sent += [self._fire(minion, event) for event in events]
        self.counts["fired"] += len(sent)
        self.times["fired"] = time.time()
        await gen.multi(sent)

    async def _fire(self, minion: Minion, event: tuple[str, dict[str, Any]]) -> None:
        await minion.fire([event])
        self.counts["taken"] += 1

    def _published(self, payload: dict[str, Any]) -> Any:
        """Every publication of the master comes here."""
        job = payload["load"]
        self.counts["published"] += 1
        named = job["tgt"] if job["tgt_type"] == "list" else []
        for name in named:
            if name in self._minions:
                ioloop.IOLoop.current().spawn_callback(self._work, self._minions[name], job)
        if len(named) != 1 or named[0] not in self._minions:
            self.counts["for nobody alone"] += 1
        nothing = concurrent.Future()
        nothing.set_result(None)
        return nothing  # which 3008 awaits

    async def _work(self, minion: Minion, job: dict[str, Any]) -> None:
        if job["fun"] == "test.ping":
            await minion.answer(job, {"return": True, "success": True})
            self.counts["pinged"] += 1
            return
        if job["fun"] != "dockerstorage.remediate":
            self.counts["other functions"] += 1
            return
        found = await self._in_a_process(minion, job)
        for event in found.pop("events"):
            await minion.fire([event])
        await minion.answer(job, found)
        self.counts[kind_of(found["return"])] += 1
        self.counts["answered"] += 1
        self.times["answered"] = time.time()

    def _in_a_process(self, minion: Minion, job: dict[str, Any]) -> Any:
        loop, future = ioloop.IOLoop.current(), concurrent.Future()
        work = self._hosts.submit(
            simjob.execute, minion.folder, minion.id, job["jid"], job["arg"]
        )
        work.add_done_callback(lambda done: loop.add_callback(_resolve, future, done))
        return future


def _resolve(future: Any, done: Any) -> None:
    error = done.exception()
    if error is None:
        future.set_result(done.result())
    else:
        future.set_exception(error)


def kind_of(answer: Any) -> str:
    """What became of a job, in a word."""
    if isinstance(answer, str):
        return "locked" if "remediate is already running" in answer else f"failed: {answer}"
    if answer["done"]:
        return "remedied"
    return "cooling down" if "the last remedy was less than" in answer["decision"] else "else"


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def serve(fleet: Fleet) -> None:
    """Carry out commands until there are no more."""
    loop, lines = ioloop.IOLoop.current(), locks.Condition()
    waiting: list[str] = []

    def read() -> None:
        for line in itertools.chain(sys.stdin, [""]):
            waiting.append(line)
            loop.add_callback(lines.notify)

    threading.Thread(target=read, daemon=True).start()
    ioloop.PeriodicCallback(
        lambda: tell(counts=fleet.counts, times=fleet.times), 500
    ).start()
    while True:
        while not waiting:
            await lines.wait()
        line = waiting.pop(0)
        if not line:
            return
        command = json.loads(line)
        await getattr(fleet, command.pop("do"))(**command)
        tell(counts=fleet.counts, times=fleet.times, done=True)


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    serialization.load_pem_private_key = functools.partial(
        serialization.load_pem_private_key, unsafe_skip_rsa_key_validation=True
    )
    plan = json.loads(Path(sys.argv[1]).read_text())
    # Forked, and all at once, while there are neither threads nor connections.
    with ProcessPoolExecutor(HOST_PROCESSES, get_context("fork"), simjob.enter) as hosts:
        hosts.submit(simjob.entered).result()
        loop = ioloop.IOLoop.current()
        loop.run_sync(lambda: serve(Fleet(plan, hosts)))


if __name__ == "__main__":
    main()
