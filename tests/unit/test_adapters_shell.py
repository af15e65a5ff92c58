"""Real programs: their output, their status, their end in time."""

import time
from pathlib import Path

import pytest

from dockerstorage_lib.adapters.shell import output, run
from dockerstorage_lib.errors import CommandFailed, CommandTimedOut


def shell(script, **arguments):
    return run(["bash", "-c", script], **arguments)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_output_and_status_are_kept_apart():
    done = shell("echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.status) == ("out\n", "err\n", 7)
    assert done.argv[0] == "bash"


def test_arguments_are_not_read_by_a_shell():
    assert output(["printf", "%s|", "a b", "*", "$HOME", "", "--x=1"]) == "a b|*|$HOME||--x=1|"


def test_output_is_of_the_c_locale_and_of_any_bytes():
    assert output(["bash", "-c", "echo $LC_ALL"]) == "C\n"
    assert shell(r"printf 'a\377b'").stdout == "a�b"


def test_a_failure_is_an_error_where_only_output_is_wanted():
    with pytest.raises(CommandFailed, match="ended with status 3: it broke") as caught:
        output(["bash", "-c", "echo it broke >&2; exit 3"])
    assert caught.value.status == 3


def test_a_missing_program_says_so():
    with pytest.raises(CommandFailed, match="not installed") as caught:
        run(["no-such-program", "x"])
    assert caught.value.status is None


def test_system_programs_are_found_whatever_the_path(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert output(["bash", "-c", "id -u"]).strip().isdigit()


def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path):
    pids = tmp_path / "pids"
    started = time.monotonic()
    with pytest.raises(CommandTimedOut, match=r"no end within 0\.3 s"):
        shell(f"sleep 60 & echo $! $$ > {pids}; wait", timeout_seconds=0.3)
    assert time.monotonic() - started < 10
    deadline = time.monotonic() + 3
    children = pids.read_text().split()
    while any(map(is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_alive, children))


def test_death_by_a_signal_is_a_failure():
    with pytest.raises(CommandFailed) as caught:
        shell("echo last words >&2; kill -SEGV $$")
    assert caught.value.status == -11
    assert caught.value.stderr == "last words"


def test_much_output_on_both_sides_does_not_block():
    done = shell(
        "head -c 3000000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero | tr '\\0' y >&2"
    )
    assert len(done.stdout) == 3000000
    assert done.stderr[-10:] == "y" * 10


def test_chunks_come_as_text_in_order_and_are_not_kept():
    chunks = []
    done = shell("for i in $(seq 20000); do echo line $i; done", on_chunk=chunks.append)
    assert "".join(chunks) == "".join(f"line {i}\n" for i in range(1, 20001))
    assert len(chunks) > 1
    assert (done.stdout, done.status) == ("", 0)


def test_a_chunk_taker_that_raises_ends_the_call_with_its_error():
    def refuse(chunk):
        raise ValueError("no")

    started = time.monotonic()
    with pytest.raises(ValueError, match="no"):
        shell("head -c 3000000 /dev/zero", on_chunk=refuse, timeout_seconds=10)
    assert time.monotonic() - started < 10


def test_a_program_that_leaves_a_daemon_behind_does_not_hold_the_caller():
    started = time.monotonic()
    assert shell("sleep 30 & echo done").stdout == "done\n"
    assert time.monotonic() - started < 10
