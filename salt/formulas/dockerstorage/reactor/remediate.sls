#!py
"""
Let a minion remedy the thin pool that its beacon told of
=========================================================

For the master's ``reactor``, on ``salt/beacon/*/dockerstorage/*``. Calls
``dockerstorage.remediate`` with the pool's name, on the minion that signed the event and on no
other; what may be done there is told by that minion's pillar or configuration.

A master passes on whatever tag, id and data a minion sends. So nothing is believed but what the
key of an accepted minion has signed not long ago, and nothing of it but a plain name of a device
goes on. This is Python and not Jinja: an event's text is never rendered.
"""

import base64
import json
import logging
import os
import re
import time

# By name: the renderer puts the execution modules under the name "salt".
from salt.crypt import verify_signature
from salt.utils.verify import valid_id

log = logging.getLogger(__name__)

#: What the pool's state must be. ``ok`` needs no remedy, and what is gone has none.
STATES = (
    "warning",
    "critical",
    "emergency",
    "out_of_data_space",
    "read_only",
    "needs_check",
    "failed",
    "unresponsive",
)
#: Characters of device-mapper names; others stand as \x20 and the like.
POOL = re.compile(r"[A-Za-z0-9#+.:=@_\\][A-Za-z0-9#+.:=@_\\-]{0,126}", re.ASCII)
#: An event heard again later is no news. Clocks may differ by as much.
NEWS_SECONDS = 600

# The beacon has the same two.
ALGORITHM = "PKCS1v15-SHA224"
PREFIX = "dockerstorage beacon 1\n"


def run():
    """The reaction: one job, or none."""
    try:
        why_not = objection(data)
    except Exception as error:
        why_not = repr(error)
    if why_not:
        log.warning("dockerstorage: no reaction to the event %r: %s", tag, why_not)
        return {}
    if data["state"] not in STATES:
        return {}
    return {
        "dockerstorage_remediate": {
            "local.dockerstorage.remediate": [
                # A list of one id: never a pattern, never split at commas.
                {"tgt": [data["id"]]},
                {"tgt_type": "list"},
                {"args": [{"pool": data["pool"]}]},
            ]
        }
    }


def objection(event):
    """Why an event is not believed; None if it is."""
    if not isinstance(event, dict):
        return "it holds no mapping"
    key = key_of(event.get("id"))
    if key is None:
        return "its id is none of an accepted minion"
    signature = event.get("signature")
    if not isinstance(signature, str):
        return "it is not signed"
    # Salt adds keys that begin with an underscore on the way.
    signed = {k: v for k, v in event.items() if k != "signature" and not k.startswith("_")}
    text = PREFIX + json.dumps(signed, sort_keys=True)
    raw = base64.b64decode(signature, validate=True)
    if not verify_signature(key, text.encode(), raw, algorithm=ALGORITHM):
        return "its signature is not that minion's"
    if not abs(time.time() - event["signed_at"]) <= NEWS_SECONDS:
        return "it was signed too long ago, or the clocks differ"
    if not isinstance(event["state"], str) or not isinstance(event["pool"], str):
        return "its state or pool is no text"
    return None if POOL.fullmatch(event["pool"]) else "its pool has no name of a device"


def key_of(minion):
    """The file of an accepted minion's key, or None."""
    if not isinstance(minion, str) or not valid_id(__opts__, minion):
        return None
    folder = __opts__["cluster_pki_dir"] if __opts__.get("cluster_id") else __opts__["pki_dir"]
    path = os.path.join(folder, "minions", minion)
    return path if os.path.isfile(path) else None
