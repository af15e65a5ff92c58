"""The extension on a minion: copies of the working tree, and the ways to install them.

Each way gets a Python of its own: an empty virtual environment on top of the one that runs the
tests. So pip installs for real, into a real site-packages, and no way sees another's files.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KINDS = {kind: f"_{kind}" for kind in ("modules", "states", "beacons", "runners")}
LIBRARY = "_utils/dockerstorage_lib"


def copy_tree(target: Path) -> Path:
    """The working tree as a file server or pip would get it: nothing that runs left behind."""
    ignored = shutil.ignore_patterns(
        ".*", "__pycache__", "*.egg-info", "build", "dist", "tests", "benchmarks"
    )
    return Path(shutil.copytree(ROOT, target, ignore=ignored))


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that must be in the file exactly once."""
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} is not once in {path}"
    path.write_text(text.replace(old, new))


def make_python(target: Path) -> Path:
    """An interpreter that has what the present one has, and an empty site-packages before it."""
    run([sys.executable, "-m", "venv", "--without-pip", str(target)])
    python = target / "bin" / "python"
    (site_packages(target) / "below.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def site_packages(venv: Path) -> Path:
    """Where a virtual environment keeps its packages."""
    return next(venv.glob("lib/python3*/site-packages"))


def build_wheel(tree: Path, target: Path) -> Path:
    """A wheel of a tree."""
    run([sys.executable, *PIP, "wheel", *OFFLINE, "--wheel-dir", str(target), str(tree)])
    return next(target.glob("*.whl"))


def pip_install(python: Path, *what: str) -> None:
    """Install into an interpreter's site-packages."""
    run([str(python), *PIP, "install", *OFFLINE, *what])


PIP = ["-m", "pip", "--disable-pip-version-check", "--quiet"]
OFFLINE = ["--no-deps", "--no-build-isolation", "--no-index"]


def run(argv: list[str]) -> None:
    """Run a step; its output is in the error."""
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}"
