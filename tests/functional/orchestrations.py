"""Runs in a master's Python: many runs of an orchestration in one process.

    orchestrations.py <master configuration> < runs.json

A run is a list: the sls, the pillar, and whether it is a test. Prints, for each, the result of its
one state; or the errors of what did not render.
"""

import json
import sys

import salt.config
import salt.runner


def main():
    found = []
    for mods, pillar, test in json.load(sys.stdin):
        opts = salt.config.master_config(sys.argv[1])
        client = salt.runner.RunnerClient(opts)
        told = client.cmd(
            "state.orchestrate", arg=[mods], kwarg={"pillar": pillar, "test": test},
            print_event=False,
        )  # fmt: skip
        (states,) = told["data"].values()
        found.append(next(iter(states.values())) if isinstance(states, dict) else states)
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
