"""How pages are read for what is to be typed, and that all of it is typed by a test."""

import re

import pytest

from tests.lab import pages, reader
from tests.lab.cache import REPO
from tests.lab.pages import Command, File

TYPED = [REPO / "README.md", *sorted((REPO / "docs/tutorials").glob("*.md"))]


def fenced(kind, *lines):
    return "\n".join(["Text.", f"```{kind}", *lines, "```", ""])


def test_every_line_of_a_bash_block_is_a_command():
    page = fenced("bash", "one --a   # why", "", "two 'x#y' \\", "  three", "# only a remark")
    assert pages.read(page) == [Command("one --a"), Command("two 'x#y'   three")]


def test_a_console_shows_what_follows_a_prompt():
    page = fenced("console", "$ one | two  # why", "first", "", "  second", "$ three")
    assert pages.read(page) == [Command("one | two", ("first", "  second")), Command("three")]


def test_a_file_begins_with_its_path():
    page = fenced("yaml", "# /etc/salt/minion.d/x.conf", "a: 1") + fenced("yaml", "b: 2")
    assert pages.read(page) == [
        File("/etc/salt/minion.d/x.conf", "# /etc/salt/minion.d/x.conf\na: 1\n")
    ]


def test_other_blocks_are_not_typed():
    assert pages.read(fenced("text", "$ rm -rf /") + fenced("", "x")) == []


@pytest.mark.parametrize(
    ("shows", "missing"),
    [
        ((), None),
        (("a b", "d"), None),
        (("  a    b",), None),
        (("a …", "…d"), None),
        (("d", "a b"), "a b"),
        (("a",), "a"),
        (("c … 7",), None),
        (("…",) * 3, None),
        (("…",) * 4, "…"),
    ],
)
def test_shown_lines_come_in_their_order(shows, missing):
    assert pages.first_missing(shows, "a  b\nc is 5 or 7\n d\n") == missing


def test_what_is_not_run_is_on_a_page_and_has_its_reason():
    typed = {
        step.text
        for page in TYPED
        for step in pages.read(page.read_text())
        if isinstance(step, Command)
    }
    assert set(reader.NOT_RUN) <= typed
    assert all(reader.NOT_RUN.values())


@pytest.mark.parametrize("page", TYPED, ids=lambda page: page.stem)
def test_pages_to_type_have_only_blocks_that_are_read(page):
    kinds = re.findall(r"^```(\w*)", page.read_text(), re.MULTILINE)[::2]
    assert set(kinds) <= {"bash", "console", "yaml"}
    files = [step for step in pages.read(page.read_text()) if isinstance(step, File)]
    assert len(files) == kinds.count("yaml")
