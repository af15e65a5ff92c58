"""Errors, sorted by who must act on them.

``Refused`` and ``BadInput`` promise that nothing was changed.
"""

from __future__ import annotations

from collections.abc import Sequence


class DockerstorageError(Exception):
    """The parent of every error that the core raises on purpose."""


class BadInput(DockerstorageError):
    """The caller's argument cannot be used; nothing was changed."""


class Refused(DockerstorageError):
    """It would be unsafe or impossible to act as things stand; nothing was changed."""


class CommandFailed(DockerstorageError):
    """A program of the system failed, timed out or is missing."""

    def __init__(self, argv: Sequence[str], status: int | None, stderr: str) -> None:
        self.argv = tuple(argv)
        self.status = status
        self.stderr = stderr.strip()
        ended = "did not run to its end" if status is None else f"ended with status {status}"
        super().__init__(f"'{' '.join(argv)}' {ended}: {self.stderr or 'no message'}")


class CommandTimedOut(CommandFailed):
    """A program did not end in its time and was killed."""

    def __init__(self, argv: Sequence[str], timeout_seconds: float) -> None:
        super().__init__(argv, None, f"no end within {timeout_seconds:g} s; killed")


class Interrupted(DockerstorageError):
    """Work was told to end before it was done."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"{operation} was interrupted")


class BrokenOff(DockerstorageError):
    """Work ended midway; says what is done, and that a repeat goes on from there."""

    def __init__(self, operation: str, why: str, done: Sequence[str]) -> None:
        self.done = tuple(done)
        super().__init__(
            f"the {operation} ended midway: {why}. Done by then: {', '.join(done) or 'nothing'}. "
            f"Run it again when the cause is mended: it goes on from there"
        )


class Unparsable(DockerstorageError):
    """A program or file said something this version does not understand."""

    def __init__(self, field: str, line: str) -> None:
        self.field = field
        self.line = line
        super().__init__(f"cannot read {field} from {line!r}")


class Incoherent(DockerstorageError):
    """Two sources disagree, or the world is not as it was after an act."""

    def __init__(self, what: str, expected: object, found: object) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"{what}: expected {expected}, found {found}")


class EngineUnreachable(DockerstorageError):
    """The Docker engine does not answer."""


class EngineRefused(DockerstorageError):
    """The Docker engine answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(f"the engine answered {status}: {message}")


class Damaged(DockerstorageError):
    """A file of a bundle is not what it should be: cut, altered, or made to do harm."""

    def __init__(self, what: str, why: str) -> None:
        self.what = what
        self.why = why
        super().__init__(f"{what} is damaged: {why}")
