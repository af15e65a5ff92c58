#!/usr/bin/env python3
"""Make the virtual environment of one Salt if it is not there yet, and print its directory.

    prepare.py 3008 | 3007 | 3006

It lies in the project's cache directory, under a hash of all that defines it: changed requirements
or another Python make a new one. Only the standard library is used: this runs before anything else
is there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS_SALT = "3008"
#: pip compiles a few of Salt's requirements.
PIP_SECONDS = 1200
#: Environments that nobody asked for in this time are removed when a new one is made.
UNUSED_SECONDS = 14 * 86400


def cache_root() -> Path:
    """The project's cache directory, made if missing."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    root = Path(base).expanduser() / "dockerstorage"
    root.mkdir(parents=True, exist_ok=True)
    return root


def requirement_files(salt: str) -> list[Path]:
    """What pip is told to install for a Salt."""
    names = [f"salt-{salt}.txt", "common.txt", *(["tools.txt"] if salt == TOOLS_SALT else [])]
    return [HERE / name for name in names]


def digest(salt: str) -> str:
    """A short hash over all that defines the environment."""
    parts = [sys.version.encode(), os.path.realpath(sys.executable).encode()]
    parts += [path.read_bytes() for path in (Path(__file__), *requirement_files(salt))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def ensure(salt: str) -> Path:
    """The directory of the environment, made if need be; others may ask for it meanwhile."""
    root = cache_root()
    target = root / f"venv-{salt}-{digest(salt)}"
    complete = target / "complete"
    if not complete.exists():
        with (root / f"venv-{salt}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not complete.exists():
                remove_unused(root)
                build(salt, target)
    complete.touch()
    return target


def build(salt: str, target: Path) -> None:
    """Make an environment where it will stay: it knows its own path."""
    say(f"making the environment of Salt {salt} in {target}")
    started = time.monotonic()
    shutil.rmtree(target, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(target)])
    pip = [str(target / "bin" / "python"), "-m", "pip"]
    options = ["-qq", "--disable-pip-version-check", "--no-input", "--root-user-action=ignore"]
    files = [word for path in requirement_files(salt) for word in ("-r", str(path))]
    run([*pip, "install", *options, *files])
    (target / "complete").touch()
    say(f"Salt {installed_salt(target)} is in it; {time.monotonic() - started:.0f} s")


def installed_salt(target: Path) -> str:
    """The exact release that pip chose."""
    code = "from importlib.metadata import version; print(version('salt'))"
    return subprocess.run(
        [str(target / "bin" / "python"), "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def remove_unused(root: Path) -> None:
    """Remove environments that were not asked for in a long time."""
    for complete in root.glob("venv-*/complete"):
        if time.time() - complete.stat().st_mtime > UNUSED_SECONDS:
            shutil.rmtree(complete.parent, ignore_errors=True)


def run(argv: list[str]) -> None:
    """Run a step with standard output kept free for the answer."""
    subprocess.run(argv, check=True, stdout=sys.stderr, timeout=PIP_SECONDS)


def say(text: str) -> None:
    """Tell the operator what takes so long."""
    print(f"environment: {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Read the release from the command line."""
    known = sorted(path.stem.removeprefix("salt-") for path in HERE.glob("salt-*.txt"))
    if len(sys.argv) != 2 or sys.argv[1] not in known:
        sys.exit(f"usage: prepare.py {' | '.join(known)}")
    try:
        print(ensure(sys.argv[1]))
    except (subprocess.SubprocessError, OSError) as error:
        sys.exit(f"environment: {error}")


if __name__ == "__main__":
    main()
