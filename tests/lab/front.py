"""Runs in a guest: processes that have Salt loaded, and fork for each command.

A command of Salt in a guest spends most of its ten seconds on its start. Here its words, directory
and files go to a process that has started already: a fork of it runs what the command would.

    front.py serve            Salt's command line, only imported: the entry points of its scripts,
                              under their names in /run/front, to be put ahead in PATH
    front.py salt WORDS...    the client of that, by any Python
    front.py call FUNCTION... a masterless salt-call, loaded up to the call of the function
    front.py FILE WORDS...    a program, this project's library being loaded

The last two start their process themselves, and a new one after a change of what it has read.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

PYTHON = "/opt/salt/3008/bin/python"
FOLDER = Path("/run/front")
#: Sockets of the two kinds of processes.
COMMAND_LINE, CALLS = FOLDER / "command-line", FOLDER / "calls"
COMMANDS = ("salt", "salt-call", "salt-run")
#: What the three import on the way, most of it late.
IMPORTS = """
salt.scripts salt.cli.salt salt.cli.call salt.cli.run salt.client salt.runner salt.minion
salt.output salt.output.nested salt.loader salt.utils.event salt.crypt salt.fileclient salt.state
salt.channel.client salt.transport.zeromq salt.utils.jid salt.utils.job docker sh
""".split()
#: What the lab's programs import.
LIBRARY = """
dockerstorage_lib.import_job dockerstorage_lib.migrate_commit dockerstorage_lib.migrate_plan
dockerstorage_lib.orphan_job dockerstorage_lib.reclaim
""".split()
#: Of a masterless salt-call whose answer a test reads.
OPTIONS = ("--local", "--out=json", "-l", "warning")
#: Functions whose modules most calls need.
LOADED = ("dockerstorage.report", "state.single")
#: What salt-call reads at its start.
SETTINGS = ((Path("/etc/salt"), "minion"), (Path("/etc/salt"), "minion.d/*"),
            (Path("/srv/pillar"), "**/*"))  # fmt: skip
START_SECONDS = 120.0
LARGEST_REQUEST = 1 << 16


def ask(name: str, words: list[str]) -> int:
    """Have a command run with this process's files and directory; its status."""
    answer = b""
    while not answer:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
            if name in COMMANDS:
                line.connect(str(COMMAND_LINE))
            else:
                connect_to_calls(line)
            request = json.dumps([name, words, os.getcwd(), dict(os.environ)])  # noqa: PTH109
            with contextlib.suppress(OSError):  # one that has outlived what it has read hangs up
                socket.send_fds(line, [request.encode()], [0, 1, 2])
                answer = line.recv(16)
    return int(answer)


def connect_to_calls(line: socket.socket) -> None:
    """Connect to the process that serves calls; start it unless it is there."""
    with contextlib.suppress(OSError):
        line.connect(str(CALLS))
        return
    FOLDER.mkdir(exist_ok=True)
    CALLS.unlink(missing_ok=True)
    log = CALLS.with_suffix(".log")
    with log.open("ab") as out:
        server = subprocess.Popen(
            [PYTHON, __file__, "serve-calls"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while not CALLS.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"front.py does not serve:\n{log.read_text()}")
        time.sleep(0.05)
    line.connect(str(CALLS))


def serve() -> None:
    """Serve Salt's command line for ever."""
    for module in IMPORTS:
        __import__(module)
    FOLDER.mkdir(exist_ok=True)
    for name in COMMANDS:
        path = FOLDER / name
        path.write_text(f'#!/bin/sh\nexec /usr/bin/python3 -ISB {__file__} {name} "$@"\n')
        path.chmod(0o755)
    answer_all(COMMAND_LINE, run_main, lambda: True)


def serve_calls() -> None:
    """Serve calls and programs, until something changes that was read."""
    seen = settings()
    caller = load()
    for module in LIBRARY:
        __import__(module)

    def run(name: str, words: list[str]) -> None:
        if name == "call":
            call(caller, words)
        else:
            sys.argv = [name, *words]
            runpy.run_path(name, run_name="__main__")

    answer_all(CALLS, run, lambda: settings() == seen)


def settings() -> list[tuple[str, int, int]]:
    """Changes when a file does that salt-call reads at its start."""
    paths = [path for folder, pattern in SETTINGS for path in sorted(folder.glob(pattern))]
    return [(str(path), (seen := path.stat()).st_mtime_ns, seen.st_size) for path in paths]


def load() -> Any:
    """All that salt-call does before it calls a function: the object that would."""
    import salt.cli.caller
    import salt.scripts

    kind, made = salt.cli.caller.BaseCaller, []
    run, kind.run = kind.run, lambda self: made.append(self)
    sys.argv = ["salt-call", *OPTIONS, "test.ping"]
    salt.scripts.salt_call()
    kind.run = run
    for function in LOADED:
        made[0].minion.functions[function]
    return made[0]


def call(caller: Any, words: list[str]) -> None:
    """What salt-call does from there on."""
    function, *arguments = words
    caller.opts.update(fun=function, arg=arguments)
    caller.run()


def run_main(name: str, words: list[str]) -> None:
    """Run Salt's entry point of that name."""
    import salt.scripts

    sys.argv = [str(Path(sys.prefix) / "bin" / name), *words]
    getattr(salt.scripts, {"salt": "salt_main"}.get(name, name.replace("-", "_")))()


def answer_all(
    path: Path, run: Callable[[str, list[str]], None], is_fresh: Callable[[], bool]
) -> None:
    """Fork for each request, as long as what the process has read is fresh."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(str(new))
        door.listen()
        new.rename(path)
        while True:
            line = door.accept()[0]
            if not is_fresh():
                path.unlink()
                return
            if os.fork() == 0:
                door.close()
                answer(line, run)
            line.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def answer(line: socket.socket, run: Callable[[str, list[str]], None]) -> None:
    """Run what is asked for in another process, and tell its status. Does not return.

    Whoever asked and is killed takes that process along.
    """
    text, files, *_ = socket.recv_fds(line, LARGEST_REQUEST, 3)
    name, words, directory, environment = json.loads(text)
    process = os.fork()
    if process == 0:
        line.close()
        os.setpgid(0, 0)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)
        import setproctitle

        setproctitle.setproctitle(" ".join([name, *words]))  # for pgrep -f
        os._exit(status_of(run, name, words))
    for file in files:
        os.close(file)
    ended, hung_up = os.pidfd_open(process), line.fileno()
    if hung_up in select.select([ended, hung_up], [], [])[0]:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    with contextlib.suppress(OSError):
        line.send(str(status if status >= 0 else 128 - status).encode())
    os._exit(0)


def status_of(run: Callable[[str, list[str]], None], name: str, words: list[str]) -> int:
    """Run it; the status that its process would have."""
    try:
        run(name, words)
        return 0
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return ended.code & 255 if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        # What an interpreter's end waits for; the rest of it costs time and does nothing here.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    mode, *rest = sys.argv[1:]
    if mode == "serve":
        serve()
    elif mode == "serve-calls":
        serve_calls()
    else:
        sys.exit(ask(mode, rest))
