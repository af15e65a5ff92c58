"""A minion without a master: a schedule calls the remedy, as docs/watching.md shows."""

from __future__ import annotations

import json
import time

from tests.functional.conftest import QUIET


def test_a_schedule_calls_the_remedy(salt_factories, install, scratch, no_docker):
    results = scratch / "scheduled.json"
    minion = salt_factories.salt_minion_daemon(
        "masterless",
        overrides={
            **QUIET,
            "file_client": "local",
            "master_type": "disable",
            "loop_interval": 1,
            "dockerstorage": no_docker,
            "rawfile_json.filename": str(results),
            "schedule": {
                "remediate": {
                    "function": "dockerstorage.remediate",
                    "kwargs": {"pool": "absent"},
                    "seconds": 2,
                    "maxrunning": 1,
                    "returner": "rawfile_json",
                }
            },
        },
    )
    minion.python_executable = str(install("masterless", "wheel"))
    with minion.started():
        deadline = time.monotonic() + 60
        while not results.exists() and time.monotonic() < deadline:
            time.sleep(0.5)
    first = json.loads(results.read_text().splitlines()[0])
    assert first["fun"] == "dockerstorage.remediate"
    assert "absent" in str(first["return"]), first
