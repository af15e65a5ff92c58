"""Unpauses containers when the process that paused them is gone: a program of its own.

    guardian.py SOCKET

Standard input has ``pause ID`` before a container is paused and ``done ID`` after it goes on. At
its end every container that was not done is unpaused. It needs nothing but Python, and has a
session of its own: what kills an export does not kill it.
"""

import http.client
import signal
import socket
import sys
import time

ATTEMPTS = 30


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def unpause(path: str, container_id: str) -> None:
    """Try until the engine says that it goes on, was not paused, or is gone."""
    for _ in range(ATTEMPTS):
        connection = _Connection(path)
        try:
            connection.request("POST", f"/containers/{container_id}/unpause")
            # 500 and 409: it is not paused.
            if connection.getresponse().status in (204, 404, 409, 500):
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(1)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    paused: list[str] = []
    for line in sys.stdin:
        word, _, container_id = line.strip().partition(" ")
        if word == "pause":
            paused.append(container_id)
        elif container_id in paused:
            paused.remove(container_id)
    for container_id in paused:
        unpause(sys.argv[1], container_id)


if __name__ == "__main__":
    main()
