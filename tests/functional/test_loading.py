"""Every way of install loads through Salt's own loader, and offers exactly what it means to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional import installs
from tests.functional.conftest import public_functions

MODULES = ("dockerstorage", "dockerstorage_formula", "dmsetup")
# It loads on masters alone, see test_rolling.py.
ORCHESTRATED = "dockerstorage_rolling"


def offered(kind: str) -> dict[str, object]:
    """Public functions of all our files of a kind, as ``module.function``."""
    return {
        f"{path.stem}.{name}": node
        for path in (installs.ROOT / installs.KINDS[kind]).glob("*.py")
        if path.stem != ORCHESTRATED
        for name, node in public_functions(path).items()
    }


def test_the_files_come_from_where_the_way_puts_them(host):
    files = host.value("probe.files", ["dockerstorage.report", "dmsetup.status"])
    library = Path(files["library"])
    synced = Path(host.factory.config["extension_modules"])
    site = installs.site_packages(host.python.parents[1])
    if host.way == "synced":
        assert library == synced / "utils/dockerstorage_lib/__init__.py"
        folder = synced / "modules"
    elif host.way == "wheel":
        assert library == site / "dockerstorage_lib/__init__.py"
        folder = site / "saltext/dockerstorage/modules"
    else:
        source = host.python.parents[2] / f"src-{host.way}"
        assert library == source / installs.LIBRARY / "__init__.py"
        folder = source / "_modules"
    assert Path(files["dockerstorage.report"]) == folder / "dockerstorage.py"
    assert Path(files["dmsetup.status"]) == folder / "dmsetup.py"


@pytest.fixture(scope="module")
def told(host) -> dict[str, dict]:
    """What the loader tells of our functions: names, signatures, documents; of one process."""
    names, states, *rest = host.ask(
        ("sys.list_functions", list(MODULES), {}),
        (
            "sys.list_state_functions",
            ["dockerstorage", "dockerstorage_formula", ORCHESTRATED],
            {},
        ),
        *(("sys.argspec", [f"{module}.*"], {}) for module in MODULES),
        *(("sys.doc", [module], {}) for module in MODULES),
    )
    specs, documents = rest[: len(MODULES)], rest[len(MODULES) :]
    return {
        "modules": names["return"],
        "states": states["return"],
        "argspecs": {name: spec for one in specs for name, spec in one["return"].items()},
        "documents": {name: text for one in documents for name, text in one["return"].items()},
    }


@pytest.mark.parametrize("kind", ["modules", "states"])
def test_exactly_the_public_functions_are_offered(told, kind):
    assert set(told[kind]) == set(offered(kind))


def test_every_signature_is_told(told):
    for name, node in offered("modules").items():
        assert (told["argspecs"][name]["args"] or []) == [one.arg for one in node.args.args]


def test_every_function_shows_how_it_is_called(told):
    for name in offered("modules"):
        text = told["documents"][name]
        assert "CLI Example:" in text, name
        assert name in text.partition("CLI Example:")[2], f"{name}: the example calls another"


def test_report_says_what_it_could_not_see(host, no_docker):
    answer = host.cli("dockerstorage.report")
    assert answer.returncode == 0, answer
    assert answer.data["engine"]["running"] is False
    assert answer.data["pool"] is None
    unseen = {one["what"]: one["why"] for one in answer.data["unseen"]}
    assert no_docker["docker_url"] in unseen["engine"]
    assert no_docker["data_root"] in unseen["data root"]
    assert answer.data["summary"]


def test_dmsetup_answers_clearly_about_a_device_that_is_not_there(host):
    names = ["status", "table", "info", "deps", "wait", "message"]
    args = {name: ["no-such-device"] for name in names} | {"message": ["no-such-device", "text"]}
    answers = host.ask(*((f"dmsetup.{name}", args[name], {}) for name in names))
    for name, answer in zip(names, answers, strict=True):
        assert answer.get("error") == "CommandExecutionError", (name, answer)
        assert "dmsetup" in answer["text"], (name, answer)


def test_what_needs_the_engine_says_that_it_does_not_answer(host, no_docker):
    names = {"devices": [], "prune": [], "protect": ["busybox"], "unprotect": ["busybox"]}
    answers = host.ask(*((f"dockerstorage.{name}", args, {}) for name, args in names.items()))
    for name, answer in zip(names, answers, strict=True):
        assert answer.get("error") == "CommandExecutionError", (name, answer)
        assert no_docker["docker_url"] in answer["text"], (name, answer)


@pytest.mark.parametrize("state", ["pruned", "protected"])
def test_a_state_fails_with_the_reason(host, no_docker, state):
    answer = host.cli("state.single", f"dockerstorage.{state}", "name=busybox")
    (result,) = answer.data.values()
    assert result["result"] is False
    assert no_docker["docker_url"] in result["comment"]
    assert result["changes"] == {}
    assert "Traceback" not in f"{answer.stdout}{answer.stderr}"
    assert answer.returncode != 0


def test_a_storage_driver_is_declared_before_docker_is_there(host):
    answers = host.ask(
        *(
            ("state.single", ["dockerstorage.driver"], {"name": name, "test": True})
            for name in ("vfs", "overlay3")
        )
    )
    planned, wrong = (next(iter(one["return"].values())) for one in answers)
    assert planned["result"] is None
    assert planned["changes"]["driver"] == {"old": None, "new": "vfs"}
    assert "is not started" in planned["comment"]
    assert (wrong["result"], wrong["changes"]) == (False, {})
    assert "the nearest is overlay" in wrong["comment"]


def test_a_first_highstate_on_a_cold_cache_finds_the_states(make_host, scratch, no_docker):
    served = installs.copy_tree(scratch / "highstate")
    (served / "cleanup.sls").write_text("nightly:\n  dockerstorage.pruned:\n    - min_age: 7d\n")
    host = make_host("highstate", "synced", file_roots={"base": [str(served)]})
    (served / "top.sls").write_text("base:\n  '*':\n    - cleanup\n")
    answer = host.cli("state.highstate")
    (result,) = answer.data.values()
    assert no_docker["docker_url"] in result["comment"], result
    assert "Traceback" not in f"{answer.stdout}{answer.stderr}"


GARBAGE = [
    None, True, 0, 1.5, "", "text", {}, {"pools": "x"}, [], [[]], [None], [1], ["pools"], [{}],
    [{"pools": None}], [{"pools": ""}], [{"pools": 5}], [{"pools": ["x"]}], [{"pools": {"x": 1}}],
    [{"pools": "a"}, {"pools": "b"}], [{"interval": "often"}],
    [{"nonsense": 1}], [{"pools": "x"}, 7],
    [{1: 2}], [{"_beacon_name": "dockerstorage"}], [{"beacon_module": "dockerstorage"}],
]  # fmt: skip


def test_the_beacon_validates_any_configuration_without_raising(host):
    # JSON has no other keys than texts: that of {1: 2} arrives as one.
    for config, answer in zip(
        GARBAGE, host.value("probe.validate", json.loads(json.dumps(GARBAGE))), strict=True
    ):
        valid, message = answer
        assert isinstance(valid, bool), config
        assert isinstance(message, str), config
        assert message, config
        if not isinstance(config, list) or not all(isinstance(part, dict) for part in config):
            assert not valid, config


def test_the_beacon_names_the_wrong_key_and_what_is_allowed(host):
    wrong = [
        ([{"pool": "x"}], ("'pool'", "pools, levels, hysteresis, realert, timeout")),
        ([{"levels": {"waring": 60}}], ("levels", "'waring'", "warning")),
        ([{"levels": {"warning": 95}}], ("levels", "rise")),
        ([{"hysteresis": 500}], ("hysteresis", "0 to 100")),
        ([{"realert": "soon"}], ("realert", "90m")),
        ([{"timeout": 0}], ("timeout", "0.1 to 30")),
        ([{"pools": ["a/b"]}], ("pools", "'a/b'", "/dev/mapper")),
    ]
    right = [
        [],
        [{"interval": 30}, {"pools": ["docker-8:1-5-pool"]}, {"enabled": True}],
        [{"levels": {"warning": 60}}, {"hysteresis": 2.5}, {"realert": "1h"}, {"timeout": 1}],
    ]
    answers = host.value("probe.validate", [config for config, _ in wrong] + right)
    for (config, told), (valid, message) in zip(wrong, answers, strict=False):
        assert not valid, config
        assert all(word in message for word in told), message
    for config, (valid, message) in zip(right, answers[len(wrong) :], strict=True):
        assert valid, (config, message)
