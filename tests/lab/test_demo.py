"""What the README's `make demo` shows."""

from __future__ import annotations

import pytest

from tests.lab import demo


def test_the_demo_shows_a_prune_and_what_it_gave_back(capsys: pytest.CaptureFixture[str]) -> None:
    demo.main()
    shown = capsys.readouterr().out
    parts = [shown.index(f"\n$ salt-call --local --out=json {call} |") for _, call in demo.STEPS]
    assert parts == sorted(parts)
    assert "would remove " in shown[parts[1] : parts[2]]
    assert "\nremoved " in shown[parts[2] : parts[3]]
    assert shown.count("pool docker-") >= 3
