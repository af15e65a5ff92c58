"""The host's end of the control channel to a guest's agent (see `agent.py`)."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.errors import GuestGone

AGENT = Path(__file__).with_name("agent.py")


@dataclass(frozen=True)
class Reply:
    """How a request ended: `how` is done, timeout or error; seconds as measured in the guest."""

    how: str
    status: int
    seconds: float


class Channel:
    """Requests go out as files in `share`, announced on `port`; replies come in by a thread."""

    def __init__(self, share: Path) -> None:
        shutil.rmtree(share, ignore_errors=True)
        share.mkdir(parents=True)
        shutil.copy(AGENT, share / "agent.py")
        self.share = share
        self._ours, self.port = socket.socketpair()
        self._ids = itertools.count(1)
        self._replies: dict[str, Reply] = {}
        self._changed = threading.Condition()
        self._gone = False

    def connect(self) -> None:
        """Begin to listen; call it when the guest has the other end."""
        self.port.close()
        threading.Thread(target=self._listen, name="lab-channel", daemon=True).start()

    def close(self) -> None:
        """Hang up; whoever waits for a reply gets `GuestGone`."""
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)

    def send(self, request: Mapping[str, Any], stdin: bytes | None = None) -> str:
        """Put a request to the agent; its id."""
        name = str(next(self._ids))
        if stdin is not None:
            (self.share / f"{name}.in").write_bytes(stdin)
        content = {**request, "stdin": stdin is not None}
        (self.share / f"{name}.req").write_text(json.dumps(content), encoding="utf-8")
        try:
            self._ours.sendall(f"{name}\n".encode())
        except OSError as error:
            raise GuestGone("the guest is not running") from error
        return name

    def wait(self, name: str, timeout: float | None) -> Reply | None:
        """The reply to request `name`; None when `timeout` seconds have passed without."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while name not in self._replies:
                if self._gone:
                    raise GuestGone("the guest died")
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            return self._replies.pop(name)

    def output(self, name: str) -> tuple[str, str]:
        """What request `name` has written so far, stdout and stderr; its files are removed."""
        texts = []
        for ending in ("out", "err"):
            path = self.share / f"{name}.{ending}"
            texts.append(path.read_bytes().decode(errors="replace") if path.exists() else "")
        for ending in ("req", "in", "out", "err"):
            (self.share / f"{name}.{ending}").unlink(missing_ok=True)
        return texts[0], texts[1]

    def _listen(self) -> None:
        with contextlib.suppress(OSError), self._ours.makefile("rb") as lines:
            for line in lines:
                self._take(line.decode("ascii", "replace").split())
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def _take(self, words: Sequence[str]) -> None:
        with contextlib.suppress(ValueError):  # anything else on the line is noise of the boot
            name, how, status, seconds = words
            reply = Reply(how, int(status), float(seconds))
            with self._changed:
                self._replies[name] = reply
                self._changed.notify_all()
