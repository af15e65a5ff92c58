"""Processes of this machine: found, told from others, ended; what they have open and mounted."""

import os
import signal
import subprocess
import time

import pytest

from dockerstorage_lib.adapters import processes
from dockerstorage_lib.adapters.processes import Process, find


@pytest.fixture
def start():
    """Start a program; it has ended at the end of the test."""
    started = []

    def run(*argv, **more):
        started.append(subprocess.Popen(argv, **more))
        time.sleep(0.2)
        return started[-1]

    yield run
    for one in started:
        one.kill()
        one.wait()


def test_a_process_is_known_by_its_number_and_its_start(start):
    running = start("sleep", "60")
    found = find(running.pid)
    assert found == find(running.pid, "sleep")
    assert find(running.pid, "dockerd") is None
    assert find(2**22 + 1) is None
    running.kill()
    assert processes.wait([found], 5) == set()
    assert find(running.pid) is None, "a zombie has ended"


def test_what_ends_at_a_signal_and_what_does_not(start):
    polite, deaf = start("sleep", "60"), start("sh", "-c", "trap '' TERM; sleep 60 & wait; wait")
    wanted = {find(polite.pid), find(deaf.pid)}
    left = processes.end(wanted, signal.SIGTERM, 1)
    assert left == {find(deaf.pid)}
    assert processes.end(left, signal.SIGKILL, 5) == set()


def test_a_later_process_of_the_same_number_is_left_alone(start):
    running = start("sleep", "60")
    earlier = Process(running.pid, "1")
    assert processes.end([earlier], signal.SIGKILL, 1) == set()
    assert running.poll() is None


def test_who_has_a_file_system_in_use(start, tmp_path):
    running = start("sleep", "60", cwd=tmp_path)
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    assert running.pid in processes.users(number)
    assert processes.readers("4095:1048575") == ()
    assert processes.uses({"4095:1048575"}) == {}
    assert not processes.is_waiting(os.getpid())


@pytest.mark.parametrize(
    "line",
    [
        f"0::/system.slice/docker-{'a' * 64}.scope",
        f"11:cpu:/docker/{'a' * 64}",
        f"4:memory:/custom/parent/{'a' * 64}",
    ],
)
def test_a_container_is_named_by_its_control_group(line):
    assert processes._CONTAINER.search(line)[1] == "a" * 64


@pytest.mark.parametrize("line", ["0::/", "0::/system.slice/docker.service", f"0::/{'a' * 63}"])
def test_other_control_groups_name_none(line):
    assert processes._CONTAINER.search(line) is None
