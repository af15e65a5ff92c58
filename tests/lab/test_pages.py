"""README and tutorials, typed as written, one after the other on one host with its master."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import pages, reader
from tests.lab.cache import REPO

#: In the handbook's order; the last takes the thin pool away.
TUTORIALS = ("first-prune", "watched-pool", "another-host", "leave-devicemapper")
README = (REPO / "README.md").read_text()
TEXTS = {name: (REPO / "docs/tutorials" / f"{name}.md").read_text() for name in TUTORIALS}


@pytest.fixture(scope="module")
def one() -> Iterator[reader.Reader]:
    with reader.reading(README, *TEXTS.values()) as opened:
        yield opened


def test_the_readme_works_as_written(one: reader.Reader) -> None:
    later = [step for text in TEXTS.values() for step in pages.read(text)]
    assert one.read(README, later) > 10


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_works_as_written(one: reader.Reader, name: str) -> None:
    assert one.read(TEXTS[name]) > 5


def test_all_tutorials_are_typed() -> None:
    assert {path.stem for path in (REPO / "docs/tutorials").glob("*.md")} == set(TUTORIALS)
