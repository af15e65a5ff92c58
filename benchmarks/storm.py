"""A thousand minions fire at one master at once, and what the reactor's sls costs it.

The peer is the same storm with the plainest reaction that a master can have: two lines of YAML that
call ``test.true``, and believe anybody. What is real and what is simulated of a minion is told in
tests/functional/storm/fleet.py.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.functional import installs
from tests.functional.storm.arena import Storm, arena

MINIONS = 1000
#: Every other minion fires the same event twice, the others two states.
VOLLEYS = [["critical", "critical"], ["critical", "emergency"]]
FORMULAS = installs.ROOT / "salt/formulas"
SLS = "dockerstorage/reactor/remediate.sls"
PLAIN = "plain:\n  local.test.true:\n    - tgt: [{{ data['id'] }}]\n    - tgt_type: list\n"


@dataclass(frozen=True)
class Stormed:
    """All storms, at one master."""

    #: After the first: minions by the number of their remedies; each had cause for two.
    remedied: Counter[int]
    #: The sls by its path, by salt://, and the peer's.
    by_path: Storm
    by_salt: Storm
    plain: Storm


def stormed() -> Stormed:
    """Let the storms break, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        yaml = Path(folder, "plain.sls")
        yaml.write_text(PLAIN)
        reactions = {"path": str(FORMULAS / SLS), "salt": f"salt://{SLS}", "plain": str(yaml)}
        reactor = [{f"salt/beacon/*/{name}/*": [sls]} for name, sls in reactions.items()]
        with arena(MINIONS, reactor, file_roots={"base": [str(FORMULAS)]}) as place:
            place.fleet.do("connect")
            by_path = place.storm(2 * MINIONS, beacon="path", volleys=VOLLEYS)
            hosts = place.fleet.hosts.values()
            remedied = Counter(len(host.remedied_at()) for host in hosts)
            by_salt = place.storm(2 * MINIONS, beacon="salt", volleys=VOLLEYS)
            plain = place.storm(2 * MINIONS, "test.true", beacon="plain", volleys=VOLLEYS)
            return Stormed(remedied, by_path, by_salt, plain)
