"""
Change many Docker hosts, a few at a time
=========================================

For the master: a rolling migration (``migrated``) and a rolling prune (``pruned``) in an
orchestration, with a canary, batches, hooks, a look at each host's health, and a record from which
an interrupted run goes on. ``dockerstorage.orch.migrate`` and ``dockerstorage.orch.prune`` call
them with what pillar says.
"""

import logging
import time
from pathlib import Path

import salt.utils.minions
from salt.exceptions import SaltException

try:
    from dockerstorage_lib import errors, rolling_fleet, rolling_job

    IMPORT_ERROR = None
except ImportError as error:
    IMPORT_ERROR = str(error)

log = logging.getLogger(__name__)

__virtualname__ = "dockerstorage_rolling"


def __virtual__():
    if __opts__.get("__role") != "master":
        return False, "it is for orchestrations: salt-run state.orchestrate, on the master"
    if IMPORT_ERROR:
        return False, f"{IMPORT_ERROR}: run 'salt-run saltutil.sync_all' on the master"
    return __virtualname__


def migrated(name, settings=None):
    """
    Make sure that hosts run on a storage driver, moving them one batch after the other.

    Every host is looked at first, and nothing is begun if anything stands in the way of any of
    them. Then, batch by batch: drain, ``dockerstorage.migrate``, ``dockerstorage.health`` until
    the host serves and all containers run that ran before, check, undrain. The first failure
    stops it: no other host is begun. The old stores are left: ``dockerstorage.commit`` is yours.

    name
        Any text.
    settings
        What pillar has under ``dockerstorage:rolling``; see ``docs/orchestration.md``.

    .. code-block:: yaml

        rolling-migration:
          dockerstorage_rolling.migrated:
            - settings:
                tgt: 'db*'
                migrate: {driver: overlay2}
                canary: db1
                batch: 25%
                drain: {sls: lb.drain, tgt: 'lb*'}
                undrain: {sls: lb.undrain, tgt: 'lb*'}
    """
    return _rolled(name, "migrate", settings)


def pruned(name, settings=None):
    """
    Make sure that nothing unneeded lies on hosts, pruning them one batch after the other.

    name
        Any text.
    settings
        What pillar has under ``dockerstorage:rolling``; see ``docs/orchestration.md``.

    .. code-block:: yaml

        rolling-prune:
          dockerstorage_rolling.pruned:
            - settings:
                tgt: 'role:docker'
                tgt_type: grain
                prune: {min_age: 7d}
                batch: 10
    """
    return _rolled(name, "prune", settings)


def _rolled(name, action, settings):
    folder = Path(__opts__["cachedir"]) / "dockerstorage" / "rolling"
    ret = {"name": name, "result": False, "comment": "", "changes": {}}
    try:
        if __opts__["test"]:
            found = rolling_job.plan(action, settings, folder, _Fleet, time.time())
        else:
            found = rolling_job.run(action, settings, folder, _Fleet, time.time(), log.info)
    except (errors.DockerstorageError, SaltException) as error:
        return ret | {"comment": str(error)}
    ret["comment"] = "\n".join(found["summary"])
    if found["outcome"] == "planned":
        open_ = {one["minion"]: one["preview"] or one["result"] for one in found["hosts"]}
        return ret | {"result": None if open_ else True, "changes": open_}
    hosts = {one["minion"]: one for one in found["hosts"]}
    ret["changes"] = {minion: hosts[minion] for minion in found["changed"]}
    return ret | {"result": found["outcome"] == "done"}


class _Fleet:
    """The master's minions, through Salt's local client.

    It waits as long as a minion says that it is at it; ``timeout_seconds`` is how often it asks.
    """

    def __init__(self, timeout_seconds):
        self.timeout_seconds = timeout_seconds

    def match(self, tgt, tgt_type):
        """Ids of the minions with an accepted key that a target names."""
        tgt = tgt if isinstance(tgt, str) else list(tgt)
        found = salt.utils.minions.CkMinions(__opts__).check_minions(tgt, tgt_type)
        return list(found["minions"])

    def ask(self, minions, function, arguments=(), **named):
        """What each of them returns."""
        raw = __salt__["saltutil.cmd"](
            list(minions),
            function,
            arg=list(arguments),
            kwarg=named,
            tgt_type="list",
            timeout=self.timeout_seconds,
        )
        return rolling_fleet.read_answers(minions, raw)
