"""Runs in a guest: Salt's command line, its imports done once for all commands.

A `salt` in a guest spends most of its ten seconds on imports. Tests that type many commands put
the folder of this front ahead in PATH: what stands there under Salt's names hands its words, its
directory and its files to one process that has Salt imported. That forks for each command and runs
the entry point that Salt's own script runs; only the start of the interpreter is shared.

    front.py serve          by Salt's own Python; prints a line when it serves
    front.py salt WORDS...  the client, by any Python
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

FOLDER = Path("/run/front")
SOCKET = str(FOLDER / "socket")
COMMANDS = ("salt", "salt-call", "salt-run")
#: What the three import on the way, most of it late.
IMPORTS = """
salt.scripts salt.cli.salt salt.cli.call salt.cli.run salt.client salt.runner salt.minion
salt.output salt.output.nested salt.loader salt.utils.event salt.crypt salt.fileclient salt.state
salt.channel.client salt.transport.zeromq salt.utils.jid salt.utils.job docker sh
""".split()
LARGEST_REQUEST = 1 << 16


def ask(name: str, words: list[str]) -> int:
    """Have a command run with this process's files and directory; its status."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.connect(SOCKET)
        request = json.dumps([name, words, os.getcwd(), dict(os.environ)])  # noqa: PTH109
        socket.send_fds(line, [request.encode()], [0, 1, 2])
        return int(line.recv(16) or 255)


def serve() -> None:
    """Serve for ever."""
    for module in IMPORTS:
        __import__(module)
    FOLDER.mkdir(exist_ok=True)
    for name in COMMANDS:
        path = FOLDER / name
        path.write_text(f'#!/bin/sh\nexec /usr/bin/python3 -ISB {__file__} {name} "$@"\n')
        path.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(SOCKET)
        door.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps who has answered
        print("it serves", flush=True)
        while True:
            line = door.accept()[0]
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                door.close()
                answer(line)
            line.close()


def answer(line: socket.socket) -> None:
    """Run what is asked for in another process, and tell its status. Does not return."""
    text, files, *_ = socket.recv_fds(line, LARGEST_REQUEST, 3)
    name, words, directory, environment = json.loads(text)
    process = os.fork()
    if process == 0:
        line.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [str(Path(sys.prefix) / "bin" / name), *words]
        os._exit(status_of(name))
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    line.send(str(status if status >= 0 else 128 - status).encode())
    os._exit(0)


def status_of(name: str) -> int:
    """Run Salt's entry point of that name; the status that its process would have."""
    import salt.scripts  # here the client needs none

    mains: dict[str, Callable[[], None]] = {
        "salt": salt.scripts.salt_main,
        "salt-call": salt.scripts.salt_call,
        "salt-run": salt.scripts.salt_run,
    }
    try:
        mains[name]()
        return 0
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
