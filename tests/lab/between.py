"""Plan a prune, let a command change the host, then carry the plan out. Runs in a guest.

between.py COMMAND [POLICY-AS-JSON]; prints the result as JSON.
"""

import json
import subprocess
import sys
import time

from dockerstorage_lib import prune_job
from dockerstorage_lib.adapters.engine import Engine
from dockerstorage_lib.policy import make_policy

policy = make_policy(**json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}"))
engine = Engine()
prepared = prune_job.prepare(engine, policy, time.time())
subprocess.run(["bash", "-ec", sys.argv[1]], check=True, stdout=sys.stderr, timeout=120)
print(json.dumps(prune_job.carry_out(prepared, policy, engine, lambda progress: None)))
