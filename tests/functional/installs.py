"""The extension on a minion: copies of the working tree, and the ways to install them.

Each way gets a Python of its own: an empty virtual environment on top of the one that runs the
tests. So pip installs for real, into a real site-packages, and no way sees another's files.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from importlib.metadata import PackagePath, distribution
from pathlib import Path
from zipfile import ZipFile

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


def make_python(target: Path, lacks: Sequence[str] = ()) -> Path:
    """An interpreter that has what the present one has, and an empty site-packages before it.

    lacks: distributions that are left out of what it has.
    """
    run([sys.executable, "-m", "venv", "--without-pip", str(target)])
    python = target / "bin" / "python"
    below = Path(sysconfig.get_path("purelib"))
    if lacks:
        left_out = {file.parts[0] for name in lacks for file in files_of(name)}
        here, below = below, target / "below"
        below.mkdir()
        for path in here.iterdir():
            if path.name not in left_out:
                (below / path.name).symlink_to(path)
    (site_packages(target) / "below.pth").write_text(f"{below}\n")
    return python


def files_of(name: str) -> list[PackagePath]:
    """The files of an installed distribution that its wheel brought."""
    made = {"INSTALLER", "REQUESTED", "direct_url.json"}
    found = distribution(name).files or []
    return [
        file
        for file in found
        if ".." not in file.parts and file.suffix != ".pyc" and file.name not in made
    ]


def wheel_of(name: str, target: Path) -> None:
    """A wheel of an installed distribution, made of its own files: nothing is downloaded."""
    found = distribution(name)
    tag = next(
        line.removeprefix("Tag: ")
        for line in (found.read_text("WHEEL") or "").splitlines()
        if line.startswith("Tag: ")
    )
    with ZipFile(target / f"{name}-{found.version}-{tag}.whl", "w") as wheel:
        for file in files_of(name):
            wheel.write(str(file.locate()), str(file))


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
