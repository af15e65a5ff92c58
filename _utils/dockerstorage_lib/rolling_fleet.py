"""What minions answer, as a rolling change reads it. Salt's client itself is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

#: An error's text goes into a table.
LONGEST = 600


@dataclass(frozen=True)
class Answer:
    """What one minion returned, or why it did not."""

    value: Any = None
    error: str | None = None
    #: Whether there was no answer at all.
    silent: bool = False


class Fleet(Protocol):
    """The minions of a master."""

    def match(self, tgt: str | Sequence[str], tgt_type: str) -> list[str]:
        """Ids of the minions with an accepted key that a target names."""

    def ask(
        self,
        minions: Sequence[str],
        function: str,
        arguments: Sequence[Any] = (),
        **named: Any,
    ) -> dict[str, Answer]:
        """What each of them returns; waits as long as they are at it."""


def read_answers(minions: Iterable[str], raw: Mapping[str, Any]) -> dict[str, Answer]:
    """The answers in what Salt's local client gives: ``{id: {"ret": ..., "retcode": ...}}``."""
    return {minion: _read(raw.get(minion)) for minion in minions}


def _read(found: Any) -> Answer:
    if not isinstance(found, Mapping) or "ret" not in found:
        return Answer(error="no answer", silent=True)
    value = found["ret"]
    # A state that fails has a status other than 0 too, and a dict to read.
    if found.get("retcode") and isinstance(value, str):
        return Answer(error=_clean(value))
    return Answer(value)


def _clean(text: str) -> str:
    """An error's own sentence, without what Salt puts around it."""
    if "Traceback (most recent call last)" in text:
        text = text.strip().splitlines()[-1]
    text = text.removeprefix("ERROR: ").removeprefix("ERROR executing ")
    if text.startswith("Passed invalid arguments"):
        text = text.partition("\n")[0]
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def state_failure(answer: Answer) -> str | None:
    """Why an application of states failed; None if it did not."""
    if answer.error is not None:
        return answer.error
    if isinstance(answer.value, list):
        return "; ".join(map(str, answer.value)) or "nothing came back"
    if not isinstance(answer.value, Mapping):
        return f"it returned {answer.value!r}"
    failed = [
        f"{one.get('__id__', key.split('_|-')[1] if '_|-' in key else key)}: {one['comment']}"
        for key, one in answer.value.items()
        if isinstance(one, Mapping) and one.get("result") is False
    ]
    return "; ".join(failed) or None


def is_busy(answer: Answer) -> bool:
    """Whether states were not applied because others are being applied on that minion."""
    value = answer.value
    return isinstance(value, list) and any("is running as PID" in str(one) for one in value)
