"""Show the extension at work on a disposable devicemapper host: ``make demo``."""

from __future__ import annotations

import sys

from tests.lab import prepared

STEPS = (
    ("What is on this host?", "dockerstorage.report"),
    ("What would a prune remove, and what would stay?", "dockerstorage.prune test=True"),
    ("Do exactly that.", "dockerstorage.prune"),
    ("And now?", "dockerstorage.report"),
)


def main() -> None:
    print("Preparing a disposable host (minutes the first time, seconds later) ...", flush=True)
    host = prepared.open_host("loop", "demo")
    try:
        print("It runs: a real kernel with device mapper, dockerd 20.10, Salt.")
        for title, call in STEPS:
            command = f"salt-call --local --out=json {call} | jq -r '.local.summary[]'"
            print(f"\n\n{_bold(title)}\n$ {command}\n", flush=True)
            for line in host.guest.run(command, timeout=120).stdout.splitlines():
                print(_warning(line) if line.startswith("!") else line, flush=True)
    finally:
        host.guest.close()
    print("\nThe host is gone again. 'make test' runs all of this as tests; README.md goes on.")


def _bold(text: str) -> str:
    return _styled(text, 1)


def _warning(text: str) -> str:
    return _styled(text, 33)


def _styled(text: str, code: int) -> str:
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() else text


if __name__ == "__main__":
    main()
