"""A real master orchestrates real minions that have no Docker: it finds out, and changes nothing.

The whole way of an operator: the extension is synced to the master, from a cold cache, the sls is
served by its file roots under both of its names. Rolling changes of Docker hosts are the lab's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.functional import installs
from tests.functional.conftest import QUIET

MINION, BARE, SILENT = "roll-1", "roll-2", "roll-3"
SCRIPT = Path(__file__).with_name("orchestrations.py")
MIGRATE = {"tgt": MINION, "migrate": {"driver": "overlay2"}, "timeout": 3}
NEEDS_PILLAR = """\
{% set minion = pillar['dockerstorage']['rolling']['minion'] %}
{{ pillar['balancer'] }}-out:
  test.nop:
    - name: {{ minion }}
"""


@pytest.fixture(scope="module")
def served(scratch) -> Path:
    tree = installs.copy_tree(scratch / "orchestrated")
    (tree / "lb").mkdir()
    (tree / "lb/drain.sls").write_text(NEEDS_PILLAR)
    return tree


@pytest.fixture(scope="module")
def master(salt_factories, served, install, scratch):
    factory = salt_factories.salt_master_daemon(
        "roll",
        overrides={
            **QUIET,
            "file_roots": {"base": [str(served), str(served / "salt/formulas")]},
            "gather_job_timeout": 2,
            "grains_cache": True,  # each run loads them anew
        },
    )
    # A master has no need of 'docker' and 'sh', but must not see the extension by chance.
    factory.python = install("roll", "synced")
    with factory.started():
        yield factory


@pytest.fixture(scope="module")
def minions(master, install, no_docker):
    """One with the extension and no Docker, one with nothing, and the key of one that is off."""
    own, bare = (
        master.salt_minion_daemon(name, overrides={**QUIET, "dockerstorage": no_docker})
        for name in (MINION, BARE)
    )
    own.python_executable = str(install("roll-1", "wheel"))
    bare.python_executable = str(install("roll-2", "synced"))
    with own.started(), bare.started():
        keys = Path(master.config["pki_dir"]) / "minions"
        shutil.copy(keys / MINION, keys / SILENT)
        yield


@pytest.fixture(scope="module")
def synced(master, minions):
    """The extension on the master, as its docs say."""
    done = master.salt_run_cli(timeout=60).run("saltutil.sync_all")
    assert "states.dockerstorage_rolling" in str(done.data), done
    return done.data


@pytest.fixture
def orchestrate(master, synced):
    """A function: what the state told, of each of some runs in one process."""

    def run(*runs):
        done = subprocess.run(
            [str(master.python), str(SCRIPT), master.config["conf_file"]],
            input=json.dumps(
                [(mods, {"dockerstorage": {"rolling": given}}, test) for mods, given, test in runs]
            ),
            capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def orch(action="migrate"):
    return f"dockerstorage.orch.{action}"


HOOKS = [
    {"sls": "lb.gone"},
    {"sls": "lb.drain"},
    {"sls": "lb.drain", "tgt": "lb*"},
    {"sls": "lb.drain", "tgt": BARE, "pillar": {"balancer": "haproxy"}},
]
RUNS = [
    (orch(), {**MIGRATE, "batches": 2}, False, ["rolling:batches is no key; allowed are tgt"]),
    (f"salt.formulas.{orch()}", {"tgt": MINION}, True, ["rolling:migrate is missing"]),
    (orch(), {**MIGRATE, "tgt": "web*"}, False, ["'web*' (glob) is no minion whose key is"]),
    (orch(), {"resume": True}, False, ["there is no record of a rolling migrate to go on with"]),
    (orch("prune"), {"tgt": MINION, "prune": {}}, False, ["roll-1: the engine's socket does not"]),
    (
        orch(),
        {**MIGRATE, "drain": HOOKS},
        True,
        [
            "roll-1: the engine's socket does not exist",
            "lb.gone does not render: No matching sls found for 'lb.gone'",
            "roll-1: dockerstorage:rolling:drain: lb.drain does not render",
            "has no attribute 'balancer'",
            "drain:tgt: 'lb*' (glob) is no minion",
        ],
    ),
]


def test_what_cannot_be_done_is_refused_with_its_reason(orchestrate, master):
    answers = orchestrate(*((mods, given, test) for mods, given, test, _ in RUNS))
    for answer, (*_, words) in zip(answers, RUNS, strict=True):
        assert (answer["result"], answer["changes"]) == (False, {}), answer
        assert [word for word in words if word not in answer["comment"]] == [], answer["comment"]
    assert f"{BARE}:" not in answers[-1]["comment"], "a hook gets the pillar that it will get"
    records = Path(master.config["cachedir"]) / "dockerstorage/rolling"
    assert not list(records.rglob("journal.jsonl"))


def test_an_operator_reads_which_minions_cannot_take_part(master, synced):
    given = json.dumps({"dockerstorage": {"rolling": {**MIGRATE, "tgt": "roll-*"}}})
    done = master.salt_run_cli(timeout=60).run("state.orchestrate", orch(), f"pillar={given}")
    assert done.returncode != 0
    told = str(done.data)
    assert f"{SILENT}: no answer" in told
    assert f"{BARE}: 'dockerstorage.health' is not available" in told
    assert f"{MINION}: the engine's socket does not exist" in told
    assert "Traceback" not in f"{done.stdout}{done.stderr}"


def test_a_host_without_docker_is_not_healthy(master, minions):
    cli = master.salt_cli(timeout=60)
    found = cli.run("dockerstorage.health", "expected=web", minion_tgt=MINION).data
    assert (found["healthy"], found["kinds"], found["driver"]) == (False, ["engine"], None)
    done = cli.run("state.single", "dockerstorage.healthy", "now", minion_tgt=MINION).data
    (state,) = done.values()
    assert state["result"] is False
    assert state["changes"] == {}
    assert "the engine's socket does not exist" in state["comment"]
