"""What the README's `make demo` shows."""

from __future__ import annotations

import pytest

from tests.lab import demo


def test_the_demo_shows_a_prune_and_what_it_gave_back(capsys: pytest.CaptureFixture[str]) -> None:
    demo.main()
    shown = capsys.readouterr().out
    _, *parts = shown.split("\n$ salt-call --local --out=json ")
    assert [part.partition(" |")[0] for part in parts] == [call for _, call in demo.STEPS]
    before, foretold, done, after = parts
    assert "would remove " in foretold
    assert "\nremoved " in done
    assert "pool docker-" in before
    assert "pool docker-" in after
