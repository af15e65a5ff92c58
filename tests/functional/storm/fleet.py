"""A process that holds simulated minions.

    python -m tests.functional.storm.fleet <plan.json>

Real for each minion: its id and its accepted key, its authentication, a connection of its own to
the master's request port, its events (simminion.py) and the decision about a remedy (simjob.py).
Simulated: the process, the kernel and the disks of a minion. One connection to the publish port
serves all: it hands each job to the minion that is named as its target. Some key pairs serve many
minions, since one takes a tenth of a second to make; and a private key is not checked each time it
is read, which takes as long.

Commands come as lines of JSON on standard input, one at a time; counts go to standard output.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import os
import resource
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import salt.channel.client
import salt.config
import salt.transport.zeromq
from cryptography.hazmat.primitives import serialization

try:
    from salt.ext.tornado import concurrent, gen, ioloop, locks
except ImportError:
    from tornado import concurrent, gen, ioloop, locks

from tests.functional.storm import simjob
from tests.functional.storm.simminion import Event, Minion

#: Minions that authenticate at the same time.
AUTHENTICATING = 50
HOST_PROCESSES = 8
REMEDIATE = "dockerstorage.remediate"


class Fleet:
    """All simulated minions, their one subscription, and what happens to them."""

    def __init__(self, plan: dict[str, Any], hosts: ProcessPoolExecutor) -> None:
        self.counts: Counter[str] = Counter()
        self.times = {"fired": 0.0, "answered": 0.0}
        self._hosts = hosts
        base = salt.config.apply_minion_config(plan["minion"])
        self._minions = {
            one["id"]: Minion({**base, "id": one["id"], "pki_dir": one["keys"]}, one["host"])
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
                events += minion.forgeries(beacon, victim=firing[(number + 1) % len(firing)])
            sent += [self._fire(minion, event) for event in events]
        self.counts["fired"] += len(sent)
        self.times["fired"] = time.time()
        await gen.multi(sent)

    async def _fire(self, minion: Minion, event: Event) -> None:
        await minion.fire(*event)
        self.counts["taken"] += 1

    def _published(self, payload: dict[str, Any]) -> Any:
        """Every publication of the master comes here."""
        job = payload["load"]
        named = job["tgt"] if job["tgt_type"] == "list" else []
        known = [self._minions[name] for name in named if name in self._minions]
        if len(known) != 1 or len(named) != 1:
            self.counts["jobs for others"] += 1
        for minion in known:
            ioloop.IOLoop.current().spawn_callback(self._work, minion, job)
        nothing = concurrent.Future()
        nothing.set_result(None)
        return nothing  # Salt 3008 awaits it

    async def _work(self, minion: Minion, job: dict[str, Any]) -> None:
        if job["fun"] == REMEDIATE:
            found = await self._in_a_process(minion, job)
            for event in found["events"]:
                await minion.fire(*event)
            await minion.answer(job, found["success"], found["return"])
            self.counts[kind_of(found["return"])] += 1
        else:
            await minion.answer(job, True, True)
        self.counts[job["fun"]] += 1
        self.times["answered"] = time.time()

    def _in_a_process(self, minion: Minion, job: dict[str, Any]) -> Any:
        loop, future = ioloop.IOLoop.current(), concurrent.Future()
        work = self._hosts.submit(simjob.execute, minion.folder, minion.id, job["jid"], job["arg"])
        work.add_done_callback(lambda done: loop.add_callback(_resolve, future, done))
        return future


def _resolve(future: Any, done: Any) -> None:
    error = done.exception()
    if error is None:
        future.set_result(done.result())
    else:
        future.set_exception(error)


def kind_of(answer: Any) -> str:
    """What became of a job, in a word or two."""
    if isinstance(answer, str):
        return f"failed: {answer}"
    if answer["done"]:
        return "remedied"
    cooling = "the last remedy was less than" in answer["decision"]
    return "cooling down" if cooling else f"undone: {answer['decision']}"


async def serve(fleet: Fleet) -> None:
    """Carry out commands until there are no more."""
    loop, news = ioloop.IOLoop.current(), locks.Condition()
    lines: list[str] = []

    def read() -> None:
        for line in itertools.chain(sys.stdin, [""]):
            lines.append(line)
            loop.add_callback(news.notify)

    threading.Thread(target=read, daemon=True).start()
    ioloop.PeriodicCallback(lambda: _tell(fleet), 500).start()
    while True:
        while not lines:
            await news.wait()
        line = lines.pop(0)
        if not line:
            return
        command = json.loads(line)
        await getattr(fleet, command.pop("do"))(**command)
        _tell(fleet, done=True)


def _tell(fleet: Fleet, done: bool = False) -> None:
    print(json.dumps({"counts": fleet.counts, "times": fleet.times, "done": done}), flush=True)


def _afford_many() -> None:
    """Let one process be a thousand minions: what costs each of them little adds up."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    serialization.load_pem_private_key = functools.partial(
        serialization.load_pem_private_key, unsafe_skip_rsa_key_validation=True
    )
    if hasattr(salt.transport.zeromq, "asyncio"):
        patient = SimpleNamespace(**{**vars(asyncio), "wait_for": _wait_for})
        salt.transport.zeromq.asyncio = patient


def _wait_for(what: Any, seconds: float | None) -> Any:
    # In Salt 3008 an idle connection looks every 0.3 s whether it is still wanted.
    return asyncio.wait_for(what, None if seconds == 0.3 else seconds)


def main() -> None:
    _afford_many()
    plan = json.loads(Path(sys.argv[1]).read_text())
    # Forked, and all at once, while there are neither threads nor connections.
    with ProcessPoolExecutor(HOST_PROCESSES, get_context("fork"), simjob.enter) as hosts:
        hosts.submit(simjob.entered).result()
        ioloop.IOLoop.current().run_sync(lambda: serve(Fleet(plan, hosts)))
    # The kernel closes a thousand connections sooner.
    os._exit(0)


if __name__ == "__main__":
    main()
