"""Who stops the engine starts it again, and nobody else's engine."""

from contextlib import contextmanager, nullcontext

import pytest

from dockerstorage_lib import engine_restart, engine_stop
from dockerstorage_lib.adapters import services
from dockerstorage_lib.errors import Refused

RAN = [{"id": "1", "name": "web"}]


@pytest.fixture
def acts(monkeypatch, tmp_path):
    """What is done to an engine that runs, in order."""
    done = []
    monkeypatch.setattr(engine_stop, "NOTE", tmp_path / "run" / "note")
    monkeypatch.setattr(services, "held_off", nullcontext)
    monkeypatch.setattr(services, "daemon", lambda: "daemon")
    monkeypatch.setattr(engine_restart, "running", lambda *_: RAN)
    monkeypatch.setattr(engine_restart, "end_wholly", lambda *_: done.append("end"))
    monkeypatch.setattr(engine_restart, "start", lambda *_: done.append("start"))
    monkeypatch.setattr(
        engine_restart, "run_again", lambda _, wanted: done.append([*wanted]) or ["web (no)"]
    )
    return done


def stopped():
    return engine_stop.stopped(lambda *_: None, "/root", "devicemapper")


def test_what_ran_runs_again_after_failed_work_too(acts):
    with pytest.raises(Refused, match="damaged"), stopped() as stop:
        raise Refused("damaged" if engine_stop.NOTE.exists() else "no note")
    assert acts == ["end", "start", RAN]
    assert stop.not_running == ["web (no)"]
    assert not engine_stop.NOTE.exists()


def test_an_engine_that_did_not_run_stays_so(acts, monkeypatch):
    monkeypatch.setattr(services, "daemon", lambda: None)
    with stopped() as stop:
        assert not stop.was_running
    assert acts == ["end"]


def test_what_a_killed_process_had_stopped_is_started(acts, monkeypatch):
    monkeypatch.setattr(engine_restart, "end_wholly", lambda *_: (_ for _ in ()).throw(SystemExit))
    monkeypatch.setattr(engine_restart, "start", lambda *_: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit), stopped():
        pass
    monkeypatch.setattr(services, "daemon", lambda: None)
    monkeypatch.setattr(engine_restart, "end_wholly", lambda *_: acts.append("end"))
    monkeypatch.setattr(engine_restart, "start", lambda *_: acts.append("start"))
    with stopped() as stop:
        assert stop.was_running
    assert acts == ["end", "start", RAN]


def test_an_engine_that_others_hold_off_is_not_started(acts, monkeypatch):
    @contextmanager
    def taken():
        raise Refused("other work")
        yield

    engine_stop.NOTE.parent.mkdir()
    engine_stop.NOTE.write_text("[]")
    monkeypatch.setattr(services, "held_off", taken)
    monkeypatch.setattr(services, "daemon", lambda: None)
    with pytest.raises(Refused), stopped():
        pass
    assert acts == []
    assert engine_stop.NOTE.exists()


def test_what_a_stop_would_break_is_refused_with_nothing_done(acts, monkeypatch):
    def refuse(*_):
        raise Refused("--rm")

    monkeypatch.setattr(engine_restart, "running", refuse)
    with pytest.raises(Refused), stopped():
        pass
    assert acts == []
    assert not engine_stop.NOTE.exists()
