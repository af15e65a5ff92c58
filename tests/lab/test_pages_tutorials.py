"""The tutorials, typed one after the other on one host with its master."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import reader
from tests.lab.cache import REPO

README = (REPO / "README.md").read_text()
#: In the order of the handbook; the last takes the thin pool away.
NAMES = ("first-prune", "watched-pool", "another-host", "leave-devicemapper")
TUTORIALS = {name: (REPO / "docs/tutorials" / f"{name}.md").read_text() for name in NAMES}


@pytest.fixture(scope="module")
def one() -> Iterator[reader.Reader]:
    with reader.reading(README, *TUTORIALS.values()) as opened:
        yield opened


@pytest.mark.parametrize("name", NAMES)
def test_a_tutorial_works_as_written(one: reader.Reader, name: str) -> None:
    assert one.read(TUTORIALS[name]) > 5


def test_all_tutorials_are_read() -> None:
    assert {path.stem for path in (REPO / "docs/tutorials").glob("*.md")} == set(TUTORIALS)
