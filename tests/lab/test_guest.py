"""The lab itself: what tests rely on when they say boot, run, cut the power, reset."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import build, cache, uml
from tests.lab.errors import BootFailed, CommandFailed, CommandTimeout, GuestGone
from tests.lab.guest import Guest

MIB = 1 << 20


@pytest.fixture(scope="module")
def machine() -> Iterator[Guest]:
    """One guest for the whole file; tests that cut its power leave it booted."""
    with Guest("machine", disks=[256 * MIB]) as guest:
        guest.boot()
        yield guest


def test_an_unchanged_recipe_costs_nothing() -> None:
    build.ensure()
    started = time.monotonic()
    build.ensure()
    assert time.monotonic() - started < 2


def test_a_changed_recipe_gets_images_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build.recipe_hash()
    copy = Path(shutil.copytree(cache.LAB, tmp_path / "lab", ignore=shutil.ignore_patterns(".*")))
    monkeypatch.setattr(cache, "LAB", copy)
    assert build.recipe_hash() == before
    (copy / "recipe.py").write_text((copy / "recipe.py").read_text() + "# more\n")
    assert build.recipe_hash() != before


def test_run_gives_output_status_and_input(machine: Guest) -> None:
    result = machine.run("echo out; echo err >&2; cat; exit 3", check=False, input="given\n")
    assert (result.stdout, result.stderr, result.status) == ("out\ngiven\n", "err\n", 3)
    assert machine.run(["printf", "%s", "a b*"]).stdout == "a b*"
    assert machine.run('echo "$WORD"', env={"WORD": "ü"}).stdout == "ü\n"


def test_a_failed_command_raises_with_its_output(machine: Guest) -> None:
    with pytest.raises(CommandFailed, match="no such thing") as caught:
        machine.run("echo no such thing >&2; exit 5")
    assert caught.value.status == 5
    with pytest.raises(CommandFailed, match="nonexistent"):
        machine.run(["/nonexistent"])


def test_large_output_comes_whole(machine: Guest) -> None:
    assert len(machine.run("head -c 3000000 /dev/zero | tr '\\0' x").stdout) == 3000000


def test_a_hung_command_is_killed_and_shows_the_console(machine: Guest) -> None:
    started = time.monotonic()
    with pytest.raises(CommandTimeout, match=r"(?s)so far.*-- console of machine\n") as caught:
        machine.run("echo so far; sleep 4321 | cat", timeout=1)
    assert time.monotonic() - started < 8
    assert machine.console_tail() in str(caught.value)
    assert machine.run("pgrep -f 'sleep 4321'", check=False).stdout == ""


def test_commands_run_side_by_side(machine: Guest) -> None:
    slow = machine.start("sleep 1; echo slow")
    assert machine.run("echo quick").stdout == "quick\n"
    assert slow.wait(10).stdout == "slow\n"
    endless = machine.start("sleep 9999")
    endless.kill()
    assert endless.wait(10, check=False).status == -signal.SIGKILL


def test_files_go_both_ways(machine: Guest) -> None:
    content = bytes(range(256)) * 1000
    machine.push("/tmp/there/file", content, mode=0o640)
    assert machine.pull("/tmp/there/file") == content
    assert machine.run("stat -c %a /tmp/there/file").stdout == "640\n"


def test_the_working_tree_is_live(machine: Guest) -> None:
    path = cache.LAB / f".live-{os.getpid()}"
    try:
        for text in ("first", "second, longer"):
            path.write_text(text, encoding="utf-8")
            assert machine.run(f"cat /src/tests/lab/{path.name}").stdout == text
        assert machine.run("touch /src/x", check=False).status != 0, "it is read-only inside"
    finally:
        path.unlink()
    assert machine.run(f"test -e /src/tests/lab/{path.name}", check=False).status == 1


def test_a_disk_is_plugged_in(machine: Guest) -> None:
    device = machine.add_disk(64 * MIB)
    assert machine.run(["blockdev", "--getsize64", device]).stdout == f"{64 * MIB}\n"
    machine.run(f"mkfs.ext4 -q {device} && mount {device} /mnt && umount /mnt")


def test_device_mapper_and_thin_pools_are_there(machine: Guest) -> None:
    targets = machine.run("modprobe dm-thin-pool; dmsetup targets").stdout
    assert "thin-pool" in targets
    assert "thin " in targets


def test_power_cut_keeps_what_was_synced_and_a_snapshot_goes_back(machine: Guest) -> None:
    machine.run("mkfs.ext4 -q -F /dev/ubdc && mount /dev/ubdc /mnt && echo kept > /mnt/a && sync")
    machine.run("echo root > /root/a; sync; echo lost > /mnt/b; echo x > /proc/self/comm")
    machine.cut_power()
    with pytest.raises(GuestGone):
        machine.run("true")
    machine.snapshot("cut")
    machine.boot()
    machine.run("mount /dev/ubdc /mnt")
    assert machine.run("cat /mnt/a /root/a").stdout == "kept\nroot\n"
    assert machine.run("test -e /mnt/b", check=False).status == 1
    machine.run("echo changed > /mnt/a; rm /root/a; sync")

    assert machine.poweroff() < 20
    assert not machine.is_running()
    machine.reset("cut")
    machine.boot()
    assert machine.run("mount /dev/ubdc /mnt && cat /mnt/a /root/a").stdout == "kept\nroot\n"


def test_death_during_a_command_is_told_at_once(machine: Guest) -> None:
    started = time.monotonic()
    hung = machine.start("sleep 1000")
    machine.run("echo 1 > /proc/sys/kernel/sysrq")
    with pytest.raises(GuestGone, match="console of machine"):
        machine.run("echo c > /proc/sysrq-trigger", timeout=30)
    with pytest.raises(GuestGone):
        hung.wait(5)
    assert time.monotonic() - started < 20
    machine.cut_power()  # it may still be at writing its stack to the console
    machine.boot()


def test_two_guests_side_by_side(machine: Guest) -> None:
    cpu = max(os.sched_getaffinity(0))
    with Guest("second", cpu=cpu) as second:
        second.boot()
        assert second._machine is not None
        assert os.sched_getaffinity(second._machine.session) == {cpu}
        names = [guest.run("hostname").stdout.strip() for guest in (machine, second)]
    assert names == ["machine", "second"]
    assert machine.run("true").status == 0


def test_a_failed_boot_shows_the_console_in_time(tmp_path: Path) -> None:
    bad = tmp_path / "bad.img"
    with bad.open("wb") as image:
        image.truncate(16 * MIB)
    started = time.monotonic()
    with (
        Guest("broken", root=bad) as guest,
        pytest.raises(BootFailed, match=r"(?s)broken did not come up.*root"),
    ):
        guest.boot(timeout=20)
    assert time.monotonic() - started < 25


def test_a_boot_that_hangs_ends_with_its_timeout() -> None:
    with Guest("slow") as guest:
        with pytest.raises(BootFailed, match="did not come up"):
            guest.boot(timeout=0.3)
        assert not guest.is_running()


ORPHAN = """
import sys, time
from tests.lab.guest import Guest
guest = Guest("orphan")
guest.boot()
print(guest._machine.session, guest.directory, flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_leaves_nothing_behind(how: signal.Signals) -> None:
    shm = set(Path("/dev/shm").iterdir())
    driver = subprocess.Popen(
        [sys.executable, "-c", ORPHAN],
        cwd=cache.REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert driver.stdout is not None
    session, directory = driver.stdout.readline().split()
    assert uml.members(int(session))
    driver.send_signal(how)
    driver.wait(20)

    def left() -> list[object]:
        # Guests of other runs put their memory there as well, for a moment.
        memory = set(Path("/dev/shm").iterdir()) - shm
        return [*uml.members(int(session)), *Path(directory).glob("*"), *memory]

    deadline = time.monotonic() + 10
    while left() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left() == []
    assert not Path(directory).exists()
