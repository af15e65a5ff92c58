"""
Fill and health of thin pools
=============================

Fires an event when a pool's state changes, when the kernel signals something between two states,
and again at an interval while the state is not ``ok``; never for a pool that stays well. The tag
ends in the state: ``ok``, ``warning``, ``critical``, ``emergency``, ``out_of_data_space``,
``read_only``, ``needs_check``, ``failed``, ``unresponsive``, ``gone``.

.. code-block:: yaml

    beacons:
      dockerstorage:
        - interval: 30
        # all that follows may be left out
        - pools: [docker-thinpool]    # as in /dev/mapper; left out: every thin pool of the host
        - levels: {warning: 70, critical: 80, emergency: 90}
        - hysteresis: 5               # percentage points
        - realert: 15m
        - timeout: 3                  # seconds to wait for the kernel

The event holds what ``dockerstorage.watch`` returns, the minion's ``id``, and, where there is a
master, ``signed_at`` and ``signature``: a master fires whatever ``id`` a minion claims, so the
reactor of this project believes only what the key of that minion has signed.

This file imports nothing of the extension: on a minion's first start the beacon loader does not
know the synced library yet.
"""

import base64
import json
import logging
import os
import time

import salt.crypt
import salt.utils.beacons
from salt.exceptions import CommandExecutionError, SaltInvocationError

log = logging.getLogger(__name__)

__virtualname__ = "dockerstorage"

KEYS = ("pools", "levels", "hysteresis", "realert", "timeout")
#: Keys that Salt reads, or adds, itself.
SALTS_KEYS = ("interval", "enabled", "disable_during_state_run", "beacon_module", "run_once")

# The reactor's sls has the same two.
ALGORITHM = "PKCS1v15-SHA224"
PREFIX = "dockerstorage beacon 1\n"

#: The trouble that was logged last: it is told once, not at each pass.
_trouble = None


def __virtual__():
    return __virtualname__


def validate(config):
    """Check the configuration; always returns a pair, since raising would stop all beacons."""
    if not isinstance(config, list) or not all(isinstance(part, dict) for part in config):
        return False, "the configuration of the dockerstorage beacon must be a list of mappings"
    settings = _settings(config)
    for key in settings:
        if key not in KEYS:
            return False, (
                f"dockerstorage beacon: unknown key {key!r}; allowed are {', '.join(KEYS)}, and "
                f"Salt's own {', '.join(SALTS_KEYS)}"
            )
    try:
        if "dockerstorage.watch" in __salt__:
            __salt__["dockerstorage.watch"](test=True, **settings)
    except Exception as error:
        return False, f"dockerstorage beacon: {error}"
    return True, "valid"


def beacon(config):
    """Look at the pools once; the events of this pass, none if there is nothing to tell."""
    if "dockerstorage.watch" not in __salt__:
        _tell("the execution module is not loaded (yet)")
        return []
    try:
        events = __salt__["dockerstorage.watch"](memory=_name(config), **_settings(config))
    except (CommandExecutionError, SaltInvocationError) as error:
        _tell(str(error))
        return []
    except Exception:
        if _tell("the look failed"):
            log.exception("dockerstorage beacon")
        return []
    _tell(None)
    return [{"tag": event["state"], **_signed(event)} for event in events]


def _settings(config):
    found = salt.utils.beacons.list_to_dict(config)
    return {key: found[key] for key in found if key not in SALTS_KEYS and key != "_beacon_name"}


def _name(config):
    """The beacon's name in the configuration: with ``beacon_module`` there may be several."""
    return str(salt.utils.beacons.list_to_dict(config).get("_beacon_name", __virtualname__))


def _tell(trouble):
    """Log what is wrong if it was not the last time; whether it was logged."""
    global _trouble
    if trouble == _trouble:
        return False
    if trouble is None:
        log.info("dockerstorage beacon: works again")
    else:
        log.warning("dockerstorage beacon: %s", trouble)
    _trouble = trouble
    return True


def _signed(event):
    """The event with the minion's id and the signature of its key, if it has one."""
    data = {**event, "id": __opts__["id"], "signed_at": int(time.time())}
    key = os.path.join(__opts__["pki_dir"], "minion.pem")  # noqa: PTH118
    if not os.path.isfile(key):  # noqa: PTH113
        return data  # no master has accepted this minion: nobody could verify it
    text = PREFIX + json.dumps(data, sort_keys=True)
    try:
        signature = salt.crypt.sign_message(key, text.encode(), algorithm=ALGORITHM)
    except Exception:
        log.exception("dockerstorage beacon: the event cannot be signed")
        return data
    return {**data, "signature": base64.b64encode(signature).decode()}
