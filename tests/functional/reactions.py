"""The reactor's sls, as the master's reactor renders it and in parts."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from typing import Any

import salt.utils.reactor

from tests.functional import installs

SLS = installs.ROOT / "salt/formulas/dockerstorage/reactor/remediate.sls"


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
