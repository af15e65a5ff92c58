"""The formula's pillar: what is wrong is told with its path and with what is allowed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dockerstorage_lib import VERSION, formula
from dockerstorage_lib.errors import BadInput
from dockerstorage_lib.formula_schema import PILLAR, TIMES, Section

ROOT = Path(__file__).resolve().parents[2]
FORMULA = ROOT / "salt/formulas/dockerstorage"

#: Each wrong pillar has one mistake; what is told of it begins with the path.
WRONG = [
    (None, ": None is no mapping", "docker_url, data_root"),
    (["prune"], ": ['prune'] is no mapping", "prune"),
    ({"prun": {}}, ":prun: there is no such key; the nearest: prune; allowed", "metrics"),
    ({7: {}}, ":7: there is no such key", "allowed"),
    ({"docker_url": 5}, ":docker_url: 5 is no text", "quote"),
    ({"data_root": "var"}, ":data_root: 'var'", "absolute"),
    ({"protect": ["a,b"]}, ":protect: 'a,b'", "as a list"),
    ({"protect_names": "[db"}, ":protect_names: '[db'", "set"),
    ({"remediate": None}, ":remediate: None is no mapping", "cooldown"),
    ({"remediate": {"order": ["erase"]}}, ":remediate:order: ['erase']", "spare"),
    ({"remediate": {"target_percent": 85}}, ":remediate:target_percent: 85", "less than"),
    ({"remediate": {"coldown": 5}}, ":remediate:coldown: there is no such key", "cooldown"),
    ({"remediate": {"prune": {"min_age": "x"}}}, ":remediate:prune:min_age: 'x'", "7d"),
    ({"remediate": {"prune": {"until_percent": 60}}}, ":remediate:prune:until_percent: ", "allow"),
    ({"dependencies": {"enabled": "yes"}}, ":dependencies:enabled: 'yes'", "True nor False"),
    ({"dependencies": {"os_packages": {"a": 1}}}, ":dependencies:os_packages: ", "list"),
    ({"dependencies": {"python_packages": [5]}}, ":dependencies:python_packages: [5]", "list"),
    ({"dependencies": {"index_url": ["x"]}}, ":dependencies:index_url: ['x']", "text"),
    ({"dependencies": {"find_links": ""}}, ":dependencies:find_links: ''", "text"),
    ({"thinpool": {"enabled": True}}, ":thinpool:name: is needed", "docker/thinpool"),
    ({"thinpool": {"name": "pool"}}, ":thinpool:vg: name the volume group", "vg/pool"),
    ({"thinpool": {"name": "docker/a b"}}, ":thinpool:name: 'a b'", "letters"),
    ({"thinpool": {"size": "95%"}}, ":thinpool:size: '95%'", "95%FREE"),
    ({"thinpool": {"chunk_size": "63K"}}, ":thinpool:chunk_size: ", "64K"),
    ({"thinpool": {"autoextend_threshold": 40}}, ":thinpool:autoextend_threshold: 40", "50 to 100"),
    ({"thinpool": {"when_full": "panic"}}, ":thinpool:when_full: 'panic'", "error, queue"),
    ({"driver": {"enabled": True}}, ":driver:name: is needed", "overlay2"),
    ({"driver": {"name": "overlay3"}}, ":driver:name: ", "the nearest is overlay"),
    ({"driver": {"name": "vfs", "options": ["dm.fs=x"]}}, ":driver:options: ", "devicemapper"),
    ({"driver": {"migrate": "yes"}}, ":driver:migrate: 'yes'", "True nor False"),
    ({"driver": {"method": "magic"}}, ":driver:method: 'magic'", "graft, bundle"),
    ({"protection": {"enabled": True}}, ":protection:images: is needed", "postgres:13"),
    ({"protection": {"label": "a!=b"}}, ":protection:label: 'a!=b'", "'a'"),
    ({"prune": {"min_age": "7 dayz"}}, ":prune:min_age: '7 dayz' is no age", "90m, 12h, 7d, 2w"),
    ({"prune": {"volumes": "named"}}, ":prune:volumes: 'named'", "'anonymous', 'all'"),
    ({"prune": {"test": True}}, ":prune:test: there is no such key", "min_age"),
    ({"prune": {"schedule": "daily"}}, ":prune:schedule: 'daily' is no mapping", "seconds"),
    ({"prune": {"schedule": {}}}, ":prune:schedule: no time", "when, cron"),
    ({"prune": {"schedule": {"splay": 60}}}, ":prune:schedule: no time", "when, cron"),
    ({"prune": {"schedule": {"when": 210}}}, ":prune:schedule:when: 210", "quote"),
    ({"prune": {"schedule": {"when": []}}}, ":prune:schedule:when: []", "3:30am"),
    ({"prune": {"schedule": {"cron": "daily"}}}, ":prune:schedule:cron: 'daily'", "five"),
    ({"prune": {"schedule": {"days": 0}}}, ":prune:schedule:days: 0", "1 or more"),
    ({"prune": {"schedule": {"days": True}}}, ":prune:schedule:days: True", "1 or more"),
    ({"prune": {"schedule": {"days": 1, "splay": -1}}}, ":prune:schedule:splay: -1", "seconds"),
    ({"prune": {"schedule": {"days": 1, "when": "3am"}}}, ":prune:schedule: an interval", "cron"),
    ({"export": {"enabled": True}}, ":export:dest: is needed", "/srv/backup"),
    ({"export": {"dest": "backup"}}, ":export:dest: 'backup'", "absolute"),
    ({"export": {"level": 20}}, ":export:level: 20", "1 to 19"),
    ({"export": {"images": 5}}, ":export:images: 5", "list"),
    ({"export": {"labels": [""]}}, ":export:labels: ''", "key=value"),
    ({"export": {"logs": 1}}, ":export:logs: 1", "True nor False"),
    ({"export": {"replace": True}}, ":export:replace: there is no such key", "allowed"),
    ({"beacon": {"interval": "30s"}}, ":beacon:interval: '30s'", "whole number"),
    ({"beacon": {"levels": {"waring": 60}}}, ":beacon:levels: 'waring'", "warning"),
    ({"beacon": {"pools": ["a/b"]}}, ":beacon:pools: 'a/b'", "/dev/mapper"),
    ({"beacon": {"realert": "soon"}}, ":beacon:realert: 'soon'", "90m"),
    ({"beacon": {"timeout": 0}}, ":beacon:timeout: 0", "0.1 to 30"),
    ({"reactor": {"file": "x.conf"}}, ":reactor:file: 'x.conf'", "absolute"),
    ({"remediation": {"pool": 5}}, ":remediation:pool: 5", "quote"),
    ({"metrics": {"path": "here"}}, ":metrics:path: 'here'", "absolute"),
]  # fmt: skip


@pytest.mark.parametrize(("pillar", "begins", "tells"), WRONG, ids=lambda value: str(value)[:60])
def test_what_is_wrong_is_told_with_its_path(pillar, begins, tells):
    (told,) = formula.problems(pillar)
    assert told.startswith(f"dockerstorage{begins}")
    assert tells in told


def test_all_that_is_wrong_is_told_at_once():
    pillar = {"prun": {}, "prune": {"min_age": "x", "keep_tags": -1}, "driver": {"name": "x"}}
    with pytest.raises(BadInput) as raised:
        formula.settings(pillar)
    paths = re.findall(r"^- ([\w:]+): ", str(raised.value), re.MULTILINE)
    told = "prun", "prune:min_age", "prune:keep_tags", "driver:name"
    assert paths == [f"dockerstorage:{path}" for path in told]


def defaults() -> dict:
    return yaml.safe_load((FORMULA / "defaults.yaml").read_text())


def families() -> dict:
    return yaml.safe_load((FORMULA / "osfamilymap.yaml").read_text())


@pytest.mark.parametrize("family", ["Debian", "RedHat", "Other"])
def test_an_empty_pillar_installs_and_watches_and_does_nothing_else(family):
    found = formula.settings({}, defaults(), families().get(family, {}))
    enabled = {name for name, section in found.items() if section["enabled"]}
    assert enabled == {"dependencies", "beacon"}
    assert bool(found["dependencies"]["os_packages"]) == (family != "Other")


def test_every_concern_has_a_default():
    concerns = {name for name, one in PILLAR.keys.items() if isinstance(one, Section)}
    assert set(defaults()) == concerns - {"remediate"}


def test_a_time_takes_the_place_of_the_default_as_a_whole():
    pillar = {"prune": {"enabled": True, "schedule": {"hours": 12}}, "protect": "keep"}
    found = formula.settings(pillar, defaults())
    assert found["prune"]["schedule"] == {"hours": 12}
    assert found["prune"]["min_age"] == defaults()["prune"]["min_age"]
    assert found["protect"] == "keep"
    assert formula.settings({}, defaults()) == defaults()


def keys_of(section: Section) -> dict:
    """The schema as a tree; times are told in one place."""
    return {
        key: keys_of(one) if isinstance(one, Section) else None
        for key, one in section.keys.items()
        if key != "schedule"
    }


def keys_in(pillar: dict, like: dict) -> dict:
    return {
        key: keys_in(value, like[key]) if isinstance(like.get(key), dict) else None
        for key, value in pillar.items()
        if key != "schedule"
    }


def test_the_example_has_exactly_the_keys_there_are_and_a_word_on_each():
    text = (FORMULA / "pillar.example").read_text()
    pillar = yaml.safe_load(text)["dockerstorage"]
    assert formula.problems(pillar) == []
    known = keys_of(PILLAR)
    assert keys_in(pillar, known) == known
    for name, section in PILLAR.keys.items():
        if isinstance(section, Section):
            assert ("schedule" in section.keys) == ("schedule" in pillar[name])
    assert all(re.search(rf"\b{time}\b", text) for time in (*TIMES, "splay"))


def test_every_concern_of_the_example_may_be_enabled():
    pillar = yaml.safe_load((FORMULA / "pillar.example").read_text())["dockerstorage"]
    for section in pillar.values():
        if isinstance(section, dict) and "enabled" in section:
            section["enabled"] = True
    assert formula.problems(pillar) == []


def test_the_check_loads_without_the_packages_that_the_formula_installs():
    script = """
import sys
sys.path.insert(0, sys.argv[1])
sys.modules.update(dict.fromkeys(("docker", "sh", "zstandard", "requests")))
from dockerstorage_lib import VERSION, formula
assert formula.problems({}) == []
"""
    subprocess.run([sys.executable, "-c", script, str(ROOT / "_utils")], check=True, timeout=60)


@pytest.mark.parametrize("module", ["dockerstorage", "dockerstorage_formula"])
def test_a_module_is_of_the_library_s_version(module):
    text = (ROOT / f"_modules/{module}.py").read_text()
    assert re.findall(r'^LIBRARY_VERSION = "(.+)"$', text, re.MULTILINE) == [VERSION]
