"""What an export asks of the engine: whole documents, pauses, and streams of what it holds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

from .. import guardian
from ..errors import EngineRefused, Refused
from .engine import Engine


class ExportEngine(Engine):
    """A connection to the engine that also reads all that an object is."""

    def document(self, kind: str, name: str) -> dict[str, Any] | None:
        """The engine's inspect document of a container, image, volume or network, as it is.

        But for the order of a container's mounts, which is another one each time.
        """
        found: dict[str, Any] | None = self._find(getattr(self._api, f"inspect_{kind}"), name)
        if found and found.get("Mounts"):
            found["Mounts"].sort(key=itemgetter("Destination"))
        return found

    def changed_paths(self, container_id: str) -> list[tuple[str, bool]]:
        """Paths that a container added or changed, and (True) those it deleted; no order."""
        found = self._call(self._api.diff, container_id) or ()
        return [(one["Path"].lstrip("/"), one["Kind"] == 2) for one in found]

    def files(self, container_id: str) -> Iterator[bytes]:
        """All files of a container as a tar stream."""
        return self._stream(self._api.export, container_id)

    def save(self, names: Sequence[str]) -> Iterator[bytes]:
        """Images as a tar stream, in the form of ``docker save``."""
        url = self._api._url("/images/get")
        return self._stream(
            lambda: self._api._stream_raw_result(
                self._checked(self._api._get(url, params={"names": list(names)}, stream=True)),
                1 << 20,
                False,
            )
        )

    def _checked(self, response: Any) -> Any:
        self._api._raise_for_status(response)
        return response

    def _stream(self, function: Any, *arguments: object) -> Iterator[bytes]:
        chunks = self._call(function, *arguments)
        while True:
            chunk = self._call(next, chunks, None)
            if chunk is None:
                return
            yield chunk

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Within it ``paused`` may be used: a process stands by in case this one dies."""
        argv = [sys.executable, "-I", str(Path(guardian.__file__))]
        argv.append(self._url.removeprefix("unix://"))
        with subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True) as self._guard:
            yield  # at the end its standard input is closed, and it ends

    @contextmanager
    def paused(self, container_ids: Iterable[str]) -> Iterator[None]:
        """Keep running containers from running; they go on afterwards, whatever happens.

        One that ended meanwhile needs no pause; raises Refused if one cannot be paused.
        """
        begun: list[str] = []
        try:
            for container_id in container_ids:
                self._tell("pause", container_id)
                if self._pause(container_id):
                    begun.append(container_id)
                else:
                    self._tell("done", container_id)
            yield
        finally:
            for container_id in begun:
                self._go_on(container_id)
                self._tell("done", container_id)

    def _pause(self, container_id: str) -> bool:
        try:
            self._call(self._api.pause, container_id)
        except EngineRefused as refused:
            state = (self.document("container", container_id) or {}).get("State") or {}
            if state.get("Running") and not state.get("Paused"):
                raise Refused(
                    f"container {container_id[:12]} cannot be paused: {refused.message}. Say "
                    "consistent=False to read it while it runs"
                ) from None
            return False
        return True

    def _tell(self, word: str, container_id: str) -> None:
        assert self._guard.stdin is not None
        self._guard.stdin.write(f"{word} {container_id}\n".encode())
        self._guard.stdin.flush()

    def _go_on(self, container_id: str) -> None:
        try:
            self._call(self._api.unpause, container_id)
        except EngineRefused as refused:
            # It ended, or was not paused in the first place.
            if refused.status not in (404, 409, 500):
                raise
