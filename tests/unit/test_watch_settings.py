"""The beacon's settings are read as meant, or refused by name."""

from __future__ import annotations

import pytest

from dockerstorage_lib import watch_settings
from dockerstorage_lib.errors import BadInput

DEFAULTS = {"pools": None, "levels": None, "hysteresis": 5, "realert": "15m", "timeout": 3}


def read(**given):
    return watch_settings.read(**{**DEFAULTS, **given}, memory=None)


def test_the_defaults():
    wanted = read()
    assert wanted.settings.levels == ((90.0, "emergency"), (80.0, "critical"), (70.0, "warning"))
    assert wanted.settings.realert_seconds == 900
    assert wanted.pools is None


def test_values_are_read_as_meant():
    wanted = read(levels={"warning": 60}, realert=30, pools="a", timeout="0.5")
    assert wanted.settings.levels[2] == (60.0, "warning")
    assert wanted.settings.realert_seconds == 30
    assert wanted.pools == ("a",)
    assert read(pools=["a", "docker-8:1-5-pool", "a"]).pools == ("a", "docker-8:1-5-pool")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"levels": {"waring": 60}}, "levels: 'waring' is no level; allowed are emergency"),
        ({"levels": {"warning": "x"}}, "levels:warning: 'x' is no percent"),
        ({"levels": {"warning": 85}}, "do not rise"),
        ({"levels": {"warning": 0}}, "do not rise"),
        ({"levels": [70, 80]}, "levels: .* is no mapping"),
        ({"hysteresis": -1}, "hysteresis: -1 is no percent"),
        ({"realert": "soon"}, "realert: 'soon' is no age"),
        ({"realert": 0}, "realert: 0 is too short"),
        ({"timeout": 0}, "timeout: 0 is no time"),
        ({"timeout": 3600}, "timeout: 3600"),
        ({"timeout": True}, "timeout: True"),
        ({"pools": []}, "pools: the list is empty"),
        ({"pools": 5}, "pools: 5 is neither"),
        ({"pools": ["/dev/mapper/a"]}, "pools: '/dev/mapper/a' is no device's name"),
        ({"pools": ["a" * 200]}, "pools: 'aaa"),
        ({"pools": [""]}, "pools: '' is no"),
    ],
)
def test_what_is_wrong_is_named(given, told):
    with pytest.raises(BadInput, match=told):
        read(**given)


def test_two_minions_of_one_host_do_not_share_a_memory():
    files = {
        watch_settings.memory_file(minion, name)
        for minion in ("a", "b")
        for name in ("one", "two", None)
    }
    assert len(files) == 5
