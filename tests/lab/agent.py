"""The guest's end of the control channel: runs what the host asks for.

Read from the host's share at boot, so it is never part of an image. A line `<id>` on the serial
port means: there is a request `<id>.req` in the share. Output goes to `<id>.out` and `<id>.err`
there; the answer on the port is `<id> <how> <status> <seconds>`, `how` being `done`, `timeout` or
`error`. Payloads never go over the port: its 4 KiB buffer wedges for good when it fills.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import tty
from pathlib import Path

SHARE = "/run/lab"
PORT = "/dev/ttyS0"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE_ENV = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", "TERM": "dumb", "USER": "root"}
DEATH_SECONDS = 3.0  # what a killed command gets to be gone; one in D state never is

running: dict[str, subprocess.Popen[bytes]] = {}
doomed: set[str] = set()  # killed before they had begun
running_lock = threading.Lock()
port_lock = threading.Lock()


def answer(port: int, name: str, how: str, status: int, seconds: float) -> None:
    """One line, written whole."""
    with port_lock:
        os.write(port, f"{name} {how} {status} {seconds:.3f}\n".encode())


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a command and all it started in its process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def flush(path: Path) -> None:
    """Closing any open file of an inode makes hostfs write out what all of them have written."""
    os.close(os.open(path, os.O_RDONLY))


def execute(name: str, request: dict) -> tuple[str, int]:
    """Run one request to its end or its timeout; how it ended and its status."""
    stem = f"{SHARE}/{name}"
    source = f"{stem}.in" if request.get("stdin") else os.devnull
    out_path, err_path = Path(f"{stem}.out"), Path(f"{stem}.err")
    with Path(source).open("rb") as given, out_path.open("wb") as out, err_path.open("wb") as err:
        process = subprocess.Popen(
            request["argv"],
            stdin=given,
            stdout=out,
            stderr=err,
            env={**BASE_ENV, **request.get("env", {})},
            cwd="/root",
            start_new_session=True,
        )
        with running_lock:
            running[name] = process
            if name in doomed:
                kill_group(process)
        how = "done"
        try:
            process.wait(request.get("timeout"))
        except subprocess.TimeoutExpired:
            how = "timeout"
            kill_group(process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(DEATH_SECONDS)
        finally:
            with running_lock:
                del running[name]
    flush(out_path)
    flush(err_path)
    return how, process.returncode if process.returncode is not None else -9


def handle(port: int, name: str) -> None:
    """Serve one request; whatever goes wrong is an answer too."""
    started = time.monotonic()
    try:
        request = json.loads(Path(f"{SHARE}/{name}.req").read_text(encoding="utf-8"))
        if "kill" in request:
            with running_lock:
                doomed.add(request["kill"])
                if request["kill"] in running:
                    kill_group(running[request["kill"]])
            how, status = "done", 0
        else:
            how, status = execute(name, request)
    except Exception as error:
        with Path(f"{SHARE}/{name}.err").open("a", encoding="utf-8") as file:
            file.write(f"lab agent: {error!r}\n")
        how, status = "error", 127
    answer(port, name, how, status, time.monotonic() - started)


def main() -> None:
    """Tell the host that the guest is up, then serve until the power goes."""
    port = os.open(PORT, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port)
    answer(port, "ready", "done", 0, time.monotonic())
    pending = b""
    while True:
        chunk = os.read(port, 4096)
        if not chunk:
            time.sleep(0.05)  # the line hung up and is opened anew
            continue
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            name = line.decode("ascii", "replace").strip()
            if name:
                threading.Thread(target=handle, args=(port, name), daemon=True).start()


if __name__ == "__main__":
    main()
