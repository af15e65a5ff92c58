"""What can go wrong in the lab. Each error shows the console's tail where it helps."""

from __future__ import annotations


class LabError(Exception):
    """Something in the lab did not go as asked."""


class BootFailed(LabError):
    """The guest did not come up: it died or its time was over."""


class GuestGone(LabError):
    """The guest is not running (any more)."""


class CommandTimeout(LabError):
    """A command in the guest did not end in its time; it was killed there."""


class CommandFailed(LabError):
    """A command in the guest ended with another status than 0."""

    def __init__(self, command: str, status: int, stdout: str, stderr: str) -> None:
        self.command, self.status, self.stdout, self.stderr = command, status, stdout, stderr
        super().__init__(
            f"{command}\nended with {status}\n-- stdout\n{stdout[-3000:]}\n-- stderr\n"
            f"{stderr[-3000:]}"
        )
