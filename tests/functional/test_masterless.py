"""A minion without a master: a schedule calls the remedy, as docs/watching.md shows."""

from __future__ import annotations

import time
from pathlib import Path

from tests.functional.conftest import QUIET


def test_a_schedule_calls_the_remedy(salt_factories, install, no_docker):
    minion = salt_factories.salt_minion_daemon(
        "masterless",
        overrides={
            **QUIET,
            "file_client": "local",
            "master_type": "disable",
            "loop_interval": 1,
            "dockerstorage": no_docker,
            "schedule": {
                "remediate": {
                    "function": "dockerstorage.remediate",
                    "kwargs": {"pool": "absent"},
                    "seconds": 2,
                    "maxrunning": 1,
                    "return_job": False,
                }
            },
        },
    )
    minion.python_executable = str(install("masterless", "wheel"))
    file = Path(minion.config["log_file"])

    def log():
        return file.read_text() if file.exists() else ""

    with minion.started():
        deadline = time.monotonic() + 60
        while "dockerstorage.remediate" not in log() and time.monotonic() < deadline:
            time.sleep(0.5)
        time.sleep(1)
    # There is no such pool, nor any on most machines: that the remedy fails shows that it ran.
    assert "Unhandled exception running dockerstorage.remediate" in log()
    assert "in remediate\n" in log(), "the function itself"
    assert "Error dispatching event" not in log(), "a return for a master"
