"""A fleet in memory: hosts that can be drained, migrated and pruned, fail, fall silent, and die.

It answers what a rolling change asks minions, as Salt's client gives it to ``read_answers``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dockerstorage_lib.rolling_fleet import Answer, read_answers


class Killed(BaseException):
    """The master's process died. No ``except Exception`` sees it."""


@dataclass
class Host:
    driver: str = "devicemapper"
    running: tuple[str, ...] = ("web",)
    starting: tuple[str, ...] = ()
    drained: bool = False
    migrations: int = 0
    prunes: int = 0
    half_way: bool = False
    silent: bool = False
    #: Kind and text of what is wrong.
    problem: tuple[str, str] | None = None
    obstacle: str | None = None
    #: Why the next act fails, with the host as it was.
    fails: str | None = None
    #: Of one answer: it does the act, and nothing comes back.
    loses_answer: bool = False
    #: How many more looks find it at work.
    busy: int = 0


@dataclass
class Fleet:
    hosts: dict[str, Host]
    #: What was asked, but for looks.
    acts: list[tuple[str, str]] = field(default_factory=list)
    #: After so many calls the master dies: before an act has begun, or with it half done.
    dies_at: int | None = None
    broken_sls: dict[str, str] = field(default_factory=dict)
    #: (sls, minion that it is about) that fails when it is applied.
    failing: set[tuple[str, str]] = field(default_factory=set)
    calls: int = 0

    def match(self, tgt: str | Sequence[str], tgt_type: str) -> list[str]:
        if tgt_type == "list":
            return [one for one in self.hosts if one in tgt]
        return fnmatch.filter(self.hosts, str(tgt))

    def ask(
        self, minions: Sequence[str], function: str, arguments: Sequence[Any] = (), **named: Any
    ) -> dict[str, Answer]:
        self._age()
        method = getattr(self, "_" + function.rpartition(".")[2])
        raw = {}
        for minion in minions:
            host = self.hosts[minion]
            if host.silent:
                continue
            value = method(minion, host, *arguments, **named)
            if value is not None:
                error = isinstance(value, str)
                raw[minion] = {"ret": value, "retcode": 1 if error else 0}
        self._age()
        return read_answers(minions, raw)

    def _age(self) -> None:
        self.calls += 1
        if self.calls == self.dies_at:
            raise Killed

    def _is_running(self, minion: str, host: Host, pattern: str) -> list[dict[str, str]]:
        host.busy -= host.busy > 0
        return [{"fun": "dockerstorage.prune"}] if host.busy else []

    def _health(
        self, minion: str, host: Host, expected: Sequence[str] = (), wait: str = ""
    ) -> dict[str, Any]:
        gone = [name for name in expected if name not in host.running]
        problems = [(host.problem)] if host.problem else []
        problems += [("container", f"the container {name} should run") for name in gone]
        if host.half_way:
            problems.append(("migration", "a migration is half-way"))
        at = None
        if host.migrations or host.half_way:
            at = {
                "outcome": None if host.half_way else "switched",
                "from": "devicemapper",
                "to": "overlay2",
                "downtime_seconds": 3.5,
            }
        return {
            "healthy": not problems,
            "problems": [text for _, text in problems],
            "kinds": sorted({kind for kind, _ in problems}),
            "driver": host.driver,
            "running": list(host.running),
            "starting": list(host.starting),
            "migration": at,
            "jobs": [],
        }

    def _migrate(
        self,
        minion: str,
        host: Host,
        driver: str | None = None,
        resume: bool = False,
        test: bool = False,
    ) -> Any:
        if test:
            return {
                "obstacles": [host.obstacle] if host.obstacle else [],
                "from": host.driver,
                "to": driver,
                "method": "graft",
                "layer_bytes": 1,
                "container_bytes": 1,
                "estimated_downtime_seconds": 4,
            }
        assert host.drained, f"{minion} is in service"
        assert host.driver != "overlay2", f"{minion} is migrated twice"
        assert resume == host.half_way, f"{minion}: another migration is not over"
        self.acts.append((minion, "migrate"))
        if host.fails:
            why, host.fails = host.fails, None
            return f"ERROR: {why}"
        host.half_way = True
        self._age()
        host.half_way, host.driver = False, "overlay2"
        host.migrations += 1
        if host.loses_answer:
            return None
        found = {"outcome": "switched", "failure": None}
        return {**found, "from": "devicemapper", "downtime_seconds": 3.5}

    def _prune(self, minion: str, host: Host, test: bool = False, **_: Any) -> Any:
        if not test:
            self.acts.append((minion, "prune"))
            host.prunes += 1
        return {
            "plan": {"remove": [1, 2]},
            "bytes_predicted": 100,
            "removed": [1, 2],
            "skipped": [],
            "bytes_freed": 100,
        }

    def _show_sls(self, minion: str, host: Host, sls: Sequence[str], **_: Any) -> Any:
        wrong = [self.broken_sls[name] for name in sls if name in self.broken_sls]
        return wrong or {"a": {}}

    def _sls(
        self, minion: str, host: Host, sls: Sequence[str], pillar: dict[str, Any], **_: Any
    ) -> Any:
        about = pillar["dockerstorage"]["rolling"]["minion"]
        self.acts.append((about, sls[0]))
        if (sls[0], about) in self.failing:
            return {"test_|-a_|-a_|-nop": {"result": False, "comment": "the balancer is away"}}
        if sls[0] in ("drain", "undrain"):
            self.hosts[about].drained = sls[0] == "drain"
        return {"test_|-a_|-a_|-nop": {"result": True, "comment": ""}}
