"""Commands in a running guest: put through the channel, waited for, their failures told well."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.lab.channel import Channel
from tests.lab.errors import CommandFailed, CommandTimeout, GuestGone

GRACE_SECONDS = 10.0  # beyond a command's timeout, for the agent's answer
#: Timeouts are written for a quiet machine, against what hangs: a busy one takes longer.
PATIENCE = 2.5
Command = str | Sequence[str]  # text for bash, or words as they are
Input = str | bytes | None
Environment = Mapping[str, str] | None


@dataclass(frozen=True)
class Result:
    """A finished command; seconds as measured in the guest."""

    stdout: str
    stderr: str
    status: int
    seconds: float


class Background:
    """A command running in a guest that nobody waits for yet."""

    def __init__(self, commands: Commands, name: str, command: str) -> None:
        self._commands, self._name, self._command = commands, name, command

    def wait(self, timeout: float = 60, check: bool = True) -> Result:
        """Its result; kills it and raises `CommandTimeout` after `timeout` seconds."""
        return self._commands.finish(self._name, self._command, timeout, check)

    def kill(self) -> None:
        """SIGKILL to its process group."""
        self._commands.kill(self._name)


class Commands:
    """All commands of one run of a guest."""

    def __init__(self, channel: Channel, guest_name: str, console_tail: Callable[[], str]) -> None:
        self._channel, self._guest_name, self._console_tail = channel, guest_name, console_tail

    def close(self) -> None:
        """Hang up; whoever waits gets `GuestGone`."""
        self._channel.close()

    def run(
        self, command: Command, timeout: float, check: bool, input: Input, env: Environment
    ) -> Result:
        """Run it to its end; the agent kills it after `timeout` seconds, with patience."""
        timeout *= PATIENCE
        name = self._begin(command, timeout, input, env)
        return self.finish(name, _text(command), timeout + GRACE_SECONDS, check)

    def start(self, command: Command, input: Input, env: Environment) -> Background:
        """Run it without waiting."""
        return Background(self, self._begin(command, None, input, env), _text(command))

    def kill(self, name: str) -> None:
        """SIGKILL to the process group of request `name`."""
        self._channel.send({"kill": name})

    def finish(self, name: str, command: str, timeout: float, check: bool) -> Result:
        """The result of request `name`, which is killed when `timeout` seconds are over."""
        try:
            reply = self._channel.wait(name, timeout)
            if reply is None:
                self.kill(name)
                self._channel.wait(name, GRACE_SECONDS)
        except GuestGone as error:
            raise GuestGone(f"{self._guest_name} died during: {command}{self.tail()}") from error
        stdout, stderr = self._channel.output(name)
        if reply is None or reply.how == "timeout":
            raise CommandTimeout(
                f"no end after {timeout:.0f} s: {command}\n-- stdout\n{stdout[-2000:]}\n-- stderr\n"
                f"{stderr[-2000:]}{self.tail()}"
            )
        if check and reply.status != 0:
            raise CommandFailed(command, reply.status, stdout, stderr)
        return Result(stdout, stderr, reply.status, reply.seconds)

    def tail(self) -> str:
        """The console's last lines, as an error's end."""
        return f"\n-- console of {self._guest_name}\n{self._console_tail()}"

    def _begin(
        self, command: Command, timeout: float | None, input: Input, env: Environment
    ) -> str:
        argv = ["bash", "-c", command] if isinstance(command, str) else list(command)
        request: dict[str, Any] = {"argv": argv, "timeout": timeout, "env": dict(env or {})}
        stdin = input.encode() if isinstance(input, str) else input
        return self._channel.send(request, stdin)


def _text(command: Command) -> str:
    return command if isinstance(command, str) else shlex.join(command)
