"""Build the lab's images: a Debian root with Docker and LVM, and the Salt venvs.

    python -m tests.lab.build

prints the directory and the paths of the images; with an unchanged recipe it does nothing else.
Needs root, Debian packages (installed when missing) and PyPI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.lab import cache, recipe, wheels
from tests.lab.steps import run, say

PARTS = (
    "build.py",
    "recipe.py",
    "steps.py",
    "wheels.py",
    "xstate.c",
)  # of the lab; they decide what is in the images


@dataclass(frozen=True)
class Images:
    """The images of one recipe, read-only and shared by all guests."""

    directory: Path

    @property
    def base(self) -> Path:
        return self.directory / "base.img"

    @property
    def salt(self) -> Path:
        return self.directory / "salt.img"

    @property
    def kernel(self) -> Path:
        """The folder of the kernel's program and of the libc that it needs."""
        return self.directory / "kernel"

    @property
    def xstate(self) -> Path:
        """The library that the kernel's process is started with, see `xstate.c`."""
        return self.directory / "xstate.so"


def ensure() -> Images:
    """The images of the present recipe, built if they are not there yet."""
    install_host_packages()
    root = cache.cache_root()
    target = root / f"lab-{recipe_hash()}"
    if not target.exists():
        with cache.locked(root / "build.lock"):
            if not target.exists():
                _build(target)
                cache.remove_others(target, "lab-*")
    return Images(target)


def recipe_hash() -> str:
    """Over all that decides what is in the images."""
    parts = [*(cache.LAB / name for name in PARTS), cache.REPO / "setup.py"]
    return cache.digest([*parts, _packaging_part()])


def _packaging_part() -> str:
    """pyproject.toml without its [tool.…] tables: a linter's setting must not cost a rebuild."""
    text = (cache.REPO / "pyproject.toml").read_text(encoding="utf-8")
    return text.split("\n[tool.", 1)[0]


def install_host_packages() -> None:
    """Install what the machine lacks of `recipe.HOST_PACKAGES`."""
    missing = sorted({pkg for path, pkg in recipe.HOST_PACKAGES.items() if not Path(path).exists()})
    if not missing:
        return
    say(f"installing {' '.join(missing)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-q"], env=env)
    run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing], env=env)


def _build(target: Path) -> None:
    started = time.monotonic()
    for stale in target.parent.glob("new-*"):
        shutil.rmtree(stale, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="new-", dir=target.parent))
    try:
        with ThreadPoolExecutor() as pool:
            python = pool.submit(wheels.collect, work)
            tree = pool.submit(_make_tree, work)
            docker = pool.submit(
                _fetch, work / "docker", recipe.DOCKER_SUITE, recipe.DOCKER_PACKAGES
            )
            kernel = pool.submit(
                _fetch, work / "kernel", recipe.KERNEL_SUITE, recipe.KERNEL_PACKAGES
            )
            for job in (python, tree, docker, kernel):
                job.result()
        _finish_tree(work / "tree", work / "docker", work / "kernel")
        _install_salts(work)
        result = work / "result"
        result.mkdir()
        _take_kernel(work / "kernel", result / "kernel")
        source = cache.LAB / "xstate.c"
        run(["cc", "-O2", "-Wall", "-shared", "-fPIC", "-o", result / "xstate.so", source])
        _image(work / "salt", result / "salt.img", recipe.SALT_IMAGE_BYTES, journal=False)
        _image(work / "tree", result / "base.img", recipe.BASE_IMAGE_BYTES, journal=True)
        result.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(f"built {target} in {time.monotonic() - started:.0f} s")


def _make_tree(work: Path) -> None:
    say("unpacking the guest's Debian")
    include = "--include=" + ",".join(recipe.GUEST_PACKAGES)
    run(["mmdebstrap", "--quiet", "--variant=minbase", include, recipe.SUITE, work / "tree"])


def _fetch(target: Path, suite: str, packages: Sequence[str]) -> None:
    """Unpack packages of a newer Debian, from the mirror this machine uses if it tells one."""
    say(f"fetching {' '.join(packages)} of {suite}")
    argv = ["mmdebstrap", "--quiet", "--variant=extract", "--include=" + ",".join(packages)]
    # A suite in the making is signed for a week, and a mirror may lag.
    argv.append("--aptopt=Acquire::Check-Valid-Until false")
    run([*argv, suite, target, *_mirror()])


def _take_kernel(tree: Path, folder: Path) -> None:
    """The kernel's program, made to look for its libc in the folder that it is started in."""
    folder.mkdir()
    for name in recipe.KERNEL_FILES:
        shutil.copy(tree / name, folder)
    program = folder / Path(recipe.KERNEL_FILES[0]).name
    beside = recipe.LOADER_BESIDE.ljust(len(recipe.LOADER), b"\0")
    program.write_bytes(program.read_bytes().replace(recipe.LOADER, beside))


def _mirror() -> list[str]:
    """The URI the machine takes `recipe.SUITE` from; empty: mmdebstrap's own default."""
    found = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages",
         f"Release: {recipe.SUITE}"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return found.stdout.split()[:1]


def _finish_tree(tree: Path, newer_docker: Path, kernel: Path) -> None:
    """The lab's own files, the kernel's modules, the newer dockerd, Salt's commands."""
    for name, text in recipe.FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
    _set_units(tree / "etc/systemd")
    modules = tree / "usr/lib/modules"
    modules.mkdir(parents=True, exist_ok=True)
    for version in (kernel / recipe.KERNEL_MODULES).iterdir():
        run(["cp", "-a", version, modules])
        run(["depmod", "-b", tree, version.name])
    docker = tree / "opt/docker26"
    docker.mkdir(parents=True)
    for name in recipe.DOCKER_FILES:
        shutil.copy2(newer_docker / name, docker)
    for name in recipe.SALT_COMMANDS:
        _link(tree / "usr/local/bin" / name, f"/opt/salt/{next(iter(recipe.SALTS))}/bin/{name}")
    for mount_point in ("opt/salt", "src", "run/lab"):
        (tree / mount_point).mkdir(parents=True, exist_ok=True)


def _set_units(systemd: Path) -> None:
    """What starts at boot: the agent; what costs time is masked, what tests start is disabled."""
    for folder in (systemd / "system").glob("*.wants"):
        for unit in recipe.DISABLED_UNITS:
            (folder / unit).unlink(missing_ok=True)
    for kind, names in (
        ("system", recipe.MASKED_UNITS),
        ("system-generators", recipe.MASKED_GENERATORS),
    ):
        for name in names:
            _link(systemd / kind / name, "/dev/null")
    agent = "system/multi-user.target.wants/lab-agent.service"
    _link(systemd / agent, "/etc/systemd/system/lab-agent.service")
    _link(systemd / "system/default.target", "/lib/systemd/system/multi-user.target")


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _install_salts(work: Path) -> None:
    """Venvs made by the guest's own Python, byte-compiled, then moved out to their own image."""
    tree = work / "tree"
    shutil.copytree(work / "wheels", tree / "wheels")
    with _project_copy(tree / "src"):
        for name in recipe.SALTS:
            say(f"installing Salt {name} into the guest")
            venv = f"/opt/salt/{name}"
            pip = f"{venv}/bin/pip"
            files = [f"/wheels/{name}/{w.name}" for w in (tree / "wheels" / name).glob("*.whl")]
            _chroot(tree, ["python3", "-m", "venv", venv])
            _chroot(tree, [pip, "install", "-q", "--no-index", "--no-deps", "--upgrade", *files])
            _chroot(tree, [pip, "install", "-q", "--no-index", "--no-deps",
                           "--no-build-isolation", "-e", "/src"])  # fmt: skip
    shutil.rmtree(tree / "wheels")
    (tree / "opt/salt").rename(work / "salt")
    (tree / "opt/salt").mkdir()


@contextmanager
def _project_copy(target: Path) -> Iterator[None]:
    """The project where guests see the live tree: an editable install only keeps the path."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "tests", "docs")
    shutil.copytree(cache.REPO, target, ignore=ignored, dirs_exist_ok=True)
    (target / "README.md").touch()
    yield
    shutil.rmtree(target)
    target.mkdir()


def _image(tree: Path, image: Path, size_bytes: int, journal: bool) -> None:
    """An ext4 image of `tree`; what is written to needs a journal, since its power is cut."""
    say(f"writing {image.name}")
    features = "^metadata_csum" if journal else "^metadata_csum,^has_journal"
    size = ["-J", "size=16"] if journal else []
    extended: list[str | Path] = ["-E", "lazy_itable_init=1,nodiscard", "-d", tree]
    argv = ["mkfs.ext4", "-q", "-F", "-m0", "-O", features, *size, *extended]
    run([*argv, image, f"{size_bytes >> 10}k"])


def _chroot(tree: Path, argv: Sequence[str]) -> None:
    env = {"PATH": recipe.PROFILE_PATH, "LC_ALL": "C.UTF-8", "HOME": "/root"}
    run(["chroot", tree, *argv], env={**env, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})


def main() -> None:
    """Build if need be, print the paths."""
    images = ensure()
    print(images.directory, images.base, images.salt, sep="\n")


if __name__ == "__main__":
    main()
