"""The wheels that go into the guest's Salt venvs, collected by the machine's own Python and pip."""

from __future__ import annotations

import email
import zipfile
from pathlib import Path

from tests.lab import recipe
from tests.lab.steps import run, say

HOST_PYTHON = "/usr/bin/python3"


def collect(work: Path) -> None:
    """Wheels of each Salt and all it needs, built outside the guest's tree by the host's Python.

    The machine is the guest's own Debian, so their Pythons are the same. Salt itself comes
    without its dependencies first, so that `recipe.UNBOUND_REQUIREMENTS` can be loosened.
    """
    run([HOST_PYTHON, "-m", "venv", work / "builder"])
    pip = work / "builder/bin/pip"
    run([pip, "install", "-q", "--upgrade", "pip", "setuptools", "wheel"])
    for name, version in recipe.SALTS.items():
        say(f"collecting wheels for Salt {version}")
        wheels = work / "wheels" / name
        run([pip, "wheel", "-q", "--no-deps", "-w", wheels, f"salt=={version}"])
        needs = [_loosened(need) for need in _requirements(next(wheels.glob("salt-*.whl")))]
        wanted = work / f"requirements-{name}.txt"
        wanted.write_text("\n".join([*needs, *recipe.EXTRA_REQUIREMENTS]), encoding="utf-8")
        run([pip, "wheel", "-q", "-w", wheels, "-r", wanted])


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    return email.message_from_string(text).get_all("Requires-Dist") or []


def _loosened(requirement: str) -> str:
    for name in recipe.UNBOUND_REQUIREMENTS:
        if requirement.lower().startswith(name):
            return name
    return requirement
