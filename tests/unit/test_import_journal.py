"""The import's journal: on disk before anything is done, and read again after a cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib import import_journal
from dockerstorage_lib.errors import Unparsable
from dockerstorage_lib.import_journal import Journal, Line, read_history

ID = "a" * 32


def test_what_was_written_is_read_again(tmp_path):
    folder = tmp_path / "imports"
    lines = [
        Line("begun", "container", "old", "", "tmp"),
        Line("done", "container", "old", "n", "w"),
    ]
    with Journal(ID, folder) as journal:
        for line in lines:
            journal.add(line)
        assert journal.history.lines == tuple(lines)
    assert import_journal.read(ID, folder).lines == tuple(lines)
    assert (folder / f"{ID}.jsonl").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert import_journal.read("b" * 32, folder).lines == ()


def test_a_line_that_was_cut_is_dropped_and_written_over(tmp_path):
    with Journal(ID, tmp_path) as journal:
        journal.add(Line("begun", "volume", "ü", "", "x"))
    path = tmp_path / f"{ID}.jsonl"
    with path.open("a") as file:
        file.write('{"event": "done", "kind": "vol')
    with Journal(ID, tmp_path) as journal:
        assert len(journal.history.lines) == 1
        journal.add(Line("done", "volume", "ü", "x", "x"))
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == [
        "begun",
        "done",
    ]


def test_it_is_no_link(tmp_path):
    (tmp_path / f"{ID}.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Journal(ID, tmp_path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("text", ["x\n", "[]\n", '{"event": "done"}\n', '{"odd": 1}\n'])
def test_a_line_that_cannot_be_read_ends_it(text):
    with pytest.raises(Unparsable):
        read_history(text)


def test_the_last_word_counts_and_what_was_moved_aside_is_no_word():
    begun, done = Line("begun", "container", "1"), Line("done", "container", "1", "n")
    aside = Line("aside", "container", "1", "old", "x")
    history = import_journal.History((begun, aside, done, Line("begun", "volume", "1")))
    assert history.last("container", "1") == done
    assert history.begun("container") == ()
    assert history.begun("volume") == (Line("begun", "volume", "1"),)
    assert history.aside() == (aside,)
    again = import_journal.History((*history.lines, begun))
    assert again.begun("container") == (begun,)


LINES = st.lists(
    st.builds(
        Line,
        st.sampled_from(["begun", "done", "aside"]),
        st.sampled_from(["image", "volume", "container"]),
        st.text(),
        st.text(),
        st.text(),
    ),
    max_size=6,
)


@given(LINES, st.integers(0, 400))
def test_whatever_is_cut_off_the_rest_is_a_beginning(tmp_path_factory, lines, cut):
    folder = tmp_path_factory.mktemp("journal")
    with Journal(ID, folder) as journal:
        for line in lines:
            journal.add(line)
    data = (folder / f"{ID}.jsonl").read_bytes()
    kept = read_history(data[: max(len(data) - cut, 0)].decode(errors="ignore")).lines
    assert kept == tuple(lines)[: len(kept)]
    assert cut or kept == tuple(lines)
