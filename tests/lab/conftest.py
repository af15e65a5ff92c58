"""Hosts for tests. Shared ones for tests that only look or clean up after themselves; `fresh_…`
ones, reset to the populated snapshot for every test, for those that destroy.

All but the plain `guest` hold what `population.py` lists.
"""

from __future__ import annotations

import compileall
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import pytest

from tests.lab import prepared, salthost
from tests.lab.cache import REPO
from tests.lab.guest import Guest
from tests.lab.hosts import Host

Report = Generator[None, pytest.TestReport, pytest.TestReport]

#: Files that take minutes come first, so that no worker is left alone with one at the end.
LONGEST_FIRST = (
    "orchestration", "migrate_trouble", "migrate", "migrate_power", "migrate_bundle", "pages",
    "prune", "import", "rescue", "orphans", "export", "reclaim", "remedies_end_to_end", "recover",
    "formula", "beacon", "report", "driver_state", "remediate",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of the files; within a file that of its tests stays."""
    rank = {f"test_{name}": place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(scope="session", autouse=True)
def _ready() -> None:
    if os.geteuid() != 0:
        pytest.fail("the lab needs root")
    # Guests see the tree read-only: each Python there would compile it anew.
    for name in ("_utils", "_modules", "_states", "_beacons", "_runners"):
        compileall.compile_dir(REPO / name, quiet=2)


@pytest.fixture(scope="session")
def shared_host() -> Iterator[Callable[[str], Host]]:
    """By kind: the one host of the session that tests share."""
    opened: dict[str, Host] = {}
    with ExitStack() as stack:

        def get(kind: str) -> Host:
            if kind not in opened:
                opened[kind] = prepared.open_host(kind)
                stack.callback(opened[kind].guest.close)
            return opened[kind]

        yield get


@pytest.fixture(scope="session")
def renewed_host() -> Iterator[Callable[[str], Host]]:
    """By kind: another host, as new at each call."""
    opened: dict[str, Host] = {}
    with ExitStack() as stack:

        def get(kind: str) -> Host:
            if kind in opened:
                prepared.renew(opened[kind])
            else:
                opened[kind] = prepared.open_host(kind, f"fresh-{kind}")
                stack.callback(opened[kind].guest.close)
            return opened[kind]

        yield get


@pytest.fixture(scope="session")
def loop_host(shared_host: Callable[[str], Host]) -> Host:
    """devicemapper on loop-lvm, shared."""
    return shared_host("loop")


@pytest.fixture(scope="session")
def direct_host(shared_host: Callable[[str], Host]) -> Host:
    """devicemapper on an LVM thin pool, shared."""
    return shared_host("direct")


@pytest.fixture(scope="session")
def overlay_host(shared_host: Callable[[str], Host]) -> Host:
    """overlay2 with Docker 20.10, shared."""
    return shared_host("overlay")


@pytest.fixture(scope="session")
def newer_host(shared_host: Callable[[str], Host]) -> Host:
    """overlay2 with Docker 26, shared."""
    return shared_host("newer")


@pytest.fixture
def fresh_loop_host(renewed_host: Callable[[str], Host]) -> Host:
    """Like `loop_host`, as new."""
    return renewed_host("loop")


@pytest.fixture
def fresh_direct_host(renewed_host: Callable[[str], Host]) -> Host:
    """Like `direct_host`, as new."""
    return renewed_host("direct")


@pytest.fixture
def fresh_overlay_host(renewed_host: Callable[[str], Host]) -> Host:
    """Like `overlay_host`, as new."""
    return renewed_host("overlay")


@pytest.fixture
def fresh_newer_host(renewed_host: Callable[[str], Host]) -> Host:
    """Like `newer_host`, as new."""
    return renewed_host("newer")


@pytest.fixture(scope="session")
def salt_host() -> Iterator[Host]:
    """A populated direct-lvm host on which a salt-master and its minion `host1` run, synced."""
    host = prepared.open_host("direct", "salt")
    with host.guest:
        salthost.start(host.guest)
        yield host


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Report:
    """A failed test's report ends with the console of each guest it used."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            guest = value.guest if isinstance(value, Host) else value
            if isinstance(guest, Guest):
                report.sections.append((f"console of {guest.name}", guest.console_tail()))
    return report
