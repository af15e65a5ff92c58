"""
Fill and health of Docker's thin pool
=====================================

Fires an event at each pass while the pool's level is not ``ok``. The tag ends in the level
(``warning``, ``critical``, ``emergency``), or in the health state (``out_of_data_space``,
``read_only``, ``needs_check``, ``failed``) if the pool is not well.

.. code-block:: yaml

    beacons:
      dockerstorage:
        - interval: 60
        - pool: docker-thinpool     # left out: Docker's own

This file imports nothing of the extension: on a minion's first start the beacon loader does not
know the synced library yet.
"""

import logging

import salt.utils.beacons
from salt.exceptions import CommandExecutionError, SaltInvocationError

log = logging.getLogger(__name__)

__virtualname__ = "dockerstorage"


def __virtual__():
    return __virtualname__


def validate(config):
    """Check the configuration; always returns a pair, since raising would stop all beacons."""
    if not isinstance(config, list) or not all(isinstance(part, dict) for part in config):
        return False, "the configuration of the dockerstorage beacon must be a list of mappings"
    pool = _settings(config).get("pool")
    if pool is not None and not (isinstance(pool, str) and pool):
        return False, f"dockerstorage beacon: pool: {pool!r} is no name of a device"
    return True, "valid"


def beacon(config):
    """Look at the pool once; the events of this pass, none if all is well."""
    look = __salt__.get("dockerstorage.pool")
    if look is None:
        log.warning("dockerstorage beacon: the execution module is not loaded (yet)")
        return []
    try:
        pool = look(_settings(config).get("pool"))
    except (CommandExecutionError, SaltInvocationError) as error:
        log.warning("dockerstorage beacon: %s", error)
        return []
    if pool["health"] != "ok":
        return [{"tag": pool["health"], **pool}]
    if pool["level"] != "ok":
        return [{"tag": pool["level"], **pool}]
    return []


def _settings(config):
    config = salt.utils.beacons.remove_hidden_options(config, [])
    return salt.utils.beacons.list_to_dict(config)
