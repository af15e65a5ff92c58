"""A step of the build: run a command with a time limit, tell what is going on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

COMMAND_TIMEOUT = 900


def run(argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
    """Run a step of the build; on failure its output is the error."""
    done = subprocess.run(
        [str(word) for word in argv], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=COMMAND_TIMEOUT, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        command = " ".join(str(word) for word in argv)[:300]
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout[-4000:]}")


def say(text: str) -> None:
    """Tell whoever waits."""
    print(f"lab: {text}", file=sys.stderr, flush=True)
