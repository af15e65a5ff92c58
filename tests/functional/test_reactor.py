"""What the reactor does with an event: a job for the minion that signed it, or nothing at all.

Salt's own reactor renders the sls, and the beacon's own code signs; a stand-in for
``dockerstorage.watch`` says what was seen.
"""

from __future__ import annotations

import copy
import logging
import time

import pytest
import salt.config

from tests.functional import reactions
from tests.functional.keys import key_pair

EXECUTED = "/tmp/dockerstorage-was-executed"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The master's folder of keys: two accepted minions and a pending one."""
    folder = tmp_path_factory.mktemp("pki")
    for state, minion in (("minions", "host1"), ("minions", "host2"), ("minions_pre", "host3")):
        own = folder / f"of-{minion}"
        for one in (own, folder / state):
            one.mkdir(exist_ok=True)
        private, public = key_pair()
        (own / "minion.pem").write_bytes(private)
        (folder / state / minion).write_bytes(public)
    return folder


@pytest.fixture(scope="module")
def reactor(keys, tmp_path_factory):
    root = tmp_path_factory.mktemp("master")
    opts = salt.config.apply_master_config(
        {"root_dir": str(root), "pki_dir": str(keys), "cachedir": str(root / "cache")}
    )
    opts["pki_dir"] = str(keys)
    return reactions.Reactor(opts)


@pytest.fixture(scope="module")
def signed(keys, tmp_path_factory):
    """A function: the event that a minion's beacon makes of what was seen, as it arrives."""
    root = tmp_path_factory.mktemp("minion")

    def make(minion="host1", **seen):
        opts = salt.config.apply_minion_config({"root_dir": str(root), "id": minion})
        opts["pki_dir"] = str(keys / f"of-{minion}")
        return {**reactions.signed(opts, **seen), "_stamp": "2026-01-01T00:00:00.000000"}

    return make


def jobs(reactor, event, tag="salt/beacon/host1/dockerstorage/critical"):
    return reactor.jobs(tag, copy.deepcopy(event))


def test_a_signed_event_is_a_job_for_that_minion_alone(reactor, signed):
    (job,) = jobs(reactor, signed())
    assert (job["state"], job["fun"]) == ("local", "dockerstorage.remediate")
    assert (job["tgt"], job["tgt_type"]) == (["host1"], "list")
    assert job["args"] == [{"pool": "docker-8:1-5-pool"}]
    (job,) = jobs(reactor, signed("host2"))
    assert job["tgt"] == ["host2"], "the tag is not what counts"


@pytest.mark.parametrize("state", ["ok", "gone"])
def test_what_needs_no_remedy_gets_none(reactor, signed, state):
    assert not jobs(reactor, signed(state=state))


def without(event, key):
    return {name: value for name, value in event.items() if name != key}


FORGERIES = {
    "unsigned": lambda e, other: without(e, "signature"),
    "another minion's id": lambda e, other: {**e, "id": "host2"},
    "another pool": lambda e, other: {**e, "pool": "other"},
    "another state": lambda e, other: {**e, "state": "emergency"},
    "a new key": lambda e, other: {**e, "fun": "cmd.run", "tgt": "*"},
    "a key less": lambda e, other: without(e, "text"),
    "another minion's signature": lambda e, other: {**e, "signature": other["signature"]},
    "a signature that is none": lambda e, other: {**e, "signature": "!!!"},
    "an empty signature": lambda e, other: {**e, "signature": ""},
    "a signature that is no text": lambda e, other: {**e, "signature": 5},
    "signed long ago": lambda e, other: {**e, "signed_at": e["signed_at"] + 1},
    "every minion": lambda e, other: {**e, "id": "*"},
    "a list of minions": lambda e, other: {**e, "id": "host1,host2"},
    "no id": lambda e, other: without(e, "id"),
    "an id that is no text": lambda e, other: {**e, "id": ["host1"]},
    "an id that is a path": lambda e, other: {**e, "id": "../minions_pre/host3"},
    "an id that is a folder": lambda e, other: {**e, "id": "."},
    "an empty id": lambda e, other: {**e, "id": ""},
    "wrapped as event.send does": lambda e, other: {"id": "host1", "data": e},
    "a list": lambda e, other: [e],
    "a text": lambda e, other: "{{ salt['cmd.run']('id') }}",
    "nothing": lambda e, other: None,
    "empty": lambda e, other: {},
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forgery_is_no_job(reactor, signed, kind, caplog):
    forged = FORGERIES[kind](signed(), signed("host2"))
    with caplog.at_level(logging.WARNING):
        assert not jobs(reactor, forged)
    assert "no reaction to the event" in caplog.text
    assert "Failed to render" not in caplog.text


def test_a_minion_that_is_not_accepted_is_not_heard(reactor, signed):
    assert not jobs(reactor, signed("host3"))


@pytest.mark.parametrize("seconds", [-700, 700])
def test_an_old_event_heard_again_is_no_news(reactor, signed, monkeypatch, seconds):
    with monkeypatch.context() as patched:
        now = time.time()
        patched.setattr(time, "time", lambda: now + seconds)
        event = signed()
    assert abs(event["signed_at"] - time.time()) > 600
    assert not jobs(reactor, event)


@pytest.mark.parametrize(
    "name",
    [
        "{{ salt['cmd.run']('touch " + EXECUTED + "') }}",
        f"$(touch {EXECUTED})",
        f"`touch {EXECUTED}`",
        f"x; touch {EXECUTED}",
        "x\ny",
        "x\n",
        "a b",
        "a/b",
        "-rf",
        "pool=x test=True",
        "ß",
        "",
        "x" * 128,
        "*",
        None,
        5,
        ["pool"],
        {"pool": "x"},
    ],
)
def test_a_pool_of_an_odd_name_is_no_job_even_when_signed(reactor, signed, name, tmp_path):
    assert not jobs(reactor, signed(pool=name))


@pytest.mark.parametrize(
    "name", ["docker-8:1-5-pool", "vg-my--thin-tpool", r"a\x20b", "a+b_c.d", "x" * 127]
)
def test_a_pool_of_any_real_name_is_a_job(reactor, signed, name):
    (job,) = jobs(reactor, signed(pool=name))
    assert job["args"] == [{"pool": name}]


@pytest.mark.parametrize("state", ["", "{{ 1 }}", "cmd.run", None, 5, ["critical"]])
def test_a_state_that_is_none_is_no_job(reactor, signed, state):
    assert not jobs(reactor, signed(state=state))


def test_a_minion_without_a_key_sends_unsigned(signed, keys, tmp_path):
    (keys / "of-nobody").mkdir()
    event = signed("nobody")
    assert "signature" not in event
    assert event["pool"] == reactions.SEEN["pool"]
