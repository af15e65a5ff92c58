"""The README, typed from its top to its end on a host with its master."""

from __future__ import annotations

from tests.lab import reader
from tests.lab.cache import REPO


def test_the_readme_works_as_written() -> None:
    readme = (REPO / "README.md").read_text()
    with reader.reading(readme) as one:
        assert one.read(readme) > 15
