"""The settings of a rolling change: a wrong one is named with its path and what is allowed."""

from __future__ import annotations

import pytest

from dockerstorage_lib import rolling_settings
from dockerstorage_lib.errors import BadInput
from dockerstorage_lib.rolling_fleet import Answer, is_busy, read_answers, state_failure

GOOD = {"tgt": "db*", "migrate": {"driver": "overlay2"}}
WRONG = [
    (None, "dockerstorage:rolling: None is no mapping; allowed are tgt,"),
    ("db*", "dockerstorage:rolling: 'db*' is no mapping"),
    ({}, "dockerstorage:rolling:tgt is missing"),
    ({"tgt": "db*"}, "dockerstorage:rolling:migrate is missing"),
    ({**GOOD, "target": "x"}, "dockerstorage:rolling:target is no key; allowed are tgt,"),
    ({**GOOD, "tgt": ""}, "rolling:tgt: '' is no target"),
    ({**GOOD, "tgt": 5}, "rolling:tgt: 5"),
    ({**GOOD, "tgt_type": "regex"}, "rolling:tgt_type: 'regex'; allowed are glob, pcre,"),
    ({**GOOD, "tgt": ["a"], "tgt_type": "glob"}, "rolling:tgt_type: 'glob'; a list of ids"),
    ({**GOOD, "migrate": "overlay2"}, "rolling:migrate: 'overlay2' is no mapping"),
    ({**GOOD, "migrate": {}}, "rolling:migrate:driver"),
    ({**GOOD, "migrate": {"driver": "overlay2", "test": True}}, "rolling:migrate:test is no key"),
    ({**GOOD, "canary": -1}, "rolling:canary: -1"),
    ({**GOOD, "canary": True}, "rolling:canary: True"),
    ({**GOOD, "canary": ["a", "a"]}, "rolling:canary"),
    ({**GOOD, "batch": 0}, "rolling:batch: 0"),
    ({**GOOD, "batch": "0%"}, "rolling:batch: '0%'"),
    ({**GOOD, "batch": "101%"}, "rolling:batch: '101%'"),
    ({**GOOD, "batch": "5"}, "rolling:batch: '5'"),
    ({**GOOD, "pause": "soon"}, "rolling:pause: 'soon'"),
    ({**GOOD, "health": {}}, "rolling:health"),
    ({**GOOD, "timeout": 0}, "rolling:timeout: 0"),
    ({**GOOD, "resume": "yes"}, "rolling:resume: 'yes'"),
    ({**GOOD, "forget": 1}, "rolling:forget: 1"),
    ({**GOOD, "name": "../x"}, "rolling:name: '../x'"),
    ({**GOOD, "drain": "lb.drain"}, "rolling:drain: 'lb.drain' is no mapping; allowed are sls"),
    ({**GOOD, "drain": {"sls": []}}, "rolling:drain:sls"),
    ({**GOOD, "drain": {"sls": "a b"}}, "rolling:drain:sls: 'a b'"),
    ({**GOOD, "drain": {"state": "a"}}, "rolling:drain:state is no key"),
    ({**GOOD, "drain": {"sls": "a", "tgt_type": "glob"}}, "rolling:drain:tgt_type"),
    ({**GOOD, "drain": {"sls": "a", "tgt": "x", "tgt_type": "y"}}, "rolling:drain:tgt_type: 'y'"),
    ({**GOOD, "drain": {"sls": "a", "pillar": {"dockerstorage": 1}}}, "rolling:drain:pillar"),
    ({**GOOD, "drain": [{"sls": "a"}, 5]}, "rolling:drain: 5"),
]


@pytest.mark.parametrize(("given", "told"), WRONG)
def test_a_wrong_setting_is_named_with_its_path(given, told):
    with pytest.raises(BadInput) as wrong:
        rolling_settings.read("migrate", given)
    assert told in str(wrong.value)


def test_a_prune_takes_what_the_minions_take_but_for_test():
    given = {"tgt": "db*", "prune": {"min_age": "7d"}}
    assert rolling_settings.read("prune", given).arguments == {"min_age": "7d"}
    with pytest.raises(BadInput, match="rolling:prune:test"):
        rolling_settings.read("prune", {"tgt": "db*", "prune": {"test": True}})


def test_defaults_are_careful():
    found = rolling_settings.read("migrate", GOOD)
    assert (found.canary, found.batch, found.steps) == (1, 1, ("act", "health"))
    assert (found.name, found.resume, found.pause_seconds) == ("migrate", False, 0)


def test_hooks_are_one_or_several_here_or_elsewhere():
    hooks = {
        "drain": [{"sls": ["a", "b"]}, {"sls": "c", "tgt": "lb*", "pillar": {"x": 1}}],
        "undrain": {"sls": "d", "tgt": ["lb1", "lb2"]},
    }
    found = rolling_settings.read("migrate", {**GOOD, **hooks})
    assert found.steps == ("drain", "act", "health", "undrain")
    first, second = found.hooks_of("drain")
    assert (first.sls, first.tgt) == (("a", "b"), None)
    assert (second.tgt, second.tgt_type, second.pillar) == ("lb*", "glob", {"x": 1})
    (third,) = found.hooks_of("undrain")
    assert (third.tgt, third.tgt_type) == (("lb1", "lb2"), "list")


def test_answers_of_minions():
    raw = {
        "good": {"ret": {"a": 1}, "retcode": 0},
        "wrong": {"ret": "ERROR: the pool is\n full", "retcode": 1},
        "trace": {"ret": "Traceback (most recent call last):\n  x\nKeyError: 'a'", "retcode": 1},
        "failed": {"ret": {"a_|-b_|-c_|-d": {"result": False, "comment": "no"}}, "retcode": 2},
    }
    found = read_answers([*raw, "silent"], raw)
    assert found["good"] == Answer({"a": 1})
    assert found["wrong"].error == "the pool is full"
    assert found["trace"].error == "KeyError: 'a'"
    assert found["silent"].silent
    assert found["silent"].error
    assert state_failure(found["failed"]) == "b: no"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"a_|-b_|-c_|-d": {"result": True, "comment": ""}}, None),
        ({"a_|-b_|-c_|-d": {"result": None, "comment": ""}}, None),
        (["Rendering SLS x failed", "y"], "Rendering SLS x failed; y"),
        ([], "nothing came back"),
        (None, "it returned None"),
        ("Job queued", "it returned 'Job queued'"),
    ],
)
def test_an_application_of_states_has_failed_unless_it_says_that_it_has_not(value, why):
    assert state_failure(Answer(value)) == why


def test_a_minion_that_applies_other_states_is_busy():
    told = 'The function "state.apply" is running as PID 5 and was started at ... with jid 1'
    assert is_busy(Answer([told]))
    assert not is_busy(Answer(["Rendering failed"]))
    assert not is_busy(Answer({}))
